"""New items by the code of `bakeoff catalogue add`, compared with full retraining, on items held out by time.

    python benchmarks/new_items.py --data DIR ml-100k ml-1m

Three points in time cut the events of a data set. A model is trained on what is older than the first (stages `split`
and `train`, settings of params.yaml); its catalogue is what had an event by then. New are the items whose first event
lies between the first point and the second: they are embedded as `catalogue add` does. Retrained is the same model on
all events before the second point, those on the new items included. Both rank the same catalogue for the same users,
who have events on new items, after the second point, in the second half of their history; the query knows the first
half. The split stage needs a test part: a hundredth of each user's events, in neither training. What `catalogue add`
does was chosen in an earlier period (`tune`), whose test events all lie before the first point of the period that is
reported. Models that were trained stay trained: the command goes on where it was cut off. `--pages` makes the page
again.
"""

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from harness.code import made_with
from harness.datasets import BENCHMARKS, ROOT, make_split, settings_of
from numpy.typing import NDArray
from rich.console import Console
from scipy.sparse import csr_array

from bakeoff.core.files import replaced, write_json, write_text
from bakeoff.core.histories import Histories, Queries, offsets_of
from bakeoff.core.workspace import Workspace
from bakeoff.evaluation.stats.intervals import intervals
from bakeoff.experiments.training.runner import Seconds
from bakeoff.models.base.loading import raw_table
from bakeoff.models.base.new_items import NUMBER_WEIGHT, embed_new_items, mean_of_nearest, positions
from bakeoff.models.base.storage import load_trained, read_encoding, read_items, read_known_users
from bakeoff.params import Params, parse_params
from bakeoff.stages import split, train

RESULTS = ROOT / "benchmarks/results"
MODELS = ("mf", "softmax", "two_tower")
PERIODS = {"tune": (0.1, 0.2, 0.4), "report": (0.4, 0.6, 1.0)}
"""Shares of the events, oldest first, at which the three points lie; test ends at the third."""
K = 20
console = Console(stderr=True, highlight=False)
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Period:
    """What is asked in a period.

    Attributes:
        params: of all trainings.
        before: workspace of the models that do not know the new items.
        after: workspace of those that were retrained.
        new: raw rows of the m new items.
        counts: item id → events before the second point.
        users: raw rows of those who are asked about.
        histories: of each, its events that the query knows.
        truth: of each, the new items that are right.
    """

    params: Params
    before: Workspace
    after: Workspace
    new: pd.DataFrame
    counts: Mapping[str, int]
    users: pd.DataFrame
    histories: Sequence[pd.DataFrame]
    truth: Sequence[frozenset[str]]


def period_of(name: str, period: str, raw: Path | None, scratch: Path) -> Period:
    """Workspaces, new items and queries of a period."""
    benchmark = BENCHMARKS[name]
    values = settings_of(benchmark, Path("nowhere"))  # params.yaml as it is
    folder = scratch / made_with(values) / name
    make_split(benchmark, raw, folder)
    validated = Workspace(folder / "workspace").validated
    events, items, users = (
        pd.read_parquet(validated / f"{each}.parquet") for each in ("interactions", "items", "users")
    )
    first, second, end = events["timestamp"].quantile(PERIODS[period]).tolist()
    values["split"] |= {"test_share": 0.01, "new_user_share": 0.0}
    params = parse_params(values, name)
    begun = events.groupby("item_id")["timestamp"].min()
    workspaces = []
    for part, point in (("before", first), ("after", second)):
        known = items[items["item_id"].isin(begun.index[begun < point])]
        tables = {"interactions": events[events["timestamp"] < point], "items": known, "users": users}
        workspaces.append(workspace_at(folder / f"{period}-{part}", params, tables))
    new = items[items["item_id"].isin(begun.index[(begun >= first) & (begun < second)])]
    counts = events[events["timestamp"] < second]["item_id"].value_counts().to_dict()
    events = events[events["timestamp"] <= end].sort_values(["user_id", "timestamp", "item_id"])
    is_second = 2 * events.groupby("user_id").cumcount() >= events.groupby("user_id")["item_id"].transform("size")
    right = events[is_second & events["item_id"].isin(new["item_id"]) & (events["timestamp"] >= second)]
    truth = right.groupby("user_id")["item_id"].agg(frozenset)
    known = dict(list(events[~is_second & events["user_id"].isin(truth.index)].groupby("user_id")))
    asked = users.set_index("user_id").loc[truth.index]
    before, after = workspaces
    return Period(params, before, after, new, counts, asked, [known[user] for user in truth.index], [*truth])


