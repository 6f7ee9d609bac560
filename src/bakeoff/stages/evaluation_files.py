"""The files of one model's evaluation, and the figures of its metrics.json."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bakeoff.evaluation.asking import Answers
from bakeoff.evaluation.metrics import accuracy, measures
from bakeoff.params import EvaluateParams
from bakeoff.preparation.histories import PAD
from bakeoff.stages.files import replaced, write_json
from bakeoff.stages.prepared import Prepared
from bakeoff.stages.row_groups import RowGroups, row_groups

PerUser = Mapping[str, NDArray[np.float64]]
"""Metrics by name, one value per user."""

EMBEDDINGS = "item_embeddings.npy"
"""float32 [num_items, dim]: whoever looks at the embedding space alone need not load the model."""

STEP = "first_interactions"


@dataclass(frozen=True)
class Evaluated:
    """What a model was asked, and what it answers: in portions of users, at least one of each question.

    Attributes:
        test: warm users with test items, histories in the order of events.
        shuffled: the same users, histories shuffled.
        new_users: number of first events told (or "all") → new users with test items.
        sampled: metrics of the users of `test`, each test item ranked among a few random ones; asked for last.
        item_embeddings: float32 [num_items, dim].
    """

    test: Iterable[Answers]
    shuffled: Iterable[Answers]
    new_users: Mapping[str, Iterable[Answers]]
    sampled: Callable[[], PerUser]
    item_embeddings: NDArray[np.float32]


def write_evaluation(folder: Path, prepared: Prepared, found: Evaluated, params: EvaluateParams) -> dict[str, Any]:
    """Write everything, at once; the figures of metrics.json.

    One portion of lists is in memory at a time; of what is known of a user only figures are kept.
    """
    writer = _Writer(prepared, params)
    with replaced(folder) as new:
        test = writer.write_warm(new, "", found.test)
        shuffled = writer.write_warm(new, "shuffled_", found.shuffled)
        new_users = writer.write_new_users(new, found.new_users)
        sampled = found.sampled()
        pq.write_table(_beside(test.table.select(["user_id", "num_test"]), sampled), new / "sampled.parquet")
        np.save(new / EMBEDDINGS, np.ascontiguousarray(found.item_embeddings, np.float32), allow_pickle=False)
        metrics = {
            "test": test.summary() | test.together(),
            "new_users": {name: each.summary() for name, each in new_users.items()},
            "shuffled": shuffled.summary() | shuffled.together(),
            "sampled": {"num_users": test.table.num_rows, **measures.or_none(measures.means(dict(sampled)))},
        }
        write_json(new / "metrics.json", metrics)
    return metrics


def chosen_ids(ids: Any, index: NDArray[np.integer]) -> pa.Array:
    """The ids, a column of text, at these places."""
    return pa.array(ids, pa.string()).take(pa.array(index))


@dataclass(frozen=True)
class _Asked:
    """Figures of one question.

    Attributes:
        table: one row per user: user_id, num_history (events told), num_test (different items), metrics.
        fallback: bool [n].
        metrics: names of the metrics.
        lists: of which all lists were counted.
    """

    table: pa.Table
    fallback: NDArray[np.bool_]
    metrics: tuple[str, ...]
    lists: measures.AllLists

    def summary(self) -> dict[str, float | None]:
        """Means over the users."""
        fallback = float(self.fallback.mean()) if len(self.fallback) else math.nan
        return {"num_users": self.table.num_rows} | measures.or_none(
            {"fallback_share": fallback} | measures.means(self._per_user())
        )

    def together(self) -> dict[str, float | None]:
        """Figures that no single user has."""
        return measures.or_none(self.lists.figures(self._per_user()))

    def _per_user(self) -> dict[str, NDArray[np.float64]]:
        return {name: self.table[name].to_numpy() for name in self.metrics}


class _Writer:
    """Writes lists as they come, and keeps the figures of each user."""

    def __init__(self, prepared: Prepared, params: EvaluateParams) -> None:
        self._cutoffs = params.cutoffs
        self._counts = prepared.items["train_count"].to_numpy(np.int64)
        self._num_users = prepared.num_warm_users
        self._user_ids, self._item_ids = (
            pa.array(ids, pa.string()) for ids in (prepared.users["user_id"], prepared.items["item_id"])
        )

    def write_warm(self, folder: Path, prefix: str, portions: Iterable[Answers]) -> _Asked:
        with row_groups(folder / f"{prefix}recommendations.parquet") as lists:
            asked = self._gathered(portions, lists.add, self._of_warm)
        pq.write_table(asked.table, folder / f"{prefix}users.parquet")
        return asked

    def write_new_users(self, folder: Path, steps: Mapping[str, Iterable[Answers]]) -> dict[str, _Asked]:
        asked = {}
        with row_groups(folder / "new_user_recommendations.parquet") as lists:
            for name, portions in steps.items():
                asked[name] = self._gathered(portions, partial(_add_with_step, lists, name), self._accuracy)
        users = [
            _with_step(each.table.add_column(3, "fallback", pa.array(each.fallback)), name)
            for name, each in asked.items()
        ]
        pq.write_table(pa.concat_tables(users), folder / "new_users.parquet")
        return asked

    def _gathered(
        self,
        portions: Iterable[Answers],
        write: Callable[[pa.Table], None],
        measure: Callable[[Answers], dict[str, NDArray[np.float64]]],
    ) -> _Asked:
        """Hand each portion's lists to `write`; of its users keep what `measure` says."""
        tables, fallback = [], []
        names: tuple[str, ...] = ()
        lists = measures.AllLists(len(self._item_ids), self._cutoffs)
        for answers in portions:
            write(self._lists_table(answers))
            lists.add(answers.lists)
            per_user = measure(answers)
            tables.append(_beside(self._users_table(answers), per_user))
            fallback.append(answers.fallback)
            names = tuple(per_user)
        return _Asked(pa.concat_tables(tables).combine_chunks(), np.concatenate(fallback), names, lists)

    def _of_warm(self, answers: Answers) -> dict[str, NDArray[np.float64]]:
        return self._accuracy(answers) | measures.popularity_per_user(
            answers.lists, answers.told, self._counts, self._num_users, self._cutoffs
        )

    def _accuracy(self, answers: Answers) -> dict[str, NDArray[np.float64]]:
        return measures.accuracy_per_user(answers.lists, answers.truth, self._cutoffs)

    def _lists_table(self, answers: Answers) -> pa.Table:
        """One row per recommended item: user_id, rank from 1, item_id, score."""
        row, place = np.nonzero(answers.lists.items != PAD)
        return pa.table(
            {
                "user_id": self._user_ids.take(pa.array(answers.users[row])),
                "rank": (place + 1).astype(np.int32),
                "item_id": self._item_ids.take(pa.array(answers.lists.items[row, place])),
                "score": answers.lists.scores[row, place],
            }
        )

    def _users_table(self, answers: Answers) -> pa.Table:
        return pa.table(
            {
                "user_id": self._user_ids.take(pa.array(answers.users)),
                "num_history": answers.told.lengths,
                "num_test": accuracy.num_relevant(answers.truth),
            }
        )


def _beside(table: pa.Table, columns: PerUser) -> pa.Table:
    """The table with more columns."""
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    return table


def _add_with_step(lists: RowGroups, name: str, table: pa.Table) -> None:
    lists.add(_with_step(table, name))


def _with_step(table: pa.Table, name: str) -> pa.Table:
    return table.add_column(1, STEP, pa.array([name] * table.num_rows, pa.string()))
