"""The files of one model's evaluation: batches of users as they are measured, and the figures of all of them."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.core.files import replaced, write_json
from bakeoff.core.histories import PAD
from bakeoff.core.large_tables import ROWS_PER_GROUP, RowGroups
from bakeoff.evaluation.metrics.formulas import num_relevant
from bakeoff.evaluation.metrics.table import ALL_ITEMS, AllLists, Means, PerUser, or_none
from bakeoff.evaluation.ranking import TopLists
from bakeoff.evaluation.ranking.protocol import TEST, EvalQueries, EvalSet, Users
from bakeoff.evaluation.ranking.visits import visit_metrics
from bakeoff.evaluation.sampled import full_metrics, sampled_metrics
from bakeoff.models.base.retriever import Retriever

EMBEDDINGS = "item_embeddings.npy"
"""float32 [num_items, dim], for stages that need the embedding space and not the model."""

STEP = "first_interactions"

USERS_PER_GROUP = 1 << 17
"""Rows of a row group where a row is a user with all metrics: 40 MB with 30 of them."""

Figures = dict[str, float | None]
"""What metrics.json says of the queries of one name; None: not defined."""


@dataclass(frozen=True)
class UserBatch:
    """Lists and metrics of n users for queries of one name.

    Attributes:
        users: int64 [n], user_index of each.
        num_history: int64 [n], events that the model was given.
        num_test: int64 [n], test items.
        fallback: bool [n], where the model's documented fallback answered.
        lists: the recommended items.
        metrics: per user; for warm users also how popular and diverse the lists are, and those of their visits.
        sampled: of TEST, metrics where each test item is ranked among a few random ones; else empty.
        ranking_seconds: wall time of ranking.
    """

    users: Users
    num_history: NDArray[np.int64]
    num_test: NDArray[np.int64]
    fallback: NDArray[np.bool_]
    lists: TopLists
    metrics: PerUser
    sampled: PerUser = field(default_factory=dict)
    ranking_seconds: float = 0.0

    @classmethod
    def measure(cls, queries: EvalQueries, retriever: Retriever, name: str, users: Users) -> Self:
        """Rank for a batch of users and compute the metrics.

        Raises:
            BakeoffError: the model's embeddings can't be used.
        """
        start = time.perf_counter()
        eval_set = queries.eval_set(name, users)
        found = eval_set.evaluate(retriever, queries.params)
        seconds = time.perf_counter() - start
        beyond = found.beyond_accuracy(queries.prepared) if name == TEST else {}
        if name == TEST and queries.params.visits:
            beyond |= visit_metrics(queries, retriever, users)
        if queries.prepared.keeps_repeats:
            beyond |= found.repeats()
        sampled = _sampled(queries, retriever, eval_set, found.lists) if name == TEST else {}
        return cls(
            users=users,
            num_history=eval_set.queries.histories.lengths,
            num_test=num_relevant(eval_set.truth),
            fallback=found.fallback,
            lists=found.lists,
            metrics=found.accuracy | beyond,
            sampled=sampled,
            ranking_seconds=seconds,
        )


def _sampled(queries: EvalQueries, retriever: Retriever, eval_set: EvalSet, lists: TopLists) -> PerUser:
    """Metrics of test items ranked among a few items, and of the same items ranked among all."""
    rng, users_per_block = queries.candidate_rng(eval_set.users), queries.params.users_per_block
    few = sampled_metrics(retriever, eval_set, queries.sampled_candidates, rng, users_per_block)
    full = full_metrics(lists, eval_set.truth)
    return few | {f"{ALL_ITEMS}{name}": values for name, values in full.items()}


@dataclass(frozen=True)
class Evaluator:
    """Measures a model on the queries of an evaluation.

    Attributes:
        batches: name of queries → all their users; the seconds of batches are divided by how many run at once.
        retriever: gives the model, which this process may have to load for that.
    """

    batches: Callable[[str], Iterator[UserBatch]]
    retriever: Callable[[], Retriever]


def write_evaluation(folder: Path, queries: EvalQueries, evaluator: Evaluator) -> tuple[dict[str, Any], float]:
    """Write all files of an evaluation, which appear together; the figures of metrics.json, and the seconds of ranking.

    One batch of users is in memory at a time, and as many rows as make a row group. Figures come from exact sums,
    so that neither they nor the files depend on how users are divided into batches.
    """
    seconds: list[float] = []
    write = partial(_write, queries, evaluator, seconds)
    with replaced(folder) as new:
        with _tables(new, "recommendations", "users", "sampled") as tables:
            test, of_sampled = write(TEST, *tables)
        with _tables(new, "new_user_recommendations", "new_users") as tables:
            new_users = {name: write(name, *tables)[0] for name in queries.steps}
        embeddings = np.ascontiguousarray(evaluator.retriever().item_embeddings, np.float32)
        np.save(new / EMBEDDINGS, embeddings, allow_pickle=False)
        metrics = {"test": test, "new_users": new_users, "sampled": of_sampled}
        write_json(new / "metrics.json", metrics)
    return metrics, sum(seconds)


@contextmanager
def _tables(folder: Path, lists: str, *of_users: str) -> Iterator[list[RowGroups]]:
    """The files of lists and of what is known of each user."""
    groups = {lists: ROWS_PER_GROUP} | dict.fromkeys(of_users, USERS_PER_GROUP)
    with ExitStack() as files:
        yield [files.enter_context(RowGroups(folder / f"{name}.parquet", rows)) for name, rows in groups.items()]


def _write(
    queries: EvalQueries,
    evaluator: Evaluator,
    seconds: list[float],
    name: str,
    lists: RowGroups,
    users: RowGroups,
    sampled: RowGroups | None = None,
) -> tuple[Figures, Figures]:
    """Write lists and metrics of users as they come, and keep nothing but sums.

    Args:
        queries: all queries.
        evaluator: measures them.
        seconds: that earlier batches took to be ranked, to which those of these queries are appended.
        name: of the queries.
        lists: file of the lists.
        users: file of what is known of each user.
        sampled: file of the metrics of test items that are ranked among a few items; None for new users.

    Returns:
        figures of the ranking of the whole catalogue, and of that among a few items where it is written.
    """
    prepared, averages, of_sampled = queries.prepared, Means(), Means()
    together = AllLists(prepared.num_items, queries.params.cutoffs)
    step = None if name == TEST else name
    for batch in evaluator.batches(name):
        seconds.append(batch.ranking_seconds)
        ids = prepared.user_ids(batch.users)
        lists.add(_lists_table(batch.lists, ids, prepared.item_ids, step))
        columns: dict[str, NDArray[Any]] = {"num_history": batch.num_history, "num_test": batch.num_test}
        if sampled is None:
            columns["fallback"] = batch.fallback
        else:
            sampled.add(_table(ids, None, {"num_test": batch.num_test, **batch.sampled}))
            of_sampled.add(batch.sampled)
            together.add(batch.lists, batch.metrics)
        users.add(_table(ids, step, columns | batch.metrics))
        # The mean of 1 where the fallback answered, else 0, is the share of those users.
        averages.add({"fallback_share": batch.fallback.astype(np.float64)} | batch.metrics)
    return _figures(averages) | ({} if sampled is None else or_none(together.figures())), _figures(of_sampled)


def _lists_table(lists: TopLists, ids: pa.StringArray, item_ids: pa.StringArray, step: str | None) -> pa.Table:
    """One row per recommended item: rank from 1, item_id, score."""
    row, place = np.nonzero(lists.items != PAD)
    items = item_ids.take(pa.array(lists.items[row, place]))
    columns = {"rank": (place + 1).astype(np.int32), "item_id": items, "score": lists.scores[row, place]}
    return _table(ids.take(pa.array(row)), step, columns)


def _table(ids: pa.StringArray, step: str | None, columns: Mapping[str, Any]) -> pa.Table:
    """The id of a user in each row, the step, if there is one, and these columns."""
    steps = {} if step is None else {STEP: pa.array([step] * len(ids), pa.string())}
    return pa.table({"user_id": ids, **steps, **columns})


def _figures(means: Means) -> Figures:
    return {"num_users": means.num_users} | or_none(means.figures())
