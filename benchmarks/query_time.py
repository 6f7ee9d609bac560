"""What the options of a request do to lists, and what they cost: allow-lists, filters, diversity and debias.

Run it in a workspace whose split is made (`make run`). Models are trained on train alone, for as many epochs as
validation chooses, and answer the users of validation; test is not opened. Lists and costs are those of the code that
`bakeoff serve` answers with.

    python benchmarks/query_time.py --workspace . --write benchmarks/results/query_time.json
"""

import argparse
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from harness.datasets import ROOT
from harness.pages import show
from harness.score import with_intervals
from rich.console import Console

from bakeoff.core.histories import PAD
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import Prepared, load_prepared
from bakeoff.evaluation.metrics.table import METRICS
from bakeoff.evaluation.ranking import TopLists
from bakeoff.evaluation.ranking.protocol import EvalSet, Evaluated
from bakeoff.experiments.training.runner import Experiment, train_keeping_best
from bakeoff.experiments.training.validation import shipped_validation
from bakeoff.models.base.list_options import CANDIDATES_PER_PLACE, LONGEST_DIVERSE, standard_log_popularity
from bakeoff.models.base.retriever import TrainedRetriever
from bakeoff.models.base.specs import spec
from bakeoff.models.base.storage import write_model
from bakeoff.ops.list_options import PLAIN, ItemFeatures, ListOptions, find
from bakeoff.ops.server.loading import load_served
from bakeoff.ops.server.schemas import Origin, Query
from bakeoff.ops.server.search import ExactSearch
from bakeoff.params import Params, load_params
from bakeoff.stages import export

K = 10
RESAMPLES = 10_000
BY_EMBEDDINGS = "diversity, by embeddings"
TRIED: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("none", {}),
    *(("diversity", {"diversity": value}) for value in (0.1, 0.2, 0.3, 0.5, 0.7)),
    *((BY_EMBEDDINGS, {"diversity": value}) for value in (0.3, 0.5, 0.7)),
    *(("debias", {"debias": value}) for value in (0.1, 0.2, 0.3, 0.5, 1.0)),
    ("both", {"diversity": 0.2, "debias": 0.2}),
)
"""What a request asks for. By embeddings, items are compared where the catalogue has no categories and tags."""
SHOWN = ("ndcg", "debiased_ndcg", "coverage", "popularity_lift", "diversity", "novelty")
PAIRED = SHOWN[:2]
LABELS = {each.name: each.label for each in METRICS}
REQUESTS_PER_ROUND, TURNS = 100, 5
console = Console(stderr=True, highlight=False)


def trained(prepared: Prepared, params: Params, name: str) -> TrainedRetriever:
    """The model at its best epoch, of train alone."""
    validate = shipped_validation(prepared, params.seed)
    return train_keeping_best(Experiment(spec(name), params.section(name), prepared, params.seed), validate).retriever


def quality(prepared: Prepared, retriever: TrainedRetriever) -> Iterator[dict[str, Any]]:
    """Figures with all that is TRIED, and paired differences of NDCGs from the plain lists, with their intervals."""
    eval_set, raw = EvalSet.of(prepared, prepared.train, prepared.valid), prepared.items.to_pandas()
    encoding = prepared.encoding.item
    plain: Mapping[str, Any] = {}
    for name, chosen in TRIED:
        table = raw[[]] if name == BY_EMBEDDINGS else raw
        lists = listed(prepared, retriever, eval_set, replace(PLAIN, **chosen), ItemFeatures(table, encoding, ""))
        found = Evaluated(eval_set, lists, (K,))
        per_user, means = found.accuracy | found.beyond_accuracy(prepared), found.means(prepared)
        plain = plain or per_user
        differences = {metric: per_user[f"{metric}@{K}"] - plain[f"{metric}@{K}"] for metric in PAIRED}
        yield {
            "option": name,
            **chosen,
            "figures": {metric: means[f"{metric}@{K}"] for metric in SHOWN},
            "differences": {metric: list(each) for metric, each in with_intervals(differences, 0, RESAMPLES).items()},
        }