def workspace_at(path: Path, params: Params, tables: Mapping[str, pd.DataFrame]) -> Workspace:
    """A split of these events, items and users, made once; nothing is test."""
    workspace = Workspace(path)
    if not (workspace.split / "train.parquet").exists():
        with replaced(workspace.validated) as folder:
            for name, table in tables.items():
                table.to_parquet(folder / f"{name}.parquet", index=False)
        split.run(params, workspace)
    return workspace


def trained(params: Params, workspace: Workspace, model: str) -> float:
    """Train a model, once; CPU seconds."""
    record = workspace.root / f"{model}-seconds.json"
    if not record.exists():
        start = Seconds.now()
        train.run(params, workspace, model)
        write_json(record, {"cpu": Seconds.now().since(start).cpu})
    return float(json.loads(record.read_text(encoding="utf-8"))["cpu"])


def queries_of(period: Period, trained_folder: Path, index: Mapping[str, int]) -> Queries:
    """What the users' first halves are to a model: the events on items that it knows."""
    encoding = read_encoding(trained_folder).user
    features = encoding.encode(raw_table(encoding, period.users))
    known = [history[history["item_id"].isin(index.keys())] for history in period.histories]
    together = pd.concat(known)
    items = together["item_id"].map(index).to_numpy(np.int32)
    offsets = offsets_of(np.array([len(each) for each in known]))
    histories = Histories(offsets, items, together["timestamp"].to_numpy(np.int64))
    return Queries(histories, features.dense, features.categorical)


def scores_of(
    period: Period, workspace: Workspace, model: str
) -> tuple[list[str], NDArray[np.float32], NDArray[np.float32]]:
    """Ids and embeddings of a trained model's items, and the embeddings of the period's queries."""
    folder = workspace.trained(model)
    retriever, ids = load_trained(folder), read_items(folder)["item_id"].tolist()
    index = {item: place for place, item in enumerate(ids)}
    return ids, np.asarray(retriever.item_embeddings), retriever.embed_queries(queries_of(period, folder, index))


def recalls(period: Period, ids: Sequence[str], scores: NDArray[np.floating]) -> FloatArray:
    """Recall@K of each query's new items, by min(K, |T|): among the new items, and in the whole catalogue, [n, 2]."""
    place = {item: row for row, item in enumerate(ids)}
    is_old = ~np.isin(np.array(ids, object), period.new["item_id"].to_numpy(object))
    found = np.zeros((len(period.truth), 2))
    for row, (history, truth) in enumerate(zip(period.histories, period.truth, strict=True)):
        mine = np.array(scores[row], np.float64)
        mine[[place[item] for item in history["item_id"] if item in place]] = -np.inf
        for column in (1, 0):
            best = np.argpartition(-mine, K)[:K]
            hits = {ids[item] for item in best if np.isfinite(mine[item])} & truth
            found[row, column] = len(hits) / min(K, len(truth))
            mine[is_old] = -np.inf
    return found


def by_chance(period: Period, num_items: int) -> FloatArray:
    """Expected recall of K items drawn from those that the user has not had, [n, 2]."""
    found = []
    new = set(period.new["item_id"])
    for history, truth in zip(period.histories, period.truth, strict=True):
        left = np.array([len(new - set(history["item_id"])), num_items - len(history)])
        found.append(np.minimum(1, K / left) * len(truth) / min(K, len(truth)))
    return np.array(found)


