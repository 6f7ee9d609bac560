"""The protocol `visits`: every visit is a query of its own, asked when it begins, by models that read that time or not.

A visit begins after a pause of more than an hour. What is found is compared over all visits, over those that begin
after such a pause, and over the others, which go on with the last known one. EASE and MF also come with a choice that
a server can make: recency within a visit, none after a pause. Settings are those of `make bench`, and networks are
trained for all epochs of them. Windows of recent popularity are chosen on validation. Validation is looked at with one
seed; test, once for each of the others.

    python benchmarks/visits.py ml-100k ml-1m --data DIR --write benchmarks/results/visits.json
"""

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import stdev
from typing import Any

import numpy as np
from harness.datasets import BENCHMARKS, ROOT, Benchmark, make_split
from harness.pages import show
from harness.score import Estimate, over_seeds_too, with_intervals
from numpy.typing import NDArray
from rich.console import Console

from bakeoff.core.histories import Histories, Queries
from bakeoff.data.prepared.tables import Prepared, load_held_out, load_prepared
from bakeoff.evaluation.metrics.table import accuracy_per_user
from bakeoff.evaluation.ranking.protocol import EvalSet
from bakeoff.evaluation.ranking.visits import PAUSE, means_by_row, visits
from bakeoff.experiments.training.runner import Experiment, run_epochs, warm_users
from bakeoff.models.base.retriever import Retriever
from bakeoff.models.base.specs import spec
from bakeoff.models.ease import ease
from bakeoff.models.mf.mf import MFRetriever
from bakeoff.models.popularity.popularity import PopularityRetriever
from bakeoff.params import Params

SEED, SEEDS, RESAMPLES = 42, 5, 10_000
DAY = 86_400
WINDOWS = (1, 3, 7, 14, 30, 90, 365)
UNTIMED, TIMED = "softmax DNN", "softmax DNN that reads the query's time"
KINDS = ("all", "after a pause", "within a visit")
Values = dict[str, NDArray[np.float64]]
"""By kind of visit, NDCG@10 of each user of the split, a mean over the user's visits; NaN without such a visit."""
console = Console(stderr=True, highlight=False)


@dataclass(frozen=True)
class Judge:
    """Visits of one part of a split, and what to learn from before them.

    Attributes:
        prepared: the split.
        known: events before the visits; rows are user_index.
        visits: q queries.
        late: bool [q], visits after a pause of more than an hour.
    """

    prepared: Prepared
    known: Histories
    visits: EvalSet
    late: NDArray[np.bool_]

    @classmethod
    def of(cls, prepared: Prepared, known: Histories, truth: Histories) -> "Judge":
        """Of these held-out events."""
        found, _, pauses = visits(prepared, np.arange(prepared.num_users), known, truth)
        return cls(prepared, known, found, pauses > PAUSE)

    def ndcg(self, retriever: Retriever) -> NDArray[np.float64]:
        """NDCG@10 of each visit, [q]."""
        lists = self.visits.rank(retriever, 10, 1024)
        return np.asarray(accuracy_per_user(lists, self.visits.truth, (10,))["ndcg@10"])

    def per_user(self, ndcg: NDArray[np.float64]) -> Values:
        """Means over the visits of each user."""
        chosen = dict(zip(KINDS, (np.ones(len(self.late), np.bool_), self.late, ~self.late), strict=True))
        users, size = self.visits.users, self.prepared.num_users
        return {kind: means_by_row(ndcg[rows], users[rows], size) for kind, rows in chosen.items()}

    def facts(self) -> dict[str, int]:
        """Numbers of visits, and of the users that have them."""
        users, late = self.visits.users, self.visits.users[self.late]
        return {"visits": len(users), "users": len(set(users)), "late": len(late), "users_late": len(set(late))}


