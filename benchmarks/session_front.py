"""Within the session and long after it: what a softmax DNN gains on one side and loses on the other, and the limit.

Shows NDCG@10 on validation over all events, and over those that come more than an hour after the last one that the
query knows: of popularity and EASE, with and without recency; of softmax DNNs by `softmax.long_term_share`, the share
of a target that lies on any later item and not on the next ones; and of the one without by `softmax.smoothing`, which
moves items towards all users that had them, whenever that was. Then two of these are combined by choices that a served
model could make, or not. Test is not opened.

    python benchmarks/session_front.py ml-100k ml-1m --data DIR
"""

import argparse
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from harness.datasets import BENCHMARKS, ROOT, Benchmark, Split, make_split
from numpy.typing import NDArray
from rich.console import Console

from bakeoff.core.files import write_text
from bakeoff.core.histories import Histories, Queries
from bakeoff.data.prepared.tables import Prepared, load_prepared
from bakeoff.evaluation.metrics.table import accuracy_per_user
from bakeoff.evaluation.ranking import TopLists, rank
from bakeoff.experiments.training.runner import Experiment, run_epochs, warm_users
from bakeoff.models.base.retriever import Retriever
from bakeoff.models.base.specs import spec
from bakeoff.models.ease import ease
from bakeoff.models.neural.pooling import smooth
from bakeoff.models.popularity.popularity import PopularityRetriever

HOUR = 3600
SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
SMOOTHINGS = (0.25, 0.5, 1.0, 2.0, 3.0, 5.0)
PAUSES = (5, 2, 1)
STAKES = (0.0, 0.25, 1.0, 4.0)
POPULARITY, ORDER_BLIND, SESSION = "popularity", "EASE", "softmax DNN, long-term share 0"
TOLD = "told "
"""How names of combinations begin that no model can make: they are told what is still to come."""

Choice = NDArray[np.bool_]
console = Console(stderr=True, highlight=False)


def main() -> None:
    """Print the page; with --write, into a file."""
    arguments = _arguments()
    sections = [_section(BENCHMARKS[name], arguments) for name in arguments.benchmarks]
    options = "".join(f" {share:g}" for share in arguments.shares)
    made = (
        f"Made by `python benchmarks/session_front.py {' '.join(arguments.benchmarks)} --data DIR --shares{options}`; "
        "validation, NDCG@10. Late events come more than an hour after the last one known. Smoothing moves items "
        "towards all users that had them, whenever that was; elsewhere there is none of it here."
    )
    page = "\n".join(["# Within the session and long after it\n", made, *sections])
    print(page)
    if arguments.write:
        write_text(arguments.write, page)


def _section(benchmark: Benchmark, arguments: argparse.Namespace) -> str:
    split = make_split(benchmark, arguments.data, arguments.scratch / benchmark.name)
    judge = Judge(load_prepared(split.workspace))
    curve: dict[str, Scores] = {}
    for name, retriever in _models(split, judge.prepared, arguments.shares):
        curve[name] = _say(name, judge.score(retriever))
        if name == SESSION:
            smoothed = smoothings(retriever, judge)
            curve |= {f"{SESSION}, smoothing {a:g}": _say(f"smoothing {a:g}", found) for a, found in smoothed}
    return section(benchmark.title, judge, curve)


@dataclass(frozen=True)
class Scores:
    """NDCG@10 of each user, float64 [n]: over all events to find, and over late ones (NaN without such)."""

    everything: NDArray[np.float64]
    late: NDArray[np.float64]

    def means(self) -> tuple[float, float]:
        """Over the users that have such events."""
        return float(self.everything.mean()), float(np.nanmean(self.late))

    def where(self, choice: Choice, other: "Scores") -> "Scores":
        """These, but the other's for the chosen users."""
        pairs = (self.everything, other.everything), (self.late, other.late)
        return Scores(*(np.where(choice, theirs, mine) for mine, theirs in pairs))


