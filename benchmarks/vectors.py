"""What vectors of titles are worth as a feature of items: NDCG@10 on validation, and recall of new items.

    python benchmarks/vectors.py --data DIR ml-100k

Vectors come from scikit-learn: TF-IDF over the character n-grams of a title, then truncated SVD. They go the way of a
team's own vectors: a list column of a Parquet file, fetched, validated and split. Each model is trained with several
sets of item features, with half of the epochs of params.yaml; validation chooses among
four of them. New items are drawn as in the report: all their events before test are withheld, and test events on them
are the truth; each seed draws other items. As a control, genres come as a vector too, in place of tags: there the
outcome is known. Nothing was chosen on these figures. A training that was measured stays measured; `--pages` makes the
page again from the figures.
"""

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from harness.code import made_with
from harness.datasets import BENCHMARKS, Benchmark, make_split, settings_of
from numpy.typing import NDArray
from rich.console import Console
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from bakeoff.core.files import write_json, write_text
from bakeoff.core.workspace import Workspace
from bakeoff.data.features.encoding import EncodedFeatures, TableEncoding
from bakeoff.data.fetch import command as fetch
from bakeoff.data.fetch.own_sources import Request
from bakeoff.data.prepared.tables import Prepared, load_held_out, load_prepared
from bakeoff.evaluation.metrics.formulas import num_relevant
from bakeoff.evaluation.metrics.table import accuracy_per_user
from bakeoff.evaluation.ranking.protocol import EvalSet
from bakeoff.evaluation.stats.intervals import intervals
from bakeoff.experiments.training.runner import Experiment
from bakeoff.experiments.variants.groups import NEW_ITEMS, NothingToCompareError
from bakeoff.experiments.variants.measure import train_variant
from bakeoff.experiments.variants.protocol import VariantProtocol, protocol_of
from bakeoff.models.base.specs import spec
from bakeoff.params import Params, parse_params
from bakeoff.stages import split, validate

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks/results"
DIMENSIONS = 64
MARGIN = 0.005
"""A difference whose whole interval lies within it is shown to be small."""
SHIPPED, ADDED, IN_PLACE = "as shipped", "with title vector", "title vector in place of words"
NO_GENRES, TAGS, GENRE_VECTOR = "year alone", "year and genre tags", "year and genre vector"
FEATURES: Mapping[str, Sequence[str]] = {
    SHIPPED: ("year", "genres", "title"),
    ADDED: ("year", "genres", "title", "title_vector"),
    IN_PLACE: ("year", "genres", "title_vector"),
    NO_GENRES: ("year",),
    TAGS: ("year", "genres"),
    GENRE_VECTOR: ("year", "genre_vector"),
}
PAIRS = ((SHIPPED, ADDED), (SHIPPED, IN_PLACE), (NO_GENRES, GENRE_VECTOR), (TAGS, GENRE_VECTOR))
"""What is compared: without a vector, with it."""
METRICS = ("ndcg@10 on validation", "recall@20", "recall@100", "among_new_recall@10")
PLAN = (
    *product(("two_tower", "softmax"), (SHIPPED, ADDED)),
    *product(("two_tower",), (NO_GENRES, TAGS, GENRE_VECTOR)),
    ("two_tower", IN_PLACE),
)
"""Model and its item features, in the order in which they are measured."""
CHANCE = "chance"
console = Console(stderr=True, highlight=False)
Values = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Measured:
    """A data set with vectors, and where its figures are kept."""

    values: Mapping[str, Any]
    workspace: Workspace
    prepared: Prepared

    def params(self, seed: int) -> Params:
        """Settings with this seed."""
        return parse_params({**self.values, "seed": seed}, "vectors.py")


def title_vectors(titles: Sequence[str]) -> NDArray[np.float32]:
    """TF-IDF of character 3- to 5-grams, then truncated SVD: float32 [n, DIMENSIONS]; 0 for an empty title."""
    counted = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), min_df=2, sublinear_tf=True).fit_transform(titles)
    found: NDArray[np.float64] = TruncatedSVD(DIMENSIONS, random_state=0).fit_transform(counted)
    return found.astype(np.float32)


