"""Stage `evaluate`: exported retriever + split → top-k lists, and every metric per user, of one model."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from bakeoff.errors import BakeoffError
from bakeoff.evaluation.asking import Answers, Asker
from bakeoff.evaluation.sampled import sampled_metrics
from bakeoff.evaluation.shuffling import shuffled
from bakeoff.models.retriever import Retriever
from bakeoff.params import EvaluateParams, Params
from bakeoff.preparation.histories import Histories
from bakeoff.stages.cost import measure
from bakeoff.stages.evaluation_files import Evaluated, PerUser, write_evaluation
from bakeoff.stages.prepared import HeldOut, Prepared, load_held_out, load_prepared
from bakeoff.stages.retrievers import Load, load_fitting
from bakeoff.stages.skipped import skip_evaluation, why_skipped
from bakeoff.workspace import Workspace

ALL = "all"
"""`first_interactions` of new users who were asked about with their whole history."""

USERS_PER_PORTION = 1 << 16
"""Users whose lists are in memory at once, as lists, metrics and rows of a file: about 400 MB with lists of 100."""

T = TypeVar("T")


def run(params: Params, workspace: Workspace, model: str, load: Load | None = None) -> None:
    """Rank the whole catalogue for warm users with test items and for new users; write lists and metrics.

    Warm users are asked about twice: with their history as it was, and with its order shuffled. Beside the ranking of
    the whole catalogue stands that of each test item among `evidence.sampled_candidates` random ones. Users are ranked
    `evaluate.users_per_block` at a time, and their lists written USERS_PER_PORTION at a time, which bounds memory.

    Reads artifacts/split and models/<model>; writes artifacts/evaluation/<model> and
    artifacts/cost/evaluate_<model>.json. A split without new users gives empty tables for them; a model that
    training skipped gives a metrics.json with the reason and nothing else.

    Args:
        params: `evaluate`, `seed` and `evidence.sampled_candidates` are used.
        workspace: where files lie.
        model: name of the model.
        load: reads a retriever from its directory; `models.exported.load_retriever` if None.

    Raises:
        BakeoffError: the model or the split is missing, they do not belong together, no warm user has a test
            item, or the embeddings can't be used.
    """
    with measure(workspace, f"evaluate_{model}") as cost:
        reason = why_skipped(workspace, model)
        if reason is not None:
            cost.note(ranking_seconds=0.0, ranked_queries=0, sampled_seconds=0.0)
            skip_evaluation(workspace, model, reason)
            return
        prepared = load_prepared(workspace)
        held_out = load_held_out(workspace, prepared)
        warm = _with_events(held_out.test.lengths)
        if len(warm) == 0:
            raise BakeoffError(
                "No warm user has a test item, so there is nothing to measure: raise split.test_share in "
                "params.yaml, or bring more events per user, and split again."
            )
        retriever = load_fitting(workspace, model, prepared.num_items, load)
        metrics, figures = _evaluate(params, _Question(prepared, held_out, warm), retriever, workspace, model)
        cost.note(**figures)
    _print_summary(model, metrics, prepared.num_items, figures["ranking_seconds"])


@dataclass(frozen=True)
class _Question:
    """What is asked: a split, and its warm users with test items."""

    prepared: Prepared
    held_out: HeldOut
    warm: NDArray[np.int64]


def _evaluate(
    params: Params, question: _Question, retriever: Retriever, workspace: Workspace, model: str
) -> tuple[dict[str, Any], dict[str, float]]:
    """Figures of metrics.json, whose files are written while the model answers, and what the answers cost."""
    prepared, warm = question.prepared, question.warm
    known = prepared.known()
    new = _with_events(question.held_out.new_test.lengths)
    steps = _steps(params.evaluate)
    clock = _Clock()
    with _progress(model, 2 * len(warm) + len(new) * len(steps)) as advance:
        asker = Asker(retriever, params.evaluate.list_length, params.evaluate.users_per_block, advance)
        found = Evaluated(
            test=clock.timed("ranking", _ask_warm(asker, question, known)),
            shuffled=clock.timed("ranking", _ask_shuffled(asker, question, known, _draws(params, "shuffled"))),
            new_users={
                name: clock.timed("ranking", _ask_new(asker, question, new, first)) for name, first in steps.items()
            },
            sampled=lambda: clock.time("sampled", lambda: _sampled(params, question, retriever, known)),
            item_embeddings=retriever.item_embeddings,
        )
        metrics = write_evaluation(workspace.evaluation(model), prepared, found, params.evaluate)
    figures = {
        "ranking_seconds": clock.seconds["ranking"],
        "ranked_queries": 2 * len(warm) + len(new) * len(steps),
        "sampled_seconds": clock.seconds["sampled"],
    }
    return metrics, figures


class _Clock:
    """Seconds by what they were spent on."""

    def __init__(self) -> None:
        self.seconds = {"ranking": 0.0, "sampled": 0.0}

    def time(self, what: str, work: Callable[[], T]) -> T:
        """What `work` returns."""
        start = time.perf_counter()
        done = work()
        self.seconds[what] += time.perf_counter() - start
        return done

    def timed(self, what: str, portions: Iterator[Answers]) -> Iterator[Answers]:
        """The portions; what is done with them meanwhile does not count."""
        while (portion := self.time(what, lambda: next(portions, None))) is not None:
            yield portion


def _sampled(params: Params, question: _Question, retriever: Retriever, known: Histories) -> PerUser:
    rng = _draws(params, "sampled")
    parts = []
    for users in _portions(question.warm):
        truth = question.held_out.test.take(users)
        queries = question.prepared.queries(known, users)
        seen = queries.histories.merged(truth)
        count, at_once = params.evidence.sampled_candidates, params.evaluate.users_per_block
        parts.append(sampled_metrics(retriever, queries, seen, truth, count, rng, at_once))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _draws(params: Params, purpose: Literal["shuffled", "sampled"]) -> np.random.Generator:
    """The same draws for every model; one purpose has nothing to do with the other."""
    return np.random.default_rng([params.seed, ("shuffled", "sampled").index(purpose)])


def _with_events(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.flatnonzero(lengths > 0)


def _steps(params: EvaluateParams) -> dict[str, int | None]:
    """Name → how many of their first events the model is told of new users; None: all."""
    return {**{str(count): count for count in params.first_interactions}, ALL: None}


@contextmanager
def _progress(model: str, total: int) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"ranking with {model}", total=total)
        yield lambda users: progress.advance(task, users)


def _portions(users: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Users in portions; a single one without users where there are none."""
    for start in range(0, max(len(users), 1), USERS_PER_PORTION):
        yield users[start : start + USERS_PER_PORTION]