class Judge:
    """NDCG@10 on validation of one list for each user, over all events and over late ones.

    Attributes:
        prepared: the split.
        queries: what is known of the users that have something to find.
        has_late: bool [n], users with a late event to find.
        only_late: bool [n], users whose first event to find is late already, so that all are.
        pauses: int64 [n], of more than an hour in what is known of a user.
    """

    def __init__(self, prepared: Prepared) -> None:
        """Find out which events are late."""
        self.prepared = prepared
        users = np.flatnonzero(prepared.valid.lengths)
        self.queries, self._truth = prepared.queries(prepared.train, users), prepared.valid.take(users)
        known = self.queries.histories
        last = known.timestamps[known.offsets[1:] - 1]
        is_late = self._truth.timestamps > np.repeat(last, self._truth.lengths) + HOUR
        rows, items, times = (x[is_late] for x in (self._truth.rows, self._truth.items, self._truth.timestamps))
        self._late = Histories.from_rows(rows, items, times, len(users))
        self.has_late, self.only_late = self._late.lengths > 0, is_late[self._truth.offsets[:-1]]
        paused = (np.diff(known.timestamps) > HOUR) & (np.diff(known.rows) == 0)
        self.pauses = np.bincount(known.rows[1:][paused], minlength=len(users))

    def score(self, retriever: Any, embedded: NDArray[np.float32] | None = None) -> Scores:
        """The lists of a retriever; `embedded` [n, d] are its query embeddings, if they are known (see Embedded)."""
        asked = self.queries if embedded is None else replace(self.queries, dense=embedded)
        lists = rank(retriever, asked, asked.histories, self._truth, 10, 1024)
        return Scores(self._ndcg(lists, self._truth), self._ndcg(lists, self._late))

    def _ndcg(self, lists: TopLists, truth: Histories) -> NDArray[np.float64]:
        return np.asarray(accuracy_per_user(lists, truth, (10,))["ndcg@10"])


@dataclass(frozen=True)
class Embedded:
    """A retriever of queries that stand embedded where their dense features would, float32 [n, d]."""

    item_embeddings: NDArray[np.float32]

    def embed_queries(self, queries: Queries) -> NDArray[np.float32]:
        """As they are."""
        return queries.dense

    def uses_fallback(self, queries: Queries) -> Choice:
        """Never."""
        return np.zeros(len(queries), np.bool_)


def smoothings(retriever: Retriever, judge: Judge) -> Iterator[tuple[float, Scores]]:
    """One model, trained without smoothing, at each strength of it."""
    known = judge.queries
    embedded = retriever.embed_queries(known)
    for strength in SMOOTHINGS:
        items = smooth(retriever.item_embeddings, embedded, known.histories, strength)
        yield strength, judge.score(Embedded(items), embedded)


def ends(curve: Mapping[str, Scores]) -> tuple[str, Scores, str, Scores]:
    """The model with the most over all events, and the one with the most of those that have as much late as EASE."""
    means = {name: scores.means() for name, scores in curve.items()}
    session = max(means, key=lambda name: means[name][0])
    enough = [name for name in means if means[name][1] >= means[ORDER_BLIND][1]]
    later = max(enough, key=lambda name: means[name][0])
    return session, curve[session], later, curve[later]


def choices(judge: Judge, name: str, session: Scores, other: str, later: Scores) -> Iterator[tuple[str, Scores]]:
    """What comes of giving some users the list of the other model and the others that of the session's."""
    yield f"A: {name}", session
    yield f"B: {other}", later
    for least in PAUSES:
        chosen = judge.pauses >= least
        yield (
            f"B where the history has {least} or more pauses of an hour ({_share(chosen)})",
            session.where(chosen, later),
        )
    yield f"{TOLD}who comes back: B for them ({_share(judge.has_late)})", session.where(judge.has_late, later)
    for stake in STAKES:
        chosen = _better(session, later, stake)
        title = f"{TOLD}what is found: the better of A and B, late counted {stake:g} times ({_share(chosen)})"
        yield title, session.where(chosen, later)


def _better(session: Scores, later: Scores, stake: float) -> Choice:
    """Whom to give the other list, for the greatest mean over all events + stake · mean over late ones."""
    everything = (later.everything - session.everything) / len(session.everything)
    late = (later.late - session.late) / np.count_nonzero(~np.isnan(session.late))
    return np.asarray(everything + stake * np.nan_to_num(late) > 0)


def _share(chosen: Choice) -> str:
    return f"{chosen.mean() if len(chosen) else 0:.0%}".replace("%", " %")


def _models(split: Split, prepared: Prepared, shares: list[float]) -> Iterator[tuple[str, Retriever]]:
    params = split.params
    yield POPULARITY, PopularityRetriever(prepared.train.item_counts(prepared.num_items))
    for scale in (None, params.ease.recency_scale):
        settings = params.ease.model_copy(update={"recency_scale": scale})
        name = ORDER_BLIND if scale is None else f"EASE, recency scale {scale:g}"
        yield name, ease.fit(prepared.train, prepared.num_items, settings)
    queries = prepared.queries(prepared.train, warm_users(prepared))
    for share in shares:
        changed = params.softmax.model_copy(update={"long_term_share": share, "smoothing": 0.0})
        experiment = Experiment(spec("softmax"), changed, prepared, params.seed)
        trainer = experiment.trainer(queries)
        run_epochs(trainer, experiment.max_epochs)
        yield f"softmax DNN, long-term share {share:g}", trainer.retriever()


