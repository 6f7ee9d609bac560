"""Stage `evaluate`: a trained model and the split give top-k lists and every metric per user."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from rich.console import Console
from rich.progress import Progress

from bakeoff.core.cost import measure
from bakeoff.core.files import replaced, write_json
from bakeoff.core.workspace import Workspace
from bakeoff.data.engine.settings import engine_settings
from bakeoff.data.prepared.tables import load_held_out, load_prepared
from bakeoff.evaluation.parallel import evaluator
from bakeoff.evaluation.ranking.protocol import ALL, EvalQueries, users_with_test_items
from bakeoff.evaluation.ranking.visits import AFTER_PAUSE, ALL_VISITS
from bakeoff.evaluation.results import UserBatch, write_evaluation
from bakeoff.models.base.storage import load_fitting, why_skipped
from bakeoff.params import Params


def run(params: Params, workspace: Workspace, model: str) -> None:
    """Rank the whole catalogue for warm users with test items and for new users; write lists and metrics.

    Each test item of warm users is also ranked among `evidence.sampled_candidates` random ones. Users are ranked for
    `evaluate.users_per_block` at a time, and their lists and metrics written batch by batch, which bounds memory.
    Batches of many users are measured by several processes at once, or by executors where Spark is the engine; lists,
    metrics and means are the same.

    Reads artifacts/split and models/<model>; writes artifacts/evaluation/<model> and
    artifacts/cost/evaluate/<model>.json. A split without new users gives empty tables for them; a model that
    training skipped gives a metrics.json with the reason and nothing else.

    Args:
        params: `evaluate`, `seed`, `evidence.sampled_candidates` and `engine` are used.
        workspace: holds all files.
        model: name of the model.

    Raises:
        BakeoffError: the model or the split is missing, they do not belong together, no warm user has a test
            item, or the embeddings can't be used.
    """
    with measure(workspace, f"evaluate/{model}") as cost:
        reason = why_skipped(workspace, model)
        if reason is not None:
            cost.note(ranking_seconds=0.0, ranked_queries=0)
            with replaced(workspace.evaluation(model)) as folder:
                write_json(folder / "metrics.json", {"skipped": reason})
            print(f"{model} is skipped: {reason}")
            return
        prepared = load_prepared(workspace)
        held_out = load_held_out(workspace, prepared)
        queries = EvalQueries(prepared, held_out, params.evaluate, params.seed, params.evidence.sampled_candidates)
        ranked = len(users_with_test_items(held_out.test, "measure")) + len(queries.users(ALL)) * len(queries.steps)
        load_model = partial(load_fitting, workspace, model)
        with evaluator(queries, workspace, engine_settings(), model, load_model) as found, _bar(model, ranked) as count:
            counted = replace(found, batches=lambda name: count(found.batches(name)))
            metrics, seconds = write_evaluation(workspace.evaluation(model), queries, counted)
        cost.note(ranking_seconds=seconds, ranked_queries=ranked)
    _print_summary(model, metrics, prepared.num_items, seconds)


@contextmanager
def _bar(model: str, queries: int) -> Iterator[Callable[[Iterator[UserBatch]], Iterator[UserBatch]]]:
    """Passes batches on and counts their users in a bar, on a terminal; with many users, this takes minutes."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"ranking for users by {model}", total=queries)

        def count(batches: Iterator[UserBatch]) -> Iterator[UserBatch]:
            for batch in batches:
                yield batch
                progress.advance(task, len(batch.users))

        yield count


def _print_summary(model: str, metrics: Mapping[str, Any], num_items: int, seconds: float) -> None:
    test = metrics["test"]
    figures = {name: test[name] for name in test if name.split("@")[0] in ("ndcg", "recall", "coverage")}
    new, test_users = metrics["new_users"], _counted(f"{test['num_users']:,}", "test user")
    print(f"{model}: all {num_items:,} items ranked for {test_users} in {seconds:.1f} s")
    print("  " + "  ".join(f"{name} {_figure(value)}" for name, value in figures.items()))
    if f"{ALL_VISITS}_{(ndcg := next(name for name in test if name.startswith('ndcg@')))}" in test:
        of_all, late = (_figure(test[f"{kind}_{ndcg}"]) for kind in (ALL_VISITS, AFTER_PAUSE))
        print(f"  {ndcg} of each visit asked at its own time {of_all}, of those after a pause {late}")
    if "repeats_of_test" in test:
        cutoff = min(int(name.split("@")[1]) for name in test if name.startswith("repeats_of_hits@"))
        of_test, of_hits = (_figure(test[name]) for name in ("repeats_of_test", f"repeats_of_hits@{cutoff}"))
        print(f"  had before: {of_test} of a user's test items, {of_hits} of the hits among {cutoff}")
    if new[ALL]["num_users"] == 0:
        print("  no new user has a test item: there are no figures for new users")
        return
    metric = next(name for name in new[ALL] if name.startswith("ndcg@"))
    by_step = ", ".join(f"{_counted(step, 'first event')} {_figure(new[step][metric])}" for step in new)
    new_users = _counted(f"{new[ALL]['num_users']:,}", "new user")
    print(f"  {new_users}, {metric} given {by_step}")


def _counted(number: str, noun: str) -> str:
    return f"{number} {noun}" if number == "1" else f"{number} {noun}s"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
