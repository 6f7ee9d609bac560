"""The files of one model's evaluation, and the figures of its metrics.json."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.core.files import replaced, write_json
from bakeoff.core.histories import PAD
from bakeoff.core.large_tables import RowGroups, row_groups
from bakeoff.evaluation.metrics.table import AllLists, Means, PerUser, or_none
from bakeoff.evaluation.protocol import SHUFFLED, TEST, EvalQueries
from bakeoff.evaluation.user_batch import UserBatch

EMBEDDINGS = "item_embeddings.npy"
"""float32 [num_items, dim], for stages that need the embedding space and not the model."""

STEP = "first_interactions"

USERS_PER_GROUP = 1 << 17
"""Rows of a row group where a row is a user with all metrics: 40 MB with 30 of them."""

Batches = Callable[[str], Iterator[UserBatch]]
"""Name of queries → all of their users, measured, batch by batch."""

Figures = dict[str, float | None]
"""What metrics.json says of the queries of one name; None: not defined."""


def write_evaluation(
    folder: Path, queries: EvalQueries, batches: Batches, item_embeddings: Callable[[], NDArray[np.float32]]
) -> dict[str, Any]:
    """Write all files of an evaluation, which appear together, and return the figures of metrics.json.

    One batch of users is in memory at a time, and as many rows as make a row group. Figures come from exact sums,
    so that neither they nor the files depend on how users are divided into batches.
    """
    writer = _Writer(queries)
    with replaced(folder) as new:
        test, sampled = writer.write_test(new, batches(TEST))
        shuffled = writer.write_warm(new, "shuffled_", batches(SHUFFLED))
        new_users = writer.write_new_users(new, {name: batches(name) for name in queries.steps})
        np.save(new / EMBEDDINGS, np.ascontiguousarray(item_embeddings(), np.float32), allow_pickle=False)
        metrics = {"test": test, "new_users": new_users, "shuffled": shuffled, "sampled": sampled}
        write_json(new / "metrics.json", metrics)
    return metrics


class _Writer:
    """Writes lists and metrics of users as they come, and keeps nothing but sums."""

    def __init__(self, queries: EvalQueries) -> None:
        self._prepared, self._cutoffs = queries.prepared, queries.params.cutoffs

    def write_test(self, folder: Path, batches: Iterable[UserBatch]) -> tuple[Figures, Figures]:
        """Figures of the ranking of the whole catalogue, and of that among a few items."""
        averages = Means()

        def with_sampled(users: RowGroups) -> Iterator[UserBatch]:
            for batch in batches:
                users.add(_with_columns(self._users_table(batch).drop_columns("num_history"), batch.sampled))
                averages.add(batch.sampled)
                yield batch

        with row_groups(folder / "sampled.parquet", USERS_PER_GROUP) as users:
            test = self.write_warm(folder, "", with_sampled(users))
        return test, _figures(averages)

    def write_warm(self, folder: Path, prefix: str, batches: Iterable[UserBatch]) -> Figures:
        averages, together = Means(), AllLists(self._prepared.num_items, self._cutoffs)
        with (
            row_groups(folder / f"{prefix}recommendations.parquet") as lists,
            row_groups(folder / f"{prefix}users.parquet", USERS_PER_GROUP) as users,
        ):
            for batch in batches:
                lists.add(self._lists_table(batch))
                users.add(_with_columns(self._users_table(batch), batch.metrics))
                averages.add(_fallback_share(batch) | batch.metrics)
                together.add(batch.lists, batch.metrics)
        return _figures(averages) | or_none(together.figures())

    def write_new_users(self, folder: Path, steps: Mapping[str, Iterable[UserBatch]]) -> dict[str, Figures]:
        with (
            row_groups(folder / "new_user_recommendations.parquet") as lists,
            row_groups(folder / "new_users.parquet", USERS_PER_GROUP) as users,
        ):
            return {name: self._write_step(name, batches, lists, users) for name, batches in steps.items()}

    def _write_step(self, name: str, batches: Iterable[UserBatch], lists: RowGroups, users: RowGroups) -> Figures:
        averages = Means()
        for batch in batches:
            lists.add(_with_step(self._lists_table(batch), name))
            table = self._users_table(batch).append_column("fallback", pa.array(batch.fallback))
            users.add(_with_step(_with_columns(table, batch.metrics), name))
            averages.add(_fallback_share(batch) | batch.metrics)
        return _figures(averages)

    def _lists_table(self, batch: UserBatch) -> pa.Table:
        """One row per recommended item: user_id, rank from 1, item_id, score."""
        row, place = np.nonzero(batch.lists.items != PAD)
        return pa.table(
            {
                "user_id": self._prepared.user_ids(batch.users).take(pa.array(row)),
                "rank": (place + 1).astype(np.int32),
                "item_id": self._prepared.item_ids.take(pa.array(batch.lists.items[row, place])),
                "score": batch.lists.scores[row, place],
            }
        )

    def _users_table(self, batch: UserBatch) -> pa.Table:
        user_ids = self._prepared.user_ids(batch.users)
        return pa.table({"user_id": user_ids, "num_history": batch.num_history, "num_test": batch.num_test})


def _figures(means: Means) -> Figures:
    return {"num_users": means.num_users} | or_none(means.figures())


def _with_columns(table: pa.Table, columns: PerUser) -> pa.Table:
    """The table with more columns at its end."""
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    return table


def _fallback_share(batch: UserBatch) -> dict[str, NDArray[np.float64]]:
    """1 for each user for whom the fallback answered, else 0: the mean is their share."""
    return {"fallback_share": batch.fallback.astype(np.float64)}


def _with_step(table: pa.Table, name: str) -> pa.Table:
    return table.add_column(1, STEP, pa.array([name] * table.num_rows, pa.string()))