class RecentPopularity:
    """Popularity of the days before the day of each query, ties by that of all time: a dimension per day."""

    def __init__(self, known: Histories, num_items: int, window: int) -> None:
        """Count the known events of everyone, for a window of so many days."""
        days = known.timestamps // DAY
        self._first = int(days.min())
        counts = np.zeros((int(days.max()) - self._first + 2, num_items))
        np.add.at(counts, (days - self._first + 1, known.items), 1)
        until = np.cumsum(counts, axis=0)  # row d: events before day d
        before = np.maximum(np.arange(len(until)) - window, 0)
        ever = until[-1]
        self.item_embeddings = (until - until[before] + ever / (ever.max() + 1)).T.astype(np.float32)

    def embed_queries(self, queries: Queries) -> NDArray[np.float32]:
        """[n, days], one at the query's own; that of the last known day for later ones."""
        assert queries.times is not None
        last = self.item_embeddings.shape[1] - 1
        day = np.clip(queries.times // DAY - self._first, 0, last)
        return np.eye(last + 1, dtype=np.float32)[day]

    def uses_fallback(self, queries: Queries) -> NDArray[np.bool_]:
        """Never."""
        return np.zeros(len(queries), np.bool_)


def fitted(judge: Judge, params: Params, name: str, seed: int, **changed: Any) -> Retriever:
    """A network or MF, trained on what the judge knows for all epochs of its settings."""
    section = params.section(name).model_copy(update=changed)
    users = warm_users(judge.prepared)
    experiment = Experiment(spec(name), section, judge.prepared, seed)
    trainer = experiment.trainer(judge.prepared.queries(judge.known, users))
    run_epochs(trainer, experiment.max_epochs)
    return trainer.retriever()


def reference_systems(judge: Judge, params: Params, window: int) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """NDCG of each visit, of what has no seed."""
    known, num_items = judge.known, judge.prepared.num_items
    yield "popularity", judge.ndcg(PopularityRetriever(known.item_counts(num_items)))
    name = f"recent popularity at the time of the query, {window} days"
    yield name, judge.ndcg(RecentPopularity(known, num_items, window))
    blind, recent = (
        judge.ndcg(ease.fit(known, num_items, params.ease.model_copy(update={"recency_scale": scale})))
        for scale in (None, params.ease.recency_scale)
    )
    yield "EASE, without order", blind
    yield "EASE, with recency", recent
    yield "EASE, with recency within a visit", np.where(judge.late, blind, recent)


def seeded_systems(judge: Judge, params: Params, seed: int) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """NDCG of each visit, of what draws something."""
    mf = fitted(judge, params, "mf", seed)
    assert isinstance(mf, MFRetriever)
    recent = judge.ndcg(mf)
    blind = judge.ndcg(replace(mf, params=mf.params.model_copy(update={"recency_scale": None})))
    yield "MF, with recency", recent
    yield "MF, with recency within a visit", np.where(judge.late, blind, recent)
    yield UNTIMED, judge.ndcg(fitted(judge, params, "softmax", seed))
    yield TIMED, judge.ndcg(fitted(judge, params, "softmax", seed, use_query_time=True))


def best_window(judge: Judge) -> int:
    """Days of recent popularity with the highest mean over all visits."""

    def score(window: int) -> float:
        ndcg = judge.ndcg(RecentPopularity(judge.known, judge.prepared.num_items, window))
        return float(np.nanmean(judge.per_user(ndcg)["all"]))

    return max(WINDOWS, key=score)


def rows_of(judge: Judge, params: Params, window: int, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """A row for each system: means over seeds and users, with 95 % intervals over both, and the mean of each seed."""
    found: dict[str, list[Values]] = {}
    for name, ndcg in reference_systems(judge, params, window):
        found[name] = [_say(name, judge.per_user(ndcg))]
    for seed in seeds:
        for name, ndcg in seeded_systems(judge, params, seed):
            found.setdefault(name, []).append(_say(f"{name}, seed {seed}", judge.per_user(ndcg)))
    means = {
        name: {kind: np.mean([each[kind] for each in runs], axis=0) for kind in KINDS} for name, runs in found.items()
    }
    each_seed = {
        name: {k: [float(np.nanmean(each[k])) for each in runs] for k in KINDS} for name, runs in found.items()
    }

    def over_both(values: Values, *names: str) -> dict[str, Estimate]:
        ends = with_intervals(values, SEED, RESAMPLES)
        return {k: over_seeds_too(ends[k], *(each_seed[name][k] for name in names)) for k in KINDS}

    for name in found:
        differences = {kind: means[TIMED][kind] - means[name][kind] for kind in KINDS}
        yield {
            "system": name,
            "figures": over_both(means[name], name),
            "seeds": each_seed[name],
            "timed_less_this": over_both(differences, *({name, TIMED} if name != TIMED else ())),
        }


def measured(benchmark: Benchmark, arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures of a data set."""
    split = make_split(benchmark, arguments.data, arguments.scratch / benchmark.name)
    prepared = load_prepared(split.workspace)
    held_out = load_held_out(split.workspace, prepared)
    valid = Judge.of(prepared, prepared.train, prepared.valid)
    window = best_window(valid)
    console.print(f"{benchmark.title}: window of {window} days")
    test = Judge.of(prepared, prepared.known(), held_out.test)
    seeds = range(SEED + 1, SEED + 1 + arguments.seeds)
    return {
        "title": benchmark.title,
        "split": benchmark.split,
        "parts": {
            part: {
                "facts": judge.facts(),
                "seeds": list(each),
                "rows": list(rows_of(judge, split.params, window, each)),
            }
            for part, judge, each in (("validation", valid, [SEED]), ("test", test, seeds))
        },
    }


def markdown(page: Mapping[str, Any]) -> str:
    """The page of these figures."""
    parts = [
        "# Every visit asked at its own time",
        f"Made by `{page['command']}`; {page['cores']} cores. A visit begins after a pause of more than an hour, and "
        "is a query that is asked when it begins, with all events before it. Figures are NDCG@10: means over the "
        "visits of a user, then over users and seeds, with the whole catalogue ranked. Brackets are 95 % intervals "
        "over users and seeds, over users alone where there is one seed; ± is the standard deviation over seeds. "
        "Differences are paired: the network that reads the query's time minus the system of the row. "
        "[docs/protocols.md](../../docs/protocols.md) has the protocol.",
    ]
    for each in page["data"]:
        parts += [f"## {each['title']}", f"Split: {each['split']}."]
        for part, found in each["parts"].items():
            facts, seeds = found["facts"], found["seeds"]
            drawn = f"{len(seeds)} seeds" if len(seeds) > 1 else "one seed"
            parts += [
                f"### {part.capitalize()}, {drawn}",
                f"{facts['visits']:,} visits of {facts['users']:,} users; {facts['late']:,} of them after a pause, of "
                f"{facts['users_late']:,} users.",
                "\n".join(_table(found["rows"])),
            ]
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "| system | " + " | ".join(f"{kind} | difference" for kind in KINDS[:2]) + f" | {KINDS[2]} |"
    yield "|---|" + "---|" * 5
    for row in rows:
        cells = [row["system"]]
        for kind in KINDS:
            (mean, low, high), seeds = row["figures"][kind], row["seeds"][kind]
            spread = f" ± {stdev(seeds):.4f}" if len(seeds) > 1 else ""
            cells.append(f"{mean:.4f} [{low:.4f}, {high:.4f}]{spread}")
            if kind != KINDS[2]:
                mean, low, high = row["timed_less_this"][kind]
                cells.append("" if row["system"] == TIMED else f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]")
        yield f"| {' | '.join(cells)} |"


def _say(name: str, values: Values) -> Values:
    shown = ", ".join(f"{kind} {np.nanmean(each):.4f}" for kind, each in values.items())
    console.print(f"{name}: {shown}", markup=False)
    return values


def main() -> None:
    """Print the page; with --write, keep its figures and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("benchmarks", nargs="+", choices=["ml-100k", "ml-1m"], help="data sets whose events have times")
    raw = os.environ.get("BAKEOFF_BENCH_DATA")
    add("--data", type=Path, default=raw and Path(raw), help="folder of raw data, as for make bench")
    add("--scratch", type=Path, default=ROOT / "artifacts/bench", help="where the split is made")
    add("--seeds", type=int, default=SEEDS, help=f"on test (default: {SEEDS})")
    add("--write", type=Path, help="file for the figures; the page goes next to it")
    arguments = parser.parse_args()
    if arguments.seeds < 2:
        parser.error(f"--seeds {arguments.seeds}: two or more, so that their spread is known")
    page = {
        "command": f"python benchmarks/visits.py {' '.join(arguments.benchmarks)} --data DIR --seeds {arguments.seeds}",
        "cores": os.cpu_count(),
        "data": [measured(BENCHMARKS[name], arguments) for name in arguments.benchmarks],
    }
    show(page, markdown, arguments.write)


if __name__ == "__main__":
    main()
