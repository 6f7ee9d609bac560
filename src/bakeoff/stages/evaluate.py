"""Stage `evaluate`: exported retriever + split → top-k lists, and every metric per user, of one model."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import Progress

from bakeoff.core.cost import measure
from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import replaced, write_json
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_held_out, load_prepared
from bakeoff.evaluation.files import write_evaluation
from bakeoff.evaluation.parallel import ALL, Answering, Portion, Questions, answering
from bakeoff.models.base.model_files import Load, why_skipped
from bakeoff.params import Params


def run(params: Params, workspace: Workspace, model: str, load: Load | None = None) -> None:
    """Rank the whole catalogue for warm users with test items and for new users; write lists and metrics.

    Warm users are asked about twice: with their history as it was, and with its order shuffled. Beside the ranking of
    the whole catalogue stands that of each test item among `evidence.sampled_candidates` random ones. Users are ranked
    `evaluate.users_per_block` at a time, and their lists and metrics written portion by portion, which bounds memory.
    Portions of many users are ranked and measured by several processes at once, or by executors where Spark is the
    engine; lists, metrics and means are the same.

    Reads artifacts/split and models/<model>; writes artifacts/evaluation/<model> and
    artifacts/cost/evaluate_<model>.json. A split without new users gives empty tables for them; a model that
    training skipped gives a metrics.json with the reason and nothing else.

    Args:
        params: `evaluate`, `seed`, `evidence.sampled_candidates` and `engine` are used.
        workspace: where files lie.
        model: name of the model.
        load: reads a retriever from its directory; as training stored it if None.

    Raises:
        BakeoffError: the model or the split is missing, they do not belong together, no warm user has a test
            item, or the embeddings can't be used.
    """
    with measure(workspace, f"evaluate_{model}") as cost:
        reason = why_skipped(workspace, model)
        if reason is not None:
            cost.note(ranking_seconds=0.0, ranked_queries=0, sampled_seconds=0.0)
            _skip(workspace, model, reason)
            return
        prepared = load_prepared(workspace)
        questions = Questions(prepared, load_held_out(workspace, prepared), params)
        if len(questions.warm) == 0:
            raise BakeoffError(
                "No warm user has a test item, so there is nothing to measure: raise split.test_share in "
                "params.yaml, or bring more events per user, and split again."
            )
        metrics, figures = _evaluate(questions, workspace, model, load)
        cost.note(**figures)
    _print_summary(model, metrics, prepared.num_items, figures["ranking_seconds"])


def _skip(workspace: Workspace, model: str, reason: str) -> None:
    """Leave nothing but a metrics.json with the reason."""
    with replaced(workspace.evaluation(model)) as folder:
        write_json(folder / "metrics.json", {"skipped": reason})
    print(f"{model} is skipped: {reason}")


def _evaluate(
    questions: Questions, workspace: Workspace, model: str, load: Load | None
) -> tuple[dict[str, Any], dict[str, float]]:
    """Figures of metrics.json, whose files are written while the model answers, and what the answers cost."""
    ranked = 2 * len(questions.warm) + len(questions.new) * len(questions.steps)
    with (
        _progress(model, ranked) as advance,
        answering(questions, workspace, model, load, advance) as answers,
    ):
        clock = _Clock(answers)
        metrics = write_evaluation(workspace.evaluation(model), questions, clock.portions, answers.item_embeddings)
    return metrics, {**clock.seconds, "ranked_queries": ranked}


class _Clock:
    """Seconds by what they were spent on; of what several do at once, the time until all are done with it."""

    def __init__(self, answers: Answering) -> None:
        self.seconds = {"ranking_seconds": 0.0, "sampled_seconds": 0.0}
        self._answers = answers

    def portions(self, name: str) -> Iterator[Portion]:
        """The answers about all users of a question."""
        for portion in self._answers.portions(name):
            for what in self.seconds:
                self.seconds[what] += getattr(portion, what) / self._answers.at_once
            yield portion


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
