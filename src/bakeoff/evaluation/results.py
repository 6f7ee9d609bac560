"""The files of one model's evaluation: batches of users as they are measured, and the figures of all of them."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.core.files import replaced, write_json
from bakeoff.core.histories import PAD
from bakeoff.core.large_tables import ROWS_PER_GROUP, RowGroups, row_groups
from bakeoff.evaluation.metrics.formulas import num_relevant
from bakeoff.evaluation.metrics.table import ALL_ITEMS, AllLists, Means, PerUser, or_none
from bakeoff.evaluation.ranking import TopLists
from bakeoff.evaluation.ranking.protocol import OF_WARM, SHUFFLED, TEST, EvalQueries, EvalSet, OnBlock, Users
from bakeoff.evaluation.sampled import full_metrics, sampled_metrics
from bakeoff.models.base.retriever import Retriever

EMBEDDINGS = "item_embeddings.npy"
"""float32 [num_items, dim], for stages that need the embedding space and not the model."""

STEP = "first_interactions"

USERS_PER_GROUP = 1 << 17
"""Rows of a row group where a row is a user with all metrics: 40 MB with 30 of them."""

SECONDS = ("ranking_seconds", "sampled_seconds")

Figures = dict[str, float | None]
"""What metrics.json says of the queries of one name; None: not defined."""

_ARRAYS = ("users", "num_history", "num_test", "fallback")
_METRICS = ("metrics", "sampled")


@dataclass(frozen=True)
class UserBatch:
    """Lists and metrics of n users for queries of one name.

    Attributes:
        users: int64 [n], user_index of each.
        num_history: int64 [n], events that the model was given.
        num_test: int64 [n], test items.
        fallback: bool [n], where the model's documented fallback answered.
        lists: the recommended items.
        metrics: per user; for warm users also how popular and diverse the lists are.
        sampled: of TEST, metrics where each test item is ranked among a few random ones; else empty.
        ranking_seconds: wall time of ranking.
        sampled_seconds: wall time of `sampled`.
    """

    users: Users
    num_history: NDArray[np.int64]
    num_test: NDArray[np.int64]
    fallback: NDArray[np.bool_]
    lists: TopLists
    metrics: PerUser
    sampled: PerUser = field(default_factory=dict)
    ranking_seconds: float = 0.0
    sampled_seconds: float = 0.0

    @classmethod
    def measure(
        cls, queries: EvalQueries, retriever: Retriever, name: str, users: Users, on_block: OnBlock | None = None
    ) -> Self:
        """Rank for a batch of users and compute the metrics.

        Raises:
            BakeoffError: the model's embeddings can't be used.
        """
        start = time.perf_counter()
        eval_set = queries.eval_set(name, users)
        found = eval_set.evaluate(retriever, queries.params, on_block)
        ranked = time.perf_counter()
        beyond = found.beyond_accuracy(queries.prepared) if name in OF_WARM else {}
        if queries.prepared.keeps_repeats:
            beyond |= found.repeats()
        sampled = _sampled(queries, retriever, eval_set, found.lists) if name == TEST else {}
        done = time.perf_counter()
        return cls(
            users=users,
            num_history=eval_set.queries.histories.lengths,
            num_test=num_relevant(eval_set.truth),
            fallback=found.fallback,
            lists=found.lists,
            metrics=found.accuracy | beyond,
            sampled=sampled,
            ranking_seconds=ranked - start,
            sampled_seconds=done - ranked,
        )

    def save(self, path: Path) -> None:
        """Write it, for `read` in another process."""
        arrays = {name: getattr(self, name) for name in (*_ARRAYS, *SECONDS)}
        lists = {"items": self.lists.items, "scores": self.lists.scores}
        per_user = {f"{kind} {name}": values for kind in _METRICS for name, values in getattr(self, kind).items()}
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays, **lists, **per_user)

    @classmethod
    def read(cls, path: Path) -> Self:
        """What `save` wrote."""
        with np.load(path) as found:
            values: dict[str, Any] = {name: found[name] for name in _ARRAYS}
            values |= {name: float(found[name]) for name in SECONDS}
            for kind in _METRICS:
                named = [name for name in found.files if name.startswith(f"{kind} ")]
                values[kind] = {name.removeprefix(f"{kind} "): found[name] for name in named}
            return cls(lists=TopLists(found["items"], found["scores"]), **values)


def _sampled(queries: EvalQueries, retriever: Retriever, eval_set: EvalSet, lists: TopLists) -> PerUser:
    """Metrics of test items ranked among a few items, and of the same items ranked among all."""
    rng, users_per_block = queries.candidate_rng(eval_set.users), queries.params.users_per_block
    few = sampled_metrics(retriever, eval_set, queries.sampled_candidates, rng, users_per_block)
    full = full_metrics(lists, eval_set.truth)
    return few | {f"{ALL_ITEMS}{name}": values for name, values in full.items()}


class Evaluator(Protocol):
    """Measures a model on the queries of an evaluation."""

    def batches(self, name: str) -> Iterator[UserBatch]:
        """All users of the queries of this name; seconds of concurrent batches are divided by their number."""

    def item_embeddings(self) -> NDArray[np.float32]:
        """[num_items, dim]."""


def write_evaluation(
    folder: Path, queries: EvalQueries, evaluator: Evaluator
) -> tuple[dict[str, Any], dict[str, float]]:
    """Write all files of an evaluation, which appear together; the figures of metrics.json, and SECONDS of all batches.

    One batch of users is in memory at a time, and as many rows as make a row group. Figures come from exact sums,
    so that neither they nor the files depend on how users are divided into batches.
    """
    writer = _Writer(queries, evaluator)
    with replaced(folder) as new:
        with _tables(new, "recommendations", "users", "sampled") as tables:
            test, of_sampled = writer.write(TEST, *tables)
        with _tables(new, "shuffled_recommendations", "shuffled_users") as tables:
            shuffled, _ = writer.write(SHUFFLED, *tables)
        with _tables(new, "new_user_recommendations", "new_users") as tables:
            new_users = {name: writer.write(name, *tables)[0] for name in queries.steps}
        np.save(new / EMBEDDINGS, np.ascontiguousarray(evaluator.item_embeddings(), np.float32), allow_pickle=False)
        metrics = {"test": test, "new_users": new_users, "shuffled": shuffled, "sampled": of_sampled}
        write_json(new / "metrics.json", metrics)
    return metrics, writer.seconds


@contextmanager
def _tables(folder: Path, lists: str, *of_users: str) -> Iterator[list[RowGroups]]:
    """The files of lists and of what is known of each user."""
    groups = {lists: ROWS_PER_GROUP} | dict.fromkeys(of_users, USERS_PER_GROUP)
    with ExitStack() as files:
        yield [files.enter_context(row_groups(folder / f"{name}.parquet", rows)) for name, rows in groups.items()]


class _Writer:
    """Writes lists and metrics of users as they come, and keeps nothing but sums."""

    def __init__(self, queries: EvalQueries, evaluator: Evaluator) -> None:
        self._prepared, self._cutoffs, self._evaluator = queries.prepared, queries.params.cutoffs, evaluator
        self.seconds = dict.fromkeys(SECONDS, 0.0)

    def write(
        self, name: str, lists: RowGroups, users: RowGroups, sampled: RowGroups | None = None
    ) -> tuple[Figures, Figures]:
        """Figures of the ranking of the whole catalogue, and of that among a few items where it is written."""
        averages, of_sampled = Means(), Means()
        together = AllLists(self._prepared.num_items, self._cutoffs)
        is_warm = name in OF_WARM
        step = None if is_warm else name
        for batch in self._evaluator.batches(name):
            self.seconds = {what: total + getattr(batch, what) for what, total in self.seconds.items()}
            ids = self._prepared.user_ids(batch.users)
            lists.add(self._lists_table(batch.lists, ids, step))
            if sampled is not None:
                sampled.add(_table(ids, None, {"num_test": batch.num_test, **batch.sampled}))
                of_sampled.add(batch.sampled)
            columns: dict[str, NDArray[Any]] = {"num_history": batch.num_history, "num_test": batch.num_test}
            if is_warm:
                together.add(batch.lists, batch.metrics)
            else:
                columns["fallback"] = batch.fallback
            users.add(_table(ids, step, columns | batch.metrics))
            # The mean of 1 where the fallback answered, else 0, is the share of those users.
            averages.add({"fallback_share": batch.fallback.astype(np.float64)} | batch.metrics)
        figures = _figures(averages) | (or_none(together.figures()) if is_warm else {})
        return figures, _figures(of_sampled)

    def _lists_table(self, lists: TopLists, ids: pa.StringArray, step: str | None) -> pa.Table:
        """One row per recommended item: rank from 1, item_id, score."""
        row, place = np.nonzero(lists.items != PAD)
        items = self._prepared.item_ids.take(pa.array(lists.items[row, place]))
        columns = {"rank": (place + 1).astype(np.int32), "item_id": items, "score": lists.scores[row, place]}
        return _table(ids.take(pa.array(row)), step, columns)


def _table(ids: pa.StringArray, step: str | None, columns: Mapping[str, Any]) -> pa.Table:
    """The id of a user in each row, the step, if there is one, and these columns."""
    steps = {} if step is None else {STEP: pa.array([step] * len(ids), pa.string())}
    return pa.table({"user_id": ids, **steps, **columns})


def _figures(means: Means) -> Figures:
    return {"num_users": means.num_users} | or_none(means.figures())
