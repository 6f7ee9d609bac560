"""Stage `evaluate`: exported retriever + split → top-k lists, and every metric per user, of one model."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

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
from bakeoff.stages.evaluation_files import Evaluated, write_evaluation
from bakeoff.stages.prepared import HeldOut, Prepared, load_held_out, load_prepared
from bakeoff.stages.retrievers import Load, load_fitting
from bakeoff.stages.skipped import skip_evaluation, why_skipped
from bakeoff.workspace import Workspace

ALL = "all"
"""`first_interactions` of new users who were asked about with their whole history."""


def run(params: Params, workspace: Workspace, model: str, load: Load | None = None) -> None:
    """Rank the whole catalogue for warm users with test items and for new users; write lists and metrics.

    Warm users are asked about twice: with their history as it was, and with its order shuffled. Beside the ranking of
    the whole catalogue stands that of each test item among `evidence.sampled_candidates` random ones. Users are ranked
    `evaluate.users_per_block` at a time, which bounds memory.

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
        found, figures = _evaluate(params, _Question(prepared, held_out, warm), retriever, model)
        cost.note(**figures)
        metrics = write_evaluation(workspace.evaluation(model), prepared, found, params.evaluate)
    _print_summary(model, metrics, prepared.num_items, figures["ranking_seconds"])


@dataclass(frozen=True)
class _Question:
    """What is asked: a split, and its warm users with test items."""

    prepared: Prepared
    held_out: HeldOut
    warm: NDArray[np.int64]


def _evaluate(
    params: Params, question: _Question, retriever: Retriever, model: str
) -> tuple[Evaluated, dict[str, float]]:
    """What the model answers, and what the answers cost."""
    prepared, held_out, warm = question.prepared, question.held_out, question.warm
    known = prepared.known()
    new = _with_events(held_out.new_test.lengths)
    steps = _steps(params.evaluate)
    start = time.perf_counter()
    with _progress(model, 2 * len(warm) + len(new) * len(steps)) as advance:
        asker = Asker(retriever, params.evaluate.list_length, params.evaluate.users_per_block, advance)
        test = _ask_warm(asker, question, known)
        without_order = _ask_warm(asker, question, shuffled(known, _draws(params, "shuffled")))
        new_users = {name: _ask_new(asker, prepared, held_out, new, first) for name, first in steps.items()}
    ranked = time.perf_counter()
    sampled = sampled_metrics(
        retriever,
        prepared.queries(known, warm),
        known.merged(held_out.test).take(warm),
        held_out.test.take(warm),
        params.evidence.sampled_candidates,
        _draws(params, "sampled"),
        params.evaluate.users_per_block,
    )
    figures = {
        "ranking_seconds": ranked - start,
        "ranked_queries": 2 * len(test) + sum(map(len, new_users.values())),
        "sampled_seconds": time.perf_counter() - ranked,
    }
    return Evaluated(test, without_order, new_users, sampled, retriever.item_embeddings), figures


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


def _ask_warm(asker: Asker, question: _Question, told: Histories) -> Answers:
    """Ask about warm users, who are told as having these histories."""
    prepared, users = question.prepared, question.warm
    truth = question.held_out.test.take(users)
    return asker.ask(users, prepared.queries(told, users), told.take(users), truth)


def _ask_new(
    asker: Asker, prepared: Prepared, held_out: HeldOut, users: NDArray[np.int64], first: int | None
) -> Answers:
    """Tell the first events only, but leave all earlier events out of the lists.

    So figures for different numbers of events differ by what the model was told and nothing else.
    """
    history = held_out.new_history
    told = history if first is None else history.first(first)
    return asker.ask(users, prepared.queries(told, users), history.take(users), held_out.new_test.take(users))


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
