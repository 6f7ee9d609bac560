"""The files of one model's evaluation, and the figures of its metrics.json."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.core.files import replaced, write_json
from bakeoff.core.histories import PAD
from bakeoff.core.parquet_writer import RowGroups, row_groups
from bakeoff.evaluation.evaluated import EMBEDDINGS
from bakeoff.evaluation.metrics import metric_sets as measures
from bakeoff.evaluation.metrics.metric_sets import PerUser
from bakeoff.evaluation.parallel import SHUFFLED, TEST, Portion, Questions

STEP = "first_interactions"

USERS_PER_GROUP = 1 << 17
"""Rows of a row group where a row is a user with all metrics: 40 MB with 30 of them."""

Answers = Callable[[str], Iterator[Portion]]
"""Name of a question → what a model answers about all of its users, portion by portion."""

Figures = dict[str, float | None]
"""What metrics.json says of one question; None: not defined."""


def write_evaluation(
    folder: Path, questions: Questions, portions: Answers, item_embeddings: Callable[[], NDArray[np.float32]]
) -> dict[str, Any]:
    """Write everything, at once, while the model answers; the figures of metrics.json.

    One portion of users is in memory at a time, and as many rows as make a row group. Figures come from exact sums,
    so that neither they nor the files depend on how users are cut into portions.
    """
    writer = _Writer(questions)
    with replaced(folder) as new:
        test, sampled = writer.write_test(new, portions(TEST))
        shuffled = writer.write_warm(new, "shuffled_", portions(SHUFFLED))
        new_users = writer.write_new_users(new, {name: portions(name) for name in questions.steps})
        np.save(new / EMBEDDINGS, np.ascontiguousarray(item_embeddings(), np.float32), allow_pickle=False)
        metrics = {"test": test, "new_users": new_users, "shuffled": shuffled, "sampled": sampled}
        write_json(new / "metrics.json", metrics)
    return metrics


class _Averaged:
    """Users who come in portions: how many, and the means of their metrics."""

    def __init__(self) -> None:
        self._num_users = 0
        self._means = measures.Means()

    def add(self, num_users: int, per_user: PerUser) -> None:
        self._num_users += num_users
        self._means.add(per_user)

    def figures(self) -> Figures:
        return {"num_users": self._num_users} | measures.or_none(self._means.figures())


class _Writer:
    """Writes lists and metrics of users as they come, and keeps sums alone."""

    def __init__(self, questions: Questions) -> None:
        self._prepared, self._cutoffs = questions.prepared, questions.params.evaluate.cutoffs

    def write_test(self, folder: Path, portions: Iterable[Portion]) -> tuple[Figures, Figures]:
        """Figures of the ranking of the whole catalogue, and of that among a few items."""
        averaged = _Averaged()
        with row_groups(folder / "sampled.parquet", USERS_PER_GROUP) as users:
            test = self.write_warm(folder, "", self._sampled_aside(portions, users, averaged))
        return test, averaged.figures()

    def write_warm(self, folder: Path, prefix: str, portions: Iterable[Portion]) -> Figures:
        averaged, together = _Averaged(), measures.AllLists(self._prepared.num_items, self._cutoffs)
        with (
            row_groups(folder / f"{prefix}recommendations.parquet") as lists,
            row_groups(folder / f"{prefix}users.parquet", USERS_PER_GROUP) as users,
        ):
            for portion in portions:
                lists.add(self._lists_table(portion))
                users.add(_beside(self._users_table(portion), portion.metrics))
                averaged.add(len(portion), _fallback_share(portion) | portion.metrics)
                together.add(portion.lists, portion.metrics)
        return averaged.figures() | measures.or_none(together.figures())

    def write_new_users(self, folder: Path, steps: Mapping[str, Iterable[Portion]]) -> dict[str, Figures]:
        with (
            row_groups(folder / "new_user_recommendations.parquet") as lists,
            row_groups(folder / "new_users.parquet", USERS_PER_GROUP) as users,
        ):
            return {name: self._write_step(name, portions, lists, users) for name, portions in steps.items()}

    def _write_step(self, name: str, portions: Iterable[Portion], lists: RowGroups, users: RowGroups) -> Figures:
        averaged = _Averaged()
        for portion in portions:
            lists.add(_with_step(self._lists_table(portion), name))
            table = self._users_table(portion).append_column("fallback", pa.array(portion.fallback))
            users.add(_with_step(_beside(table, portion.metrics), name))
            averaged.add(len(portion), _fallback_share(portion) | portion.metrics)
        return averaged.figures()

    def _sampled_aside(self, portions: Iterable[Portion], users: RowGroups, averaged: _Averaged) -> Iterator[Portion]:
        """The portions; what is measured among a few items goes to `users` and `averaged`."""
        for portion in portions:
            users.add(_beside(self._users_table(portion).drop_columns("num_history"), portion.sampled))
            averaged.add(len(portion), portion.sampled)
            yield portion

    def _lists_table(self, portion: Portion) -> pa.Table:
        """One row per recommended item: user_id, rank from 1, item_id, score."""
        row, place = np.nonzero(portion.lists.items != PAD)
        return pa.table(
            {
                "user_id": self._prepared.user_ids(portion.users).take(pa.array(row)),
                "rank": (place + 1).astype(np.int32),
                "item_id": self._prepared.item_ids.take(pa.array(portion.lists.items[row, place])),
                "score": portion.lists.scores[row, place],
            }
        )

    def _users_table(self, portion: Portion) -> pa.Table:
        return pa.table(
            {
                "user_id": self._prepared.user_ids(portion.users),
                "num_history": portion.num_history,
                "num_test": portion.num_test,
            }
        )


def _beside(table: pa.Table, columns: PerUser) -> pa.Table:
    """The table with more columns."""
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    return table


def _fallback_share(portion: Portion) -> dict[str, NDArray[np.float64]]:
    """1 for each user whom the fallback answered, else 0: the mean is their share."""
    return {"fallback_share": portion.fallback.astype(np.float64)}


def _with_step(table: pa.Table, name: str) -> pa.Table:
    return table.add_column(1, STEP, pa.array([name] * table.num_rows, pa.string()))
