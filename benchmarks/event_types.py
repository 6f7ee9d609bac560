"""What weights of events are worth on synthetic data whose truth is known: noisy views, buys that follow a preference.

    python benchmarks/event_types.py

Each user prefers one of GROUPS groups of items. Buys are items of the user's group; a share of the views is, too, and
the others are drawn from the rest of the catalogue. Models learn from views and buys alike, from views of weight 1 and
buys of weight BUY, from buys alone, or from these weights and DISLIKES random items of other groups that the user
dislikes. They are asked for buys that were held out. Epochs, and MF's weight of unobserved pairs, are chosen on other
held-out buys, for each way by itself.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from harness.datasets import ROOT
from numpy.typing import NDArray
from rich.console import Console
from vectors import MARGIN, finding, interval

from bakeoff.core.files import write_json, write_text
from bakeoff.core.histories import Histories
from bakeoff.data.features.encoding import FeatureEncoding
from bakeoff.data.prepared.tables import Prepared
from bakeoff.evaluation.metrics.table import accuracy_per_user
from bakeoff.evaluation.ranking.protocol import EvalSet
from bakeoff.experiments.training.runner import Experiment, TrainedModel, best_row, train_keeping_best
from bakeoff.experiments.training.validation import SELECTION_METRIC, shipped_validation
from bakeoff.models.base.specs import spec
from bakeoff.params import load_params

GROUPS, USERS, ITEMS, VIEWS = 10, 600, 500, 24
"""Groups; users and items of all groups; views of a user. Two more buys of each are validation, three test."""
DATA = {"many buys, noisy views": (6, 0.2), "few buys, better views": (1, 0.4)}
"""Buys of a user in training, and the share of views that are of the user's group."""
BUY = 10.0
UNOBSERVED = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Weights of unobserved pairs that MF tries."""
DISLIKES, DISLIKE = 10, -10.0
"""Items of other groups that a user dislikes, and their weight."""
WAYS = {
    "alike": "views and buys alike",
    "weighted": f"view 1, buy {BUY:g}",
    "buys": "buys alone",
    "disliked": f"view 1, buy {BUY:g}, dislike {DISLIKE:g}",
}
SAID = "weighted, in queries too"
MODELS = {"mf": "MF", "softmax": "Softmax DNN"}
console = Console(stderr=True, highlight=False)


def made(seed: int, num_buys: int, own_views: float) -> tuple[dict[str, Prepared], Histories]:
    """A split for each of WAYS, and the buys that are test; no event has a time."""
    rng = np.random.default_rng(seed)
    own = (np.arange(USERS) % GROUPS)[:, np.newaxis] == np.arange(ITEMS) % GROUPS
    rank, appeal = 1 + np.arange(ITEMS) // GROUPS, 1 + rng.permutation(ITEMS)
    buys = draw(np.where(own, 1 / rank, 0), num_buys + 5, rng)
    is_bought = np.zeros(own.shape, np.bool_)
    np.put_along_axis(is_bought, buys, True, axis=1)
    noise, near = (draw(np.where(each, 1 / appeal, 0), VIEWS, rng) for each in (~own, own & ~is_bought))
    views = np.where(rng.random(noise.shape) < own_views, near, noise)
    train, valid, test = np.split(buys, [num_buys, num_buys + 2], axis=1)
    both = np.concatenate([views, train], axis=1)
    order = rng.permuted(np.tile(np.arange(both.shape[1]), (USERS, 1)), axis=1)
    weights = np.where(order < VIEWS, 1, BUY).astype(np.float32)
    both = np.take_along_axis(both, order, axis=1)
    of_train = {"alike": rows(both), "weighted": rows(both, weights), "buys": rows(train)}
    users, items = ([str(index) for index in range(count)] for count in (USERS, ITEMS))
    tables = pd.DataFrame({"user_id": users, "is_new": False}), pd.DataFrame({"item_id": items, "title": items})
    held = rows(valid, np.full(valid.shape, BUY, np.float32))
    splits = {way: Prepared.encoded(*tables, FeatureEncoding(), events, held) for way, events in of_train.items()}
    is_had = is_bought.copy()
    np.put_along_axis(is_had, views, True, axis=1)
    disliked = draw(np.where(own | is_had, 0, 1.0), DISLIKES, rng)
    dislikes = rows(disliked, np.full(disliked.shape, DISLIKE, np.float32))
    splits["disliked"] = replace(splits["weighted"], dislikes=dislikes)
    return splits, rows(test)


def draw(weights: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """[n, count] distinct columns of each row, in proportion to the weights, in random order (Gumbel top-k)."""
    with np.errstate(divide="ignore"):
        keys = np.log(weights) + rng.gumbel(size=weights.shape)
    return rng.permuted(np.argsort(-keys, axis=1, kind="stable")[:, :count], axis=1)


def rows(items: NDArray[np.int64], weights: NDArray[np.float32] | None = None) -> Histories:
    """A history per row, without times."""
    users = np.repeat(np.arange(len(items)), items.shape[1])
    given = None if weights is None else weights.ravel()
    return Histories.from_rows(users, items.ravel(), np.zeros(items.size, np.int64), len(items), given)


def fitted(model: str, prepared: Prepared, settings: Any, seed: int) -> TrainedModel:
    """The model of the best epoch; of MF with the best weight of unobserved pairs."""
    tried = [settings.model_copy(update={"unobserved_weight": each}) for each in UNOBSERVED] if model == "mf" else []
    validate = shipped_validation(prepared, seed)
    experiments = [Experiment(spec(model), each, prepared, seed) for each in tried or [settings]]
    found = [train_keeping_best(each, validate) for each in experiments]
    return max(found, key=lambda one: best_row(one.curve)[f"valid_{SELECTION_METRIC}"])


def saying_weights(people: EvalSet) -> EvalSet:
    """Queries that name an item as often as its event weighs, which is how both models would read its weight."""
    history = people.queries.histories
    times = np.asarray(history.weights).astype(int)
    repeated = np.repeat(np.arange(len(history.items)), times)
    rows, items, seconds = history.rows[repeated], history.items[repeated], history.timestamps[repeated]
    return replace(people, queries=replace(people.queries, histories=Histories.from_rows(rows, items, seconds, USERS)))


def measure(buys: int, own_views: float, seeds: list[int]) -> dict[str, dict[str, Any]]:
    """NDCG@10 of held-out buys over the users of all seeds, by model and way, and what it differs by from others."""
    params, scores = load_params(ROOT / "params.yaml"), dict[str, list[NDArray[np.float64]]]()
    for seed in seeds:
        splits, test = made(seed, buys, own_views)
        # The same for all ways, and so are the items that lists may hold: what is disliked is no question any more.
        disliked = splits["disliked"].dislikes
        assert disliked is not None
        seen = splits["alike"].known().merged(disliked)
        for model in MODELS:
            for way, prepared in splits.items():
                retriever = fitted(model, prepared, params.section(model), seed).retriever
                people = replace(EvalSet.of(prepared, prepared.train, test), exclude=seen)
                asked = {way: people} | ({SAID: saying_weights(people)} if way == "weighted" else {})
                for name, each in asked.items():
                    ndcg = accuracy_per_user(each.rank(retriever, 10, USERS), test, (10,))["ndcg@10"]
                    scores.setdefault(f"{model} {name}", []).append(ndcg)
                    console.print(buys, seed, model, name, f"{ndcg.mean():.4f}")
    together, result = {name: np.concatenate(found) for name, found in scores.items()}, dict[str, dict[str, Any]]()
    for name, found in together.items():
        model, way = name.split(maxsplit=1)
        others = {"alike": [], "weighted": ["alike"], "disliked": ["weighted"]}.get(way, ["alike", "weighted"])
        result[name] = interval(found) | {"seeds": [float(each.mean()) for each in scores[name]]}
        result[name]["differences"] = {other: interval(found - together[f"{model} {other}"]) for other in others}
    return result


def markdown(page: dict[str, Any]) -> str:
    """The page, made from its JSON."""
    parts = [
        "# Weights of events on synthetic data",
        f"Made by `python benchmarks/event_types.py`, with seeds {', '.join(map(str, page['seeds']))}, a data set "
        f"each: {USERS} users, {ITEMS} items in {GROUPS} groups, {VIEWS} views and {DISLIKES} dislikes a user. NDCG@10 "
        "of three held-out buys of each user, among all items that the user has neither viewed nor bought nor "
        "disliked, whatever a row learned from. Settings are those of "
        f"`params.yaml`; epochs, and MF's weight of unobserved pairs ({', '.join(f'{each:g}' for each in UNOBSERVED)}),"
        " are chosen on two other buys, for each row by itself. 95 % bootstrap intervals over the users of all data "
        f"sets; *shown to be small*: the whole interval lies within ±{MARGIN:g}; *too few data*: it holds 0 and "
        "reaches beyond.",
    ]
    for name, (buys, own_views) in DATA.items():
        lines = ["| learned from | NDCG@10 | per seed | difference |", "|---|--:|---|---|"]
        for key, score in page["data"][name].items():
            model, way = key.split(maxsplit=1)
            compared = [
                f"{each['mean']:+.4f} [{each['low']:+.4f}, {each['high']:+.4f}] to *{WAYS[other]}*: {finding(each)}"
                for other, each in score["differences"].items()
            ]
            label = WAYS.get(way, f"{WAYS['weighted']}, in queries too")
            seeds = ", ".join(f"{each:.3f}" for each in score["seeds"])
            lines.append(f"| {MODELS[model]}: {label} | {score['mean']:.4f} | {seeds} | {'; '.join(compared)} |")
        parts += [f"## {name.capitalize()}: {buys} a user, {own_views:.0%} of the views in the group", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Measure, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44, 45, 46])
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks/results", help="folder of event_types.*")
    parser.add_argument("--pages", action="store_true", help="measure nothing, make the page from event_types.json")
    arguments = parser.parse_args()
    path, seeds = arguments.results / "event_types.json", arguments.seeds
    if not arguments.pages:
        write_json(path, {"seeds": seeds, "data": {name: measure(*each, seeds) for name, each in DATA.items()}})
    write_text(path.with_suffix(".md"), markdown(json.loads(path.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