def listed(
    prepared: Prepared, retriever: TrainedRetriever, eval_set: EvalSet, options: ListOptions, features: ItemFeatures
) -> TopLists:
    """Lists of K items, as the server finds them."""
    search, popularity = ExactSearch(retriever.item_embeddings), standard_log_popularity(prepared.train_counts)
    embedded, size = retriever.embed_queries(eval_set.queries), (len(eval_set), K)
    items, scores = np.full(size, PAD, np.int32), np.full(size, -np.inf, np.float32)
    exclude = np.split(eval_set.exclude.items, eval_set.exclude.offsets[1:-1])
    asked = [K] * len(eval_set), [options] * len(eval_set)
    for row, found in enumerate(find(search, embedded, exclude, *asked, features, popularity)):
        items[row, : len(found.items)], scores[row, : len(found.items)] = found.items, found.scores
    return TopLists(items, scores)


def requests(prepared: Prepared) -> dict[str, dict[str, Any]]:
    """What is added to a request by user id, by a name for people; filters are on the first features there are."""
    allow = prepared.item_ids.take(np.argsort(-prepared.train_counts, kind="stable")[:1000:10]).to_pylist()
    encoding, filters = prepared.encoding.item, list[dict[str, Any]]()
    for name, values in [*encoding.tags.items(), *encoding.categorical.items()][:1]:
        filters.append({"feature": name, "any_of": list(values[:1])})
    for name, scale in [*encoding.dense.items()][:1]:
        filters.append({"feature": name, "min": scale.mean})
    both, longest = {"diversity": 0.2, "debias": 0.2}, min(LONGEST_DIVERSE, prepared.num_items)
    return {
        "plain": {},
        f"allow: {len(allow)} items": {"allow": allow},
        "filters: " + (" and ".join(str(each["feature"]) for each in filters) or "none"): {"filters": filters},
        "debias": {"debias": 0.2},
        "diversity": {"diversity": 0.2},
        "all of these": {"allow": allow, "filters": filters, **both},
        f"plain, k {longest}": {"k": longest},
        f"diversity, k {longest}": {"k": longest, "diversity": 0.2},
    }


def costs(params: Params, prepared: Prepared, name: str, retriever: TrainedRetriever, rounds: int) -> dict[str, Any]:
    """CPU time of a request in the server's process, from its JSON to that of the answer, without HTTP.

    Kinds of requests take TURNS within a round, for the same users; a ratio is that of a round.
    """
    with TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        write_model(workspace, name, retriever, prepared, {"settings": params.section(name).model_dump(mode="json")})
        export.run(workspace, name)
        model = load_served(workspace.saved_model(name), Origin(model=name, version="benchmark"), "off")
    kinds, rng = requests(prepared), np.random.default_rng(0)
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(rounds + 1):
        spent = dict.fromkeys(kinds, 0.0)
        for users in np.array_split(rng.choice([*model.encoder.users.rows], REQUESTS_PER_ROUND), TURNS):
            for kind, added in kinds.items():
                bodies = [json.dumps({"user_id": user, "k": K} | added) for user in users.tolist()]
                start = time.process_time()
                for body in bodies:
                    model.answer([model.encoder.encode(Query.model_validate_json(body))])[0].model_dump_json()
                spent[kind] += time.process_time() - start
        for kind in kinds if number else ():  # in the first round, code is loaded
            seconds[kind].append(spent[kind] / REQUESTS_PER_ROUND)
    plain = np.array(seconds["plain"])
    return {
        kind: {
            "microseconds": 1e6 * float(np.median(each)),
            "ratio": np.quantile(np.array(each) / plain, (0.5, 0.05, 0.95)).tolist(),
        }
        for kind, each in seconds.items()
    }


