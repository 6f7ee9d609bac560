"""Stage `evaluate`: exported retriever + split → top-k lists, and every metric per user, of one model."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from bakeoff.errors import BakeoffError
from bakeoff.evaluation import accuracy, measures
from bakeoff.evaluation.asking import Answers, Asker
from bakeoff.models.retriever import Retriever
from bakeoff.params import EvaluateParams, Params
from bakeoff.preparation.histories import PAD
from bakeoff.stages.cost import measure
from bakeoff.stages.files import replaced, write_json
from bakeoff.stages.prepared import HeldOut, Prepared, load_held_out, load_prepared
from bakeoff.stages.skipped import skip_evaluation, why_skipped
from bakeoff.workspace import Workspace

ALL = "all"
"""`first_interactions` of new users who were asked about with their whole history."""


def run(params: Params, workspace: Workspace, model: str, load: Callable[[Path], Retriever] | None = None) -> None:
    """Rank the whole catalogue for warm users with test items and for new users; write lists and metrics.

    Reads artifacts/split and models/<model>; writes artifacts/evaluation/<model> and
    artifacts/cost/evaluate_<model>.json. A split without new users gives empty tables for them; a model that
    training skipped gives a metrics.json with the reason and nothing else.

    Args:
        params: only `evaluate` is used.
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
            cost.note(ranking_seconds=0.0, ranked_queries=0)
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
        new = _with_events(held_out.new_test.lengths)
        retriever = _load(workspace, model, prepared.num_items, load)
        start = time.perf_counter()
        with _progress(model, len(warm) + len(new) * len(_steps(params.evaluate))) as advance:
            asker = Asker(retriever, params.evaluate.list_length, params.evaluate.users_per_block, advance)
            test = _ask_warm(asker, prepared, held_out, warm)
            steps = {
                name: _ask_new(asker, prepared, held_out, new, first) for name, first in _steps(params.evaluate).items()
            }
        seconds = time.perf_counter() - start
        cost.note(ranking_seconds=seconds, ranked_queries=len(test) + sum(len(step) for step in steps.values()))
        metrics = _write_evaluation(workspace.evaluation(model), prepared, test, steps, params.evaluate)
    _print_summary(model, metrics, prepared.num_items, seconds)


def _with_events(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.flatnonzero(lengths > 0)


def _steps(params: EvaluateParams) -> dict[str, int | None]:
    """Name → how many of their first events the model is told of new users; None: all."""
    return {**{str(count): count for count in params.first_interactions}, ALL: None}


def _load(workspace: Workspace, model: str, num_items: int, load: Callable[[Path], Retriever] | None) -> Retriever:
    retriever = (load or _load_exported)(workspace.model(model))
    found = len(retriever.item_embeddings)
    if found != num_items:
        raise BakeoffError(
            f"{workspace.model(model)} knows {found} items and the split's catalogue has {num_items}: "
            f"the model was trained on another split. Run `bakeoff train {model}` again."
        )
    return retriever


def _load_exported(path: Path) -> Retriever:
    # Imports TensorFlow, which takes seconds: what is wrong with the split is told before that.
    from bakeoff.models.exported import load_retriever

    return load_retriever(path)


@contextmanager
def _progress(model: str, total: int) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"ranking with {model}", total=total)
        yield lambda users: progress.advance(task, users)


def _ask_warm(asker: Asker, prepared: Prepared, held_out: HeldOut, users: NDArray[np.int64]) -> Answers:
    known = prepared.known()
    return asker.ask(users, prepared.queries(known, users), known.take(users), held_out.test.take(users))


def _ask_new(
    asker: Asker, prepared: Prepared, held_out: HeldOut, users: NDArray[np.int64], first: int | None
) -> Answers:
    """Tell the first events only, but leave all earlier events out of the lists.

    So figures for different numbers of events differ by what the model was told and nothing else.
    """
    history = held_out.new_history
    told = history if first is None else history.first(first)
    return asker.ask(users, prepared.queries(told, users), history.take(users), held_out.new_test.take(users))


def _write_evaluation(
    folder: Path, prepared: Prepared, test: Answers, steps: Mapping[str, Answers], params: EvaluateParams
) -> dict[str, Any]:
    """All files appear at once."""
    per_user = _per_user(prepared, test, params)
    per_new_user = {
        name: measures.accuracy_per_user(answers.lists, answers.truth, params.cutoffs)
        for name, answers in steps.items()
    }
    metrics = {
        "test": _summary(test, per_user)
        | _or_none(measures.of_all_lists(test.lists, per_user, prepared.num_items, params.cutoffs)),
        "new_users": {name: _summary(answers, per_new_user[name]) for name, answers in steps.items()},
    }
    new_lists = [_with_step(_lists_table(prepared, answers), name) for name, answers in steps.items()]
    new_users = [
        _with_step(_users_table(prepared, answers, per_new_user[name], with_fallback=True), name)
        for name, answers in steps.items()
    ]
    with replaced(folder) as new:
        pq.write_table(_lists_table(prepared, test), new / "recommendations.parquet")
        pq.write_table(_users_table(prepared, test, per_user), new / "users.parquet")
        pq.write_table(pa.concat_tables(new_lists), new / "new_user_recommendations.parquet")
        pq.write_table(pa.concat_tables(new_users), new / "new_users.parquet")
        write_json(new / "metrics.json", metrics)
    return metrics


def _per_user(prepared: Prepared, test: Answers, params: EvaluateParams) -> dict[str, NDArray[np.float64]]:
    return measures.accuracy_per_user(test.lists, test.truth, params.cutoffs) | measures.popularity_per_user(
        test.lists,
        test.told,
        prepared.items["train_count"].to_numpy(np.int64),
        prepared.num_warm_users,
        params.cutoffs,
    )


def _summary(answers: Answers, per_user: dict[str, NDArray[np.float64]]) -> dict[str, float | None]:
    fallback = float(answers.fallback.mean()) if len(answers) else math.nan
    return {"num_users": len(answers)} | _or_none({"fallback_share": fallback} | measures.means(per_user))


def _or_none(figures: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no NaN: null where a figure is not defined."""
    return {name: None if math.isnan(value) else value for name, value in figures.items()}


def _lists_table(prepared: Prepared, answers: Answers) -> pa.Table:
    """One row per recommended item: user_id, rank from 1, item_id, score."""
    row, place = np.nonzero(answers.lists.items != PAD)
    return pa.table(
        {
            "user_id": _ids(prepared.users["user_id"], answers.users[row]),
            "rank": (place + 1).astype(np.int32),
            "item_id": _ids(prepared.items["item_id"], answers.lists.items[row, place]),
            "score": answers.lists.scores[row, place],
        }
    )


def _users_table(
    prepared: Prepared,
    answers: Answers,
    per_user: Mapping[str, NDArray[np.float64]],
    with_fallback: bool = False,
) -> pa.Table:
    """One row per user: user_id, num_history (events told), num_test (different items), metrics."""
    return pa.table(
        {
            "user_id": _ids(prepared.users["user_id"], answers.users),
            "num_history": answers.told.lengths,
            "num_test": accuracy.num_relevant(answers.truth),
            **({"fallback": answers.fallback} if with_fallback else {}),
            **per_user,
        }
    )


def _ids(ids: Any, index: NDArray[np.integer]) -> pa.Array:
    return pa.array(ids, pa.string()).take(pa.array(index))


def _with_step(table: pa.Table, name: str) -> pa.Table:
    column = pa.array([name] * table.num_rows, pa.string())
    return table.add_column(1, "first_interactions", column)


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