def _ask_warm(asker: Asker, question: _Question, told: Histories) -> Iterator[Answers]:
    """Ask about warm users, who are told as having these histories."""
    for users in _portions(question.warm):
        truth = question.held_out.test.take(users)
        yield asker.ask(users, question.prepared.queries(told, users), told.take(users), truth)


def _ask_shuffled(asker: Asker, question: _Question, known: Histories, rng: np.random.Generator) -> Iterator[Answers]:
    """The same with the order of their histories taken away."""
    told = question.prepared.keep(shuffled(block, rng) for _, block in known.blocks())
    yield from _ask_warm(asker, question, told)


def _ask_new(asker: Asker, question: _Question, new: NDArray[np.int64], first: int | None) -> Iterator[Answers]:
    """Tell the first events only, but leave all earlier events out of the lists.

    So figures for different numbers of events differ by what the model was told and nothing else.
    """
    history, truth = question.held_out.new_history, question.held_out.new_test
    told = history if first is None else history.first(first)
    for users in _portions(new):
        yield asker.ask(users, question.prepared.queries(told, users), history.take(users), truth.take(users))


def _print_summary(model: str, metrics: Mapping[str, Any], num_items: int, seconds: float) -> None:
    test = metrics["test"]
    figures = {name: test[name] for name in test if name.split("@")[0] in ("ndcg", "recall", "coverage")}
    told = metrics["new_users"]
    print(f"{model}: all {num_items:,} items ranked for {test['num_users']:,} test users in {seconds:.1f} s")
    print("  " + "  ".join(f"{name} {_figure(value)}" for name, value in figures.items()))
    if told[ALL]["num_users"] == 0:
        print("  no new user has a test item: nothing is said of new users")
        return
    metric = next(name for name in told[ALL] if name.startswith("ndcg@"))
    by_step = ", ".join(f"{step} first events {_figure(told[step][metric])}" for step in told)
    print(f"  {told[ALL]['num_users']:,} new users, {metric} given {by_step}")


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
