"""Repeated items, on synthetic data whose truth is known: what `split.keep_repeats` is worth.

    python benchmarks/repeats.py

Each user has one of GROUPS groups of items. Again and again, with chance AGAIN, they take one of the items that they
have had, the more often the more often they had it; else one of the group that is new to them, the popular ones first.
The last events are test, those before them validation. Every row is asked for all items of the test part, had before
or not, on the same users: models that learned from every event and whose lists may hold what the user has had, as
`split.keep_repeats: true` has it; those with lists without it; models that learned from the first event of each pair
alone, with lists that may hold it; how often the user has had an item, with popularity among the others; and the
chances of the next event as they were planted. Epochs, and MF's weight of unobserved pairs, are chosen on validation,
for each training by itself.
"""

import argparse
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from event_types import MODELS, UNOBSERVED, fitted
from harness.datasets import ROOT
from harness.pages import Page, show
from numpy.typing import NDArray
from rich.console import Console
from vectors import interval

from bakeoff.core.histories import Histories, Queries
from bakeoff.data.features.encoding import FeatureEncoding
from bakeoff.data.prepared.tables import Prepared
from bakeoff.evaluation.metrics.table import accuracy_per_user
from bakeoff.evaluation.ranking.protocol import EvalSet
from bakeoff.models.base.retriever import Retriever
from bakeoff.params import load_params

GROUPS, USERS, ITEMS, EVENTS = 10, 600, 400, 40
"""Groups; users and items of all groups; events of a user."""
AGAIN = 0.6
"""Chance that the next event is on an item that the user has had."""
VALID, TEST = 4, 8
"""Events of a user that are validation and test; an item that is in one several times is one target."""
KEPT, WITHOUT, FIRST = "every event", "every event, lists without what was had", "the first event of each pair"
FREQUENCY, PLANTED = "how often the user had it", "the planted chances"
console = Console(stderr=True, highlight=False)
Chances = NDArray[np.float64]