def tried(period: Period, model: str) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Ways to embed the new items by their features, in words, with the embeddings."""
    folder = period.before.trained(model)
    items, encoding = read_items(folder), read_encoding(folder).item
    known = np.flatnonzero(read_known_users(folder).queries.histories.item_counts(len(items)))
    vectors = np.asarray(load_trained(folder).item_embeddings)[known]
    table = pd.concat([items.iloc[known], period.new[items.columns]], ignore_index=True)
    lengths = np.linalg.norm(vectors, axis=1)
    shipped = positions(encoding, table, model)
    is_number = np.arange(shipped.shape[1]) >= shipped.shape[1] - len(encoding.dense)
    for weight in (0.0, 0.25, 0.5, 1.0):
        places = csr_array(shipped * np.where(is_number, weight / NUMBER_WEIGHT, 1.0))
        for count in (5, 10, 20, 50) if weight == 0.5 else (10,):
            found = mean_of_nearest(places[: len(known)], vectors, places[len(known) :], count)
            yield f"{count} nearest, numbers × {weight:g}", found
    places = places.toarray()  # numbers × 1
    mean, centre = vectors.mean(axis=0), places[: len(known)].mean(axis=0)
    inputs, new = places[: len(known)] - centre, places[len(known) :] - centre
    for penalty in (3, 30, 300):
        weights = np.linalg.solve(inputs.T @ inputs + penalty * np.eye(inputs.shape[1]), inputs.T @ (vectors - mean))
        found = mean + new @ weights
        yield f"ridge regression, λ {penalty}", found
        yield (
            f"ridge regression, λ {penalty}, typical length",
            found * (lengths.mean() / np.linalg.norm(found, axis=1, keepdims=True)),
        )


def tune(period: Period, models: Sequence[str]) -> dict[str, Any]:
    """Mean recalls of all that was tried, by model and way."""
    result: dict[str, Any] = {"users": len(period.truth), "new_items": len(period.new), "recall": {}}
    for model in models:
        trained(period.params, period.before, model)
        ids, embeddings, asked = scores_of(period, period.before, model)
        ways = dict(tried(period, model))
        ways["as `catalogue add` does"] = embed_new_items(period.before.trained(model), embeddings, period.new)[0]
        both = [*ids, *period.new["item_id"]]
        result["recall"][model] = {
            way: recalls(period, both, asked @ np.concatenate([embeddings, vectors]).T).mean(axis=0).tolist()
            for way, vectors in ways.items()
        }
        console.print(model, result["recall"][model])
    return result


def report(period: Period, models: Sequence[str]) -> dict[str, Any]:
    """Recall by model: new items added, and the model retrained; popularity and chance for comparison."""
    counts = pd.Series(period.counts)
    floors = {
        "chance": by_chance(period, len(counts)),
        "popularity": recalls(
            period, counts.index.tolist(), np.tile(counts.to_numpy(np.float64), (len(period.truth), 1))
        ),
    }
    events = int(counts.reindex(period.new["item_id"]).sum())
    result: dict[str, Any] = {
        "users": len(period.truth),
        "new_items": len(period.new),
        "new_items_in_truth": len(frozenset().union(*period.truth)),
        "catalogue": len(counts),
        "events_on_new_items": events,
        "floors": {name: with_interval(values) for name, values in floors.items()},
        "models": {},
    }
    for model in models:
        seconds = {part: trained(period.params, getattr(period, part), model) for part in ("before", "after")}
        ids, embeddings, asked = scores_of(period, period.before, model)
        start = Seconds.now()
        vectors, how = embed_new_items(period.before.trained(model), embeddings, period.new)
        seconds["add"] = Seconds.now().since(start).cpu
        added = recalls(period, [*ids, *period.new["item_id"]], asked @ np.concatenate([embeddings, vectors]).T)
        ids, embeddings, asked = scores_of(period, period.after, model)
        retrained = recalls(period, ids, asked @ embeddings.T)
        result["models"][model] = {
            "how": how,
            "cpu_seconds": seconds,
            "added": with_interval(added),
            "retrained": with_interval(retrained),
            "difference": with_interval(added - retrained),
            "above_chance": with_interval(added - floors["chance"]),
        }
        console.print(model, result["models"][model])
    return result


def with_interval(values: FloatArray) -> list[list[float]]:
    """Mean, low and high of the 95 % bootstrap interval over users, of both columns."""
    found = intervals(values, np.random.default_rng(0))
    return [[float(each[column]) for each in (found.mean, found.low, found.high)] for column in range(2)]


def main() -> None:
    """Measure, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="ml-100k, ml-1m; default: ml-100k")
    parser.add_argument("--data", type=Path, help="folder of raw data, with ml-1m/ as published")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--scratch", type=Path, default=ROOT / "artifacts/bench/new_items")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of new_items.json and new_items.md")
    parser.add_argument("--pages", action="store_true", help="measure nothing, make the page from new_items.json")
    arguments = parser.parse_args()
    path = arguments.results / "new_items.json"
    page = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"data": {}}
    for name in [] if arguments.pages else arguments.names or ["ml-100k"]:
        make = partial(period_of, name, raw=arguments.data, scratch=arguments.scratch)
        chosen = tune(make("tune"), arguments.models)
        found = {"title": BENCHMARKS[name].title, "tune": chosen, "report": report(make("report"), arguments.models)}
        page["data"][name] = found
        write_json(path, page | {"cores": os.cpu_count()})
    write_text(path.with_suffix(".md"), markdown(json.loads(path.read_text(encoding="utf-8"))))