def make(benchmark: Benchmark, raw: Path | None, scratch: Path) -> Measured:
    """Fetch, validate and split a data set with both vectors, once."""
    values = settings_of(benchmark, Path("nowhere"))  # params.yaml as it is
    features = {**values["data"]["item_features"], "title_vector": "vector", "genre_vector": "vector"}
    values["data"] |= {"dataset": f"{benchmark.name}-vectors", "item_features": features}
    workspace = Workspace(scratch / "with_vectors")
    if not (workspace.vocabulary / "features.json").exists():
        params, source = parse_params(values, benchmark.name), scratch / "files"
        plain = make_split(benchmark, raw, scratch).workspace
        source.mkdir(parents=True, exist_ok=True)
        for name in ("interactions", "users"):
            (source / f"{name}.csv").write_bytes((plain.data / f"{name}.csv").read_bytes())
        items = pd.read_csv(plain.data / "items.csv", dtype=str, keep_default_na=False)
        table = pa.Table.from_pandas(items, preserve_index=False)
        genres = items["genres"].str.get_dummies("|").to_numpy(np.float32)
        for name, vectors in (("title_vector", title_vectors(items["title"].tolist())), ("genre_vector", genres)):
            flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
            table = table.append_column(name, flat)
        pq.write_table(table, source / "items.parquet")
        fetch.run(params.data, workspace, Request(source), force=True)
        validate.run(params, workspace)
        split.run(params, workspace)
    return Measured(values, workspace, load_prepared(workspace))


def with_item_features(prepared: Prepared, names: Sequence[str]) -> Prepared:
    """The split with some of its item features."""
    encoding, features = prepared.encoding.item, prepared.item_features
    kept = TableEncoding.model_validate(
        {
            kind: {name: each for name, each in values.items() if name in names}
            for kind, values in encoding.model_dump().items()
        }
    )
    sizes = dict.fromkeys(encoding.dense, 1) | encoding.vector
    columns = np.repeat([name in names for name in sizes], list(sizes.values()))
    tags, words = (
        tuple(each for name, each in zip(named, sets, strict=True) if name in names)
        for named, sets in ((encoding.tags, features.tag_sets), (encoding.text, features.word_sets))
    )
    return replace(
        prepared,
        encoding=prepared.encoding.model_copy(update={"item": kept}),
        item_features=EncodedFeatures(
            features.dense[:, columns],
            features.categorical,
            features.categorical_sizes,
            tags,
            words,
            sum(kept.vector.values()),
        ),
    )


