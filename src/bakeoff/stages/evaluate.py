"""Stage `evaluate`: exported retriever + split → top-k lists, and every metric per user, of one model."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import Progress

from bakeoff.errors import BakeoffError
from bakeoff.evaluation.asking import Answers
from bakeoff.evaluation.metrics.measures import ALL_ITEMS, PerUser
from bakeoff.evaluation.sampled import full_metrics, sampled_metrics
from bakeoff.models.retriever import Retriever
from bakeoff.params import Params
from bakeoff.stages.answers import answering
from bakeoff.stages.cost import measure
from bakeoff.stages.evaluation_files import Evaluated, write_evaluation
from bakeoff.stages.prepared import load_held_out, load_prepared
from bakeoff.stages.questions import ALL, SHUFFLED, TEST, Questions
from bakeoff.stages.retrievers import Load, load_fitting
from bakeoff.stages.skipped import skip_evaluation, why_skipped
from bakeoff.workspace import Workspace

T = TypeVar("T")


def run(params: Params, workspace: Workspace, model: str, load: Load | None = None) -> None:
    """Rank the whole catalogue for warm users with test items and for new users; write lists and metrics.

    Warm users are asked about twice: with their history as it was, and with its order shuffled. Beside the ranking of
    the whole catalogue stands that of each test item among `evidence.sampled_candidates` random ones. Users are ranked
    `evaluate.users_per_block` at a time, and their lists and metrics written portion by portion, which bounds memory.
    Where Spark is the engine its executors rank; lists, metrics and means are the same.

    Reads artifacts/split and models/<model>; writes artifacts/evaluation/<model> and
    artifacts/cost/evaluate_<model>.json. A split without new users gives empty tables for them; a model that
    training skipped gives a metrics.json with the reason and nothing else.

    Args:
        params: `evaluate`, `seed`, `evidence.sampled_candidates` and `engine` are used.
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
        questions = Questions(prepared, load_held_out(workspace, prepared), params)
        if len(questions.warm) == 0:
            raise BakeoffError(
                "No warm user has a test item, so there is nothing to measure: raise split.test_share in "
                "params.yaml, or bring more events per user, and split again."
            )
        retriever = load_fitting(workspace, model, prepared.items, load)
        metrics, figures = _evaluate(questions, retriever, workspace, model)
        cost.note(**figures)
    _print_summary(model, metrics, prepared.num_items, figures["ranking_seconds"])


def _evaluate(
    questions: Questions, retriever: Retriever, workspace: Workspace, model: str
) -> tuple[dict[str, Any], dict[str, float]]:
    """Figures of metrics.json, whose files are written while the model answers, and what the answers cost."""
    prepared, params = questions.prepared, questions.params
    ranked = 2 * len(questions.warm) + len(questions.new) * len(questions.steps)
    clock = _Clock()
    with (
        _progress(model, ranked) as advance,
        answering(questions, workspace, model, retriever, advance) as answers,
    ):
        found = Evaluated(
            test=clock.timed("ranking", answers(TEST)),
            sampled=_sampling(questions, retriever, clock),
            shuffled=clock.timed("ranking", answers(SHUFFLED)),
            new_users={name: clock.timed("ranking", answers(name)) for name in questions.steps},
            item_embeddings=retriever.item_embeddings,
        )
        metrics = write_evaluation(workspace.evaluation(model), prepared, found, params.evaluate)
    figures = {
        "ranking_seconds": clock.seconds["ranking"],
        "ranked_queries": ranked,
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


def _sampling(questions: Questions, retriever: Retriever, clock: _Clock) -> Callable[[Answers], PerUser]:
    """What measures users with each test item by itself: among a few items, and beside that in their lists.

    It must be given portions of TEST in order: one stream of draws goes on from each to the next.
    """
    rng, params = questions.draws("sampled"), questions.params

    def ranked_among_few(answers: Answers) -> PerUser:
        queries = questions.prepared.queries(questions.known, answers.users)
        seen = queries.histories.merged(answers.truth)
        count, at_once = params.evidence.sampled_candidates, params.evaluate.users_per_block
        return sampled_metrics(retriever, queries, seen, answers.truth, count, rng, at_once)

    def sampled(answers: Answers) -> PerUser:
        among_few = clock.time("sampled", lambda: ranked_among_few(answers))
        among_all = full_metrics(answers.lists, answers.truth)
        return {**among_few, **{f"{ALL_ITEMS}{name}": values for name, values in among_all.items()}}

    return sampled


@contextmanager
def _progress(model: str, total: int) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"ranking with {model}", total=total)
        yield lambda users: progress.advance(task, users)


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