def markdown(page: Mapping[str, Any]) -> str:
    """The page, made from its JSON."""
    names = " ".join(page["data"])
    parts = [
        "# New items without retraining",
        f"Made by `python benchmarks/new_items.py --data DIR {names}` on {page['cores']} cores, with the settings of "
        "`params.yaml`.",
        __doc__.split("\n\n")[2].partition(" Models that were")[0].replace("\n", " "),
        f"Capped recall@{K} of new items, in lists of the new items alone and in lists of the whole catalogue, mean "
        "over users with its 95 % bootstrap interval. The difference, added less retrained, is paired. CPU seconds are "
        "of a machine that was shared with other work; those of adding are of embedding, without the start of the "
        "command. Popularity has seen what the retrained models have; chance is the expectation of a list drawn at "
        "random.",
    ]
    for found in page["data"].values():
        parts += section(found)
    return "\n\n".join(parts) + "\n"


def section(found: Mapping[str, Any]) -> list[str]:
    """Headings and tables of one data set."""
    result, chosen = found["report"], found["tune"]
    rows = ["| | new items alone | whole catalogue | CPU, s |", "|---|--:|--:|--:|"]
    for model, each in result["models"].items():
        seconds = each["cpu_seconds"]
        rows.append(_row(f"{model}, added {each['how']}", each["added"], f"{seconds['add']:.2f}"))
        rows.append(_row(f"{model}, retrained", each["retrained"], f"{seconds['after']:.0f}"))
        rows.append(_row(f"{model}, difference", each["difference"], ""))
    rows += [_row(name, values, "") for name, values in result["floors"].items()]
    ways = ["| | " + " | ".join(chosen["recall"]) + " |", "|---|" + "--:|" * len(chosen["recall"])]
    for way in next(iter(chosen["recall"].values())):
        cells = [" / ".join(f"{value:.3f}" for value in recall[way]) for recall in chosen["recall"].values()]
        ways.append(f"| {way} | {' | '.join(cells)} |")
    return [
        f"## {found['title']}",
        f"{result['new_items']} new items in a catalogue of {result['catalogue']:,}, {result['new_items_in_truth']} of "
        f"them with a test event; {result['users']:,} users. The retrained models have seen "
        f"{result['events_on_new_items']:,} events on the new items. Measured with `--models "
        f"{' '.join(result['models'])}`.",
        "\n".join(rows),
        f"Tried in the earlier period, {chosen['users']} users and {chosen['new_items']} new items: recall@{K} among "
        "new items / in the whole catalogue. Means of the nearest are brought to the mean length of what they are of.",
        "\n".join(ways),
    ]


def _row(name: str, values: Sequence[Sequence[float]], seconds: str) -> str:
    cells = [f"{mean:.3f} [{low:.3f}, {high:.3f}]" for mean, low, high in values]
    return f"| {name} | {' | '.join(cells)} | {seconds} |"


if __name__ == "__main__":
    main()