def markdown(page: Mapping[str, Any]) -> str:
    """The page, made from its JSON."""
    parts = [
        "# What the options of a request do to lists, and what they cost",
        f"Made by `{page['command']}`; {page['dataset']}, seed {page['seed']}, {page['cores']} cores. Models are "
        f"trained on train, their epoch is chosen on validation, and {page['users']:,} users of it are answered "
        f"with lists of {K}. [docs/query_time.md](../../docs/query_time.md) defines the options, and "
        "[docs/protocols.md](../../docs/protocols.md) the metrics.",
    ]
    for name, found in page["models"].items():
        parts += [f"## {spec(name).label}", *_model(found)]
    return "\n\n".join(parts) + "\n"


def _model(found: Mapping[str, Any]) -> list[str]:
    """Both tables of a model."""
    heads = ["option", "λ", "β"]
    for metric in SHOWN:
        heads += [LABELS[metric], *(["− plain (95 %)"] if metric in PAIRED else [])]
    lines = [f"| {' | '.join(heads)} |", "|---|" + "--:|" * (len(heads) - 1)]
    for row in found["quality"]:
        cells = [row["option"], *(f"{row[name]:g}" if name in row else "" for name in ("diversity", "debias"))]
        for metric, value in row["figures"].items():
            cells.append("–" if value is None else f"{value:+.3f}" if metric == "popularity_lift" else f"{value:.4f}")
            if metric in PAIRED:
                mean, low, high = row["differences"][metric]
                cells.append(f"{mean:+.4f} ({low:+.4f} to {high:+.4f})" if row["option"] != "none" else "")
        lines.append(f"| {' | '.join(cells)} |")
    about = (
        "CPU time of a request by user id in the server's process, without HTTP: median of the rounds, and the ratio "
        "to a plain request of the same round with its 5 % and 95 % quantiles."
    )
    cost = ["| request | µs | × plain |", "|---|--:|--:|"]
    for kind, each in found["costs"].items():
        ratio, low, high = each["ratio"]
        cost.append(f"| {kind} | {each['microseconds']:.0f} | {ratio:.2f} ({low:.2f} to {high:.2f}) |")
    return ["\n".join(lines), about, "\n".join(cost)]


def main() -> None:
    """Print the page; with --write, keep its figures and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--workspace", type=Path, default=ROOT, help="with a split and params.yaml (default: this project)")
    add("--models", nargs="+", default=["mf", "softmax"], help="with epochs (default: mf softmax)")
    add("--rounds", type=int, default=30, help=f"of {REQUESTS_PER_ROUND} requests of each kind (default: 30)")
    add(
        "--write",
        type=Path,
        help="file for the figures, such as benchmarks/results/query_time.json; the page goes next to it",
    )
    arguments = parser.parse_args()
    params, prepared = load_params(arguments.workspace / "params.yaml"), load_prepared(Workspace(arguments.workspace))
    page = measured(params, prepared, arguments.models, arguments.rounds)
    show(page, markdown, arguments.write)


def measured(params: Params, prepared: Prepared, models: Sequence[str], rounds: int) -> dict[str, Any]:
    """All figures of the page."""
    found = {}
    for name in models:
        retriever = trained(prepared, params, name)
        rows = []
        for row in quality(prepared, retriever):
            console.print(f"{name}, {row}", markup=False)
            rows.append(row)
        found[name] = {"quality": rows, "costs": costs(params, prepared, name, retriever, rounds)}
    return {
        "command": f"python benchmarks/query_time.py --models {' '.join(models)} --rounds {rounds}",
        "dataset": params.data.dataset,
        "seed": params.seed,
        "cores": os.cpu_count(),
        "users": int(np.count_nonzero(prepared.valid.lengths)),
        "candidates_per_place": CANDIDATES_PER_PLACE,
        "models": found,
    }


if __name__ == "__main__":
    main()