def section(title: str, judge: Judge, curve: Mapping[str, Scores]) -> str:
    """What is found on a data set: the models, their combinations where no model has both, and what follows."""
    late, (name, session, other, later) = judge.has_late, ends(curve)
    parts = [
        f"\n## {title}\n",
        f"{len(late):,} users, {late.sum():,} of them ({_share(late)}) with late events to find.\n",
        *_table(curve),
    ]
    if name == other:
        parts += [f"\n- One model is best over all events and as good as EASE later: {name}."]
        return "\n".join([*parts, ""])
    limits = dict(choices(judge, name, session, other, later))
    parts += [
        "\nTwo of these combined, a list for each user: A is best over all events; B is best over all events of "
        f"those that are as good as {ORDER_BLIND} on late ones.\n",
        *_table(limits),
        "",
        *verdict(judge, curve, limits),
    ]
    return "\n".join([*parts, ""])


def verdict(judge: Judge, curve: Mapping[str, Scores], limits: Mapping[str, Scores]) -> Iterator[str]:
    """In sentences: whether one list has both, as much over all events as the session's and as much late as EASE."""
    rows = {name: scores.means() for name, scores in {**curve, **limits}.items()}
    everything, late = rows[SESSION][0], rows[ORDER_BLIND][1]
    served = {name: means for name, means in rows.items() if not name.startswith(TOLD)}
    both = [name for name, means in served.items() if means[0] >= everything and means[1] >= late]
    if both:
        best = max(both, key=lambda name: rows[name][0])
        yield f"- A model that can be served has both ({everything:.4f} and {late:.4f}): {best}."
    else:
        most = max(means[0] for means in served.values() if means[1] >= late)
        latest = max(means[1] for means in served.values() if means[0] >= everything)
        yield (
            f"- No model above that can be served has both, {everything:.4f} over all events ({SESSION}) and "
            f"{late:.4f} over late ones ({ORDER_BLIND}): with as much late the most over all events is {most:.4f}, "
            f"with as much over all events the most late is {latest:.4f}."
        )
    who, what = (next(m for name, m in rows.items() if name.startswith(TOLD + told)) for told in ("who", "what"))
    yield (
        f"- To be told who will come back and give them B makes {who[0]:.4f} and {who[1]:.4f}; to be told what they "
        f"will find, and give everyone the better of A and B, {what[0]:.4f} and {what[1]:.4f}."
    )
    mixed = judge.has_late & ~judge.only_late
    yield (
        f"- {mixed.sum():,} of the {judge.has_late.sum():,} users that come back first go on with their session: the "
        "same ten places are to hold what comes next and what comes later."
    )
    least, none = judge.pauses >= PAUSES[0], judge.pauses == 0
    yield (
        f"- Who comes back is known in part: {_share(judge.has_late[least])} of users with {PAUSES[0]} or more pauses "
        f"do, {_share(judge.has_late[none])} of those with none, but the latter are {_share(none)} of all and "
        f"{_share(none[judge.has_late])} of those that come back."
    )


def _table(rows: Mapping[str, Scores]) -> list[str]:
    lines = [f"| {name} | {scores.means()[0]:.4f} | {scores.means()[1]:.4f} |" for name, scores in rows.items()]
    return ["| model | all events | late events |", "|---|---|---|", *lines]


def _say(name: str, scores: Scores) -> Scores:
    console.print(f"{name}: {scores.means()[0]:.4f}, late {scores.means()[1]:.4f}", markup=False)
    return scores


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmarks", nargs="+", choices=[name for name in BENCHMARKS if name in ("ml-100k", "ml-1m")])
    raw = os.environ.get("BAKEOFF_BENCH_DATA")
    parser.add_argument("--data", type=Path, default=raw and Path(raw), help="folder of raw data, as for make bench")
    parser.add_argument("--scratch", type=Path, default=ROOT / "artifacts/bench", help="where the split is made")
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help="0 among them; each is a training")
    parser.add_argument("--write", type=Path, help="file for the page")
    arguments = parser.parse_args()
    if 0 not in arguments.shares:
        parser.error("--shares must name 0: the model within the session")
    return arguments


if __name__ == "__main__":
    main()
