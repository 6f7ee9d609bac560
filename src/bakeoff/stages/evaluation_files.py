"""The files of one model's evaluation, and the figures of its metrics.json."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.evaluation.asking import Answers
from bakeoff.evaluation.metrics import accuracy, measures
from bakeoff.evaluation.metrics.measures import PerUser
from bakeoff.params import EvaluateParams
from bakeoff.preparation.histories import PAD
from bakeoff.stages.files import replaced, write_json
from bakeoff.stages.prepared import Prepared
from bakeoff.stages.row_groups import RowGroups, row_groups

EMBEDDINGS = "item_embeddings.npy"
"""float32 [num_items, dim]: whoever looks at the embedding space alone need not load the model."""

STEP = "first_interactions"

USERS_PER_GROUP = 1 << 17
"""Rows of a row group where a row is a user with all metrics: 40 MB with 30 of them."""

Figures = dict[str, float | None]
"""What metrics.json says of one question; None: not defined."""


@dataclass(frozen=True)
class Evaluated:
    """What a model was asked, and what it answers: in portions of users, at least one of each question.

    Attributes:
        test: warm users with test items, histories in the order of events.
        sampled: given a portion of `test`, metrics of its users where each test item is ranked among a few random
            ones; asked once about each portion, in order.
        shuffled: the users of `test`, histories shuffled.
        new_users: number of first events told (or "all") → new users with test items.
        item_embeddings: float32 [num_items, dim].
    """

    test: Iterable[Answers]
    sampled: Callable[[Answers], PerUser]
    shuffled: Iterable[Answers]
    new_users: Mapping[str, Iterable[Answers]]
    item_embeddings: NDArray[np.float32]


def write_evaluation(folder: Path, prepared: Prepared, found: Evaluated, params: EvaluateParams) -> dict[str, Any]:
    """Write everything, at once; the figures of metrics.json.

    One portion of users is in memory at a time, and as many rows as make a row group. Figures come from exact sums,
    so that neither they nor the files depend on how users are cut into portions.
    """
    writer = _Writer(prepared, params)
    with replaced(folder) as new:
        test, sampled = writer.write_test(new, found.test, found.sampled)
        shuffled = writer.write_warm(new, "shuffled_", found.shuffled)
        new_users = writer.write_new_users(new, found.new_users)
        np.save(new / EMBEDDINGS, np.ascontiguousarray(found.item_embeddings, np.float32), allow_pickle=False)
        metrics = {"test": test, "new_users": new_users, "shuffled": shuffled, "sampled": sampled}
        write_json(new / "metrics.json", metrics)
    return metrics


def chosen_ids(ids: Any, index: NDArray[np.integer]) -> pa.Array:
    """The ids, a column of text, at these places."""
    return pa.array(ids, pa.string()).take(pa.array(index))


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

    def __init__(self, prepared: Prepared, params: EvaluateParams) -> None:
        self._cutoffs = params.cutoffs
        self._counts = prepared.items["train_count"].to_numpy(np.int64)
        self._num_users = prepared.num_warm_users
        self._user_ids, self._item_ids = (
            pa.array(ids, pa.string()) for ids in (prepared.users["user_id"], prepared.items["item_id"])
        )

    def write_test(
        self, folder: Path, portions: Iterable[Answers], sampled: Callable[[Answers], PerUser]
    ) -> tuple[Figures, Figures]:
        """Figures of the ranking of the whole catalogue, and of that among a few items."""
        averaged = _Averaged()
        with row_groups(folder / "sampled.parquet", USERS_PER_GROUP) as users:
            test = self.write_warm(folder, "", self._sampled_beside(portions, sampled, users, averaged))
        return test, averaged.figures()

    def write_warm(self, folder: Path, prefix: str, portions: Iterable[Answers]) -> Figures:
        averaged, together = _Averaged(), measures.AllLists(len(self._item_ids), self._cutoffs)
        with (
            row_groups(folder / f"{prefix}recommendations.parquet") as lists,
            row_groups(folder / f"{prefix}users.parquet", USERS_PER_GROUP) as users,
        ):
            for answers in portions:
                per_user = self._accuracy(answers) | self._popularity(answers)
                lists.add(self._lists_table(answers))
                users.add(_beside(self._users_table(answers), per_user))
                averaged.add(len(answers), _fallback_share(answers) | per_user)
                together.add(answers.lists, per_user)
        return averaged.figures() | measures.or_none(together.figures())

    def write_new_users(self, folder: Path, steps: Mapping[str, Iterable[Answers]]) -> dict[str, Figures]:
        with (
            row_groups(folder / "new_user_recommendations.parquet") as lists,
            row_groups(folder / "new_users.parquet", USERS_PER_GROUP) as users,
        ):
            return {name: self._write_step(name, portions, lists, users) for name, portions in steps.items()}

    def _write_step(self, name: str, portions: Iterable[Answers], lists: RowGroups, users: RowGroups) -> Figures:
        averaged = _Averaged()
        for answers in portions:
            per_user = self._accuracy(answers)
            lists.add(_with_step(self._lists_table(answers), name))
            table = self._users_table(answers).append_column("fallback", pa.array(answers.fallback))
            users.add(_with_step(_beside(table, per_user), name))
            averaged.add(len(answers), _fallback_share(answers) | per_user)
        return averaged.figures()

    def _sampled_beside(
        self,
        portions: Iterable[Answers],
        sampled: Callable[[Answers], PerUser],
        users: RowGroups,
        averaged: _Averaged,
    ) -> Iterator[Answers]:
        """The portions; what `sampled` says of each goes to `users` and `averaged`."""
        for answers in portions:
            per_user = sampled(answers)
            users.add(_beside(self._users_table(answers).drop_columns("num_history"), per_user))
            averaged.add(len(answers), per_user)
            yield answers

    def _popularity(self, answers: Answers) -> dict[str, NDArray[np.float64]]:
        return measures.popularity_per_user(answers.lists, answers.told, self._counts, self._num_users, self._cutoffs)

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


def _fallback_share(answers: Answers) -> dict[str, NDArray[np.float64]]:
    """1 for each user whom the fallback answered, else 0: the mean is their share."""
    return {"fallback_share": answers.fallback.astype(np.float64)}


def _with_step(table: pa.Table, name: str) -> pa.Table:
    return table.add_column(1, STEP, pa.array([name] * table.num_rows, pa.string()))