def made(seed: int) -> tuple[NDArray[np.int64], Chances]:
    """[USERS, EVENTS] items in order, and the chance of each item to be the first of the test events."""
    rng = np.random.default_rng(seed)
    items, chances = np.empty((USERS, EVENTS), np.int64), np.empty((USERS, ITEMS))
    appeal = 1 / (1 + np.arange(ITEMS) // GROUPS)
    for user in range(USERS):
        had, own = np.zeros(ITEMS), np.arange(ITEMS) % GROUPS == user % GROUPS
        for event in range(EVENTS):
            new = np.where(own & (had == 0), appeal, 0)
            share = AGAIN if event and new.any() else float(not new.any())
            following = share * had / max(had.sum(), 1) + (1 - share) * new / max(new.sum(), 1e-12)
            if event == EVENTS - TEST:
                chances[user] = following
            items[user, event] = rng.choice(ITEMS, p=following)
            had[items[user, event]] += 1
    return items, chances


def splits_of(items: NDArray[np.int64]) -> tuple[dict[str, Prepared], Histories]:
    """By what is learned from, a split that keeps repeats; and the test part."""
    train, valid, test = np.split(items, [EVENTS - VALID - TEST, EVENTS - TEST], axis=1)
    users, named = ([str(index) for index in range(count)] for count in (USERS, ITEMS))
    tables = pd.DataFrame({"user_id": users, "is_new": False}), pd.DataFrame({"item_id": named, "title": named})
    start = EVENTS - VALID - TEST
    every, held = histories(train, 0), once(histories(valid, start))
    encoded = (Prepared.encoded(*tables, FeatureEncoding(), events, held) for events in (every, once(every)))
    kept, first = (replace(each, keeps_repeats=True) for each in encoded)
    return {KEPT: kept, FIRST: first}, once(histories(test, start + VALID))


def histories(items: NDArray[np.int64], start: int) -> Histories:
    """A history per row; its events come a day after each other."""
    times = 86_400 * (1 + start + np.tile(np.arange(items.shape[1]), len(items)))
    return Histories.from_rows(np.repeat(np.arange(len(items)), items.shape[1]), items.ravel(), times, len(items))


def once(events: Histories) -> Histories:
    """The first event of each user and item."""
    keys = events.rows * ITEMS + events.items
    is_first = np.zeros(len(keys), np.bool_)
    is_first[np.unique(keys, return_index=True)[1]] = True
    return events.keep(is_first)


class Scores:
    """Ranks items by given scores of each user, [USERS, ITEMS], for queries of all users in order."""

    def __init__(self, scores: Chances) -> None:
        """Take the scores; a dimension per item."""
        self._scores, self.item_embeddings = scores.astype(np.float32), np.eye(ITEMS, dtype=np.float32)

    def embed_queries(self, queries: Queries) -> NDArray[np.float32]:
        """[USERS, ITEMS], the scores themselves."""
        assert len(queries) == USERS
        return self._scores

    def uses_fallback(self, queries: Queries) -> NDArray[np.bool_]:
        """Never."""
        return np.zeros(len(queries), np.bool_)


def frequency(known: Histories) -> Scores:
    """How often each user has had each item; below one time, how often everybody has."""
    counts = np.zeros((USERS, ITEMS))
    np.add.at(counts, (known.rows, known.items), 1)
    popularity = counts.sum(axis=0)
    return Scores(counts + popularity / (1 + popularity.max()))


def rows_of(seed: int) -> Iterator[tuple[str, dict[str, NDArray[np.float64]]]]:
    """Name of a row → its figures of each user."""
    params = load_params(ROOT / "params.yaml")
    items, chances = made(seed)
    splits, test = splits_of(items)
    known = histories(items[:, :-TEST], 0)
    people = EvalSet.of(splits[KEPT], known, test)
    strict = replace(people, exclude=known)
    yield PLANTED, figures(Scores(chances), people)
    yield FREQUENCY, figures(frequency(known), people)
    for model, name in MODELS.items():
        for way, prepared in splits.items():
            retriever = fitted(model, prepared, params.section(model), seed).retriever
            yield f"{name}: {way}", figures(retriever, people)
            if way == KEPT:
                yield f"{name}: {WITHOUT}", figures(retriever, strict)


def figures(retriever: Retriever, people: EvalSet) -> dict[str, NDArray[np.float64]]:
    """NDCG@10 of each user, on all test items and on those that are new to the user; NaN without such items."""
    lists = people.rank(retriever, 10, USERS)
    is_had = np.isin(people.truth.rows * ITEMS + people.truth.items, people.earlier.rows * ITEMS + people.earlier.items)
    new = people.truth.keep(~is_had)
    ndcg = (accuracy_per_user(lists, truth, (10,))["ndcg@10"] for truth in (people.truth, new))
    return dict(zip(("all", "new"), ndcg, strict=True)) | {
        "had": np.bincount(people.truth.rows, is_had, len(people)) / people.truth.lengths
    }


def measured(seeds: list[int]) -> dict[str, Any]:
    """Rows over the users of all data sets, and what every model's first row is ahead of its others by."""
    found: dict[str, list[dict[str, NDArray[np.float64]]]] = {}
    for seed in seeds:
        for name, each in rows_of(seed):
            found.setdefault(name, []).append(each)
            console.print(seed, name, *(f"{kind} {np.nanmean(values):.4f}" for kind, values in each.items()))
    together = {
        name: {kind: np.concatenate([each[kind] for each in of]) for kind in of[0]} for name, of in found.items()
    }
    rows = {name: {kind: interval(values[kind]) for kind in ("all", "new")} for name, values in together.items()}
    differences = {
        name: interval(together[f"{model}: {KEPT}"]["all"] - values["all"])
        for name, values in together.items()
        for model in MODELS.values()
        if name.startswith(model) and name != f"{model}: {KEPT}"
    }
    return {"rows": rows, "ahead_by": differences, "had": float(np.mean(together[PLANTED]["had"]))}


def markdown(page: Page) -> str:
    """The page of these figures."""
    lines = [
        "| by, or learned from | NDCG@10 | on items new to the user | every event is ahead by |",
        "|---|---|---|---|",
    ]
    for name, row in page["rows"].items():
        cells = [f"{each['mean']:.4f} [{each['low']:.4f}, {each['high']:.4f}]" for each in (row["all"], row["new"])]
        ahead = page["ahead_by"].get(name)
        cells.append(f"{ahead['mean']:+.4f} [{ahead['low']:+.4f}, {ahead['high']:+.4f}]" if ahead else "–")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    parts = [
        "# Repeated items, on synthetic data",
        f"Made by `{page['command']}` on {page['cores']} cores: {page['users']} users, {page['items']} items in "
        f"{page['groups']} groups, {page['events']} events a user, of which {page['again']:.0%} are on items that the "
        "user has had, the more often the more often they had them; a data set for each seed "
        f"({', '.join(map(str, page['seeds']))}). Of the items in the last {page['test']} events of a user, which are "
        f"test, {page['had']:.0%} were had before.",
        "NDCG@10 of all these items, and of those alone that are new to the user, in the same lists; means over the "
        "users of all data sets with 95 % bootstrap intervals over them. Settings are those of `params.yaml`; epochs, "
        f"and MF's weight of unobserved pairs ({', '.join(f'{each:g}' for each in UNOBSERVED)}), are chosen on the "
        f"{page['valid']} events before test, for each training by itself. Lists may hold what a user has had, where "
        "the row does not say otherwise. The planted chances are those of the first test event.",
        "\n".join(lines),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Print the page; with --write, keep its figures and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44, 45, 46])
    parser.add_argument("--write", type=Path, help="file for the figures; the page goes next to it")
    arguments = parser.parse_args()
    sizes = {"users": USERS, "items": ITEMS, "groups": GROUPS, "events": EVENTS, "valid": VALID, "test": TEST}
    about = {
        "command": "python benchmarks/repeats.py",
        "cores": os.cpu_count(),
        "again": AGAIN,
        "seeds": arguments.seeds,
    }
    show(about | sizes | measured(arguments.seeds), markdown, arguments.write)


if __name__ == "__main__":
    main()