def per_user(data: Measured, model: str, features: str, seed: int) -> Values:
    """Metrics of every user of the split, float64 [num_users]; NaN for users without truth."""
    params = data.params(seed)
    chosen = with_item_features(data.prepared, FEATURES[features])
    try:
        protocol = protocol_of(params.experiments, NEW_ITEMS, chosen, partial(load_held_out, data.workspace, chosen))
    except NothingToCompareError as reason:
        raise SystemExit(str(reason)) from None
    seen = protocol.prepared
    settings: Any = params.section(model)
    epochs = max(1, settings.max_epochs // 2)
    retriever = train_variant(Experiment(spec(model), settings, seen, seed, epochs=epochs)).retriever
    on_validation = EvalSet.of(seen, seen.train, seen.valid)
    lists = on_validation.rank(retriever, 10, params.evaluate.users_per_block)
    ndcg = accuracy_per_user(lists, on_validation.truth, (10,))["ndcg@10"]
    metrics = protocol.evaluate(retriever)
    of_new = {**metrics.warm.accuracy, **metrics.further} | chance(protocol, chosen.num_items)
    found = {METRICS[0]: (on_validation.users, ndcg)}
    for name, values in of_new.items():
        if name in METRICS or name.startswith(CHANCE):
            found[name] = protocol.warm.users, values
    columns = {name: np.full(chosen.num_users, np.nan) for name in found}
    for name, (users, values) in found.items():
        columns[name][users] = values
    return columns


def chance(protocol: VariantProtocol, num_items: int) -> dict[str, NDArray[np.float64]]:
    """Expected recall of items drawn at random from those that each user has not had: k |T| / n / min(k, |T|)."""
    warm, truth = protocol.warm, num_relevant(protocol.warm.truth)
    is_new = np.isin(warm.exclude.items, protocol.new_items)
    seen_new = np.bincount(warm.exclude.rows[is_new], minlength=len(warm))
    rests = {
        "recall@20": num_items - warm.exclude.lengths,
        "recall@100": num_items - warm.exclude.lengths,
        "among_new_recall@10": len(protocol.new_items) - seen_new,
    }
    found = {}
    for name, rest in rests.items():
        k = int(name.rpartition("@")[2])
        found[f"{CHANCE} {name}"] = np.minimum(k * truth / rest / np.minimum(truth, k), 1.0)
    return found


def measure(data: Measured, seeds: Sequence[int], scratch: Path) -> dict[str, Any]:
    """All of PLAN, seed by seed, each training measured once; means, intervals over users, and differences."""
    runs: dict[tuple[str, str], list[Values]] = {}
    for seed, (model, features) in product(seeds, PLAN):
        path = scratch / f"{model} {features} {seed}.npz"
        if not path.exists():
            np.savez(path, allow_pickle=False, **per_user(data, model, features, seed))
        with np.load(path, allow_pickle=False) as stored:
            values = {name: stored[name] for name in stored.files}
        means = {name: round(float(np.nanmean(each)), 4) for name, each in values.items()}
        console.print(f"{model}, {features}, seed {seed}: {means}", markup=False)
        runs.setdefault((model, features), []).append(values)
    rows, differences = [], []
    for (model, features), metric in product(runs, METRICS):
        values_of, about = runs[model, features], {"model": model, "metric": metric}
        seed_means = [float(np.nanmean(values[metric])) for values in values_of]
        row = {**about, "features": features, "seeds": seed_means, **_interval(values_of, metric)}
        if by_chance := [values[name] for values in values_of if (name := f"{CHANCE} {metric}") in values]:
            row["chance"] = float(np.mean([np.nanmean(each) for each in by_chance]))
        rows.append(row)
        for without in [other for other, with_vector in PAIRS if with_vector == features and (model, other) in runs]:
            both = zip(values_of, runs[model, without], strict=True)
            paired = [{metric: a[metric] - b[metric]} for a, b in both]
            each = [float(np.nanmean(pair[metric])) for pair in paired]
            differences.append(
                {**about, "without": without, "with": features, "seeds": each, **_interval(paired, metric)}
            )
    return {"seeds": list(seeds), "rows": rows, "differences": differences}


def _interval(values_of: Sequence[Values], metric: str) -> dict[str, float]:
    """Mean over users of a user's mean over seeds, with its bootstrap interval."""
    together = np.stack([values[metric] for values in values_of])
    known = np.isfinite(together).any(axis=0)
    of_users = np.nanmean(together[:, known], axis=0)
    return interval(of_users)


def interval(values: NDArray[np.float64]) -> dict[str, float]:
    """Mean over users with its 95 % bootstrap interval, and how many they are."""
    found = intervals(values[:, np.newaxis], np.random.default_rng(0))
    return {name: float(getattr(found, name)[0]) for name in ("mean", "low", "high")} | {"users": len(values)}


def finding(difference: Mapping[str, Any]) -> str:
    """One of the findings that docs/method.md knows."""
    low, high = difference["low"], difference["high"]
    if low >= -MARGIN and high <= MARGIN:
        return "shown to be small"
    return "better" if low > 0 else "worse" if high < 0 else "too few data"


LABELS = {
    "ndcg@10 on validation": "NDCG@10 on validation",
    "recall@20": "capped recall@20 of new items",
    "recall@100": "capped recall@100 of new items",
    "among_new_recall@10": "capped recall@10 among new items alone",
}


def markdown(page: Mapping[str, Any]) -> str:
    """The page, made from its JSON."""
    parts = [
        "# Vectors of titles as a feature of items",
        f"Made by `python benchmarks/vectors.py --data DIR {' '.join(page['data'])}`. Vectors: TF-IDF over the "
        f"character 3- to 5-grams of a title, then truncated SVD to {DIMENSIONS} dimensions (scikit-learn), as a list "
        "column of items.parquet. Settings are those of `params.yaml`, which were tuned without vectors, with half of "
        "the epochs. Nothing was chosen on these figures.",
        "A tenth of the items is withheld from training, other ones for each seed. Recall of new items: the truth is "
        "the test events on them; chance is what a list drawn at random would reach. NDCG@10 on validation: of the "
        "same models, on the items that are left. A user counts with the mean over seeds; intervals are 95 % bootstrap "
        f"intervals over users. *Shown to be small*: the whole interval lies within ±{MARGIN:g}; *too few data*: it "
        "holds 0 and reaches beyond.",
        f"As a control, genres come as a vector (multi-hot) in place of tags. Compared with `{NO_GENRES}` recall of "
        f"new items must rise, and with `{TAGS}` stay about where it is, if vectors reach the network as they should.",
    ]
    for content in page["data"].values():
        seeds = ", ".join(map(str, content["seeds"]))
        lines = [
            "| model | measured | without | with | difference | per seed | finding |",
            "|---|---|---|---|---|---|---|",
        ]
        for each in content["differences"]:
            of_seeds = ", ".join(f"{mean:+.4f}" for mean in each["seeds"])
            interval = f"{each['mean']:+.4f} [{each['low']:+.4f}, {each['high']:+.4f}]"
            what = LABELS[each["metric"]]
            lines.append(
                f"| {each['model']} | {what} | {each['without']} | {each['with']} | {interval} | {of_seeds} "
                f"| {finding(each)} |"
            )
        parts += [f"## {content['title']}, seeds {seeds}", "\n".join(lines)]
        lines = ["| model | measured | item features | mean | users | chance |", "|---|---|---|---|--:|--:|"]
        for row in content["rows"]:
            mean = f"{row['mean']:.4f} [{row['low']:.4f}, {row['high']:.4f}]"
            what = LABELS[row["metric"]]
            by_chance = f"{row['chance']:.4f}" if "chance" in row else "–"
            lines.append(f"| {row['model']} | {what} | {row['features']} | {mean} | {row['users']:,} | {by_chance} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Measure what has not been measured yet, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="ml-100k or ml-1m; default: ml-100k")
    parser.add_argument("--data", type=Path, help="folder of raw data, with ml-100k/ and ml-1m/ as published")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44])
    parser.add_argument("--scratch", type=Path, default=ROOT / "artifacts/bench/vectors")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of vectors.json and vectors.md")
    parser.add_argument("--pages", action="store_true", help="measure nothing, make the page from vectors.json")
    arguments = parser.parse_args()
    path = arguments.results / "vectors.json"
    page = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"data": {}}
    for name in [] if arguments.pages else arguments.names or ["ml-100k"]:
        scratch = arguments.scratch / made_with(settings_of(BENCHMARKS[name], Path("nowhere"))) / name
        data = make(BENCHMARKS[name], arguments.data, scratch)
        page["data"][name] = {"title": BENCHMARKS[name].title} | measure(data, arguments.seeds, scratch)
        write_json(path, page | {"cores": os.cpu_count()})
    write_text(path.with_suffix(".md"), markdown(page))
    console.print(f"{path.with_suffix('.md')} is written")


if __name__ == "__main__":
    main()
