"""The files of one model's evaluation, and the figures of its metrics.json."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bakeoff.evaluation import accuracy, measures
from bakeoff.evaluation.asking import Answers
from bakeoff.params import EvaluateParams
from bakeoff.preparation.histories import PAD
from bakeoff.stages.files import replaced, write_json
from bakeoff.stages.prepared import Prepared

PerUser = Mapping[str, NDArray[np.float64]]
"""Metrics by name, one value per user."""

EMBEDDINGS = "item_embeddings.npy"
"""float32 [num_items, dim]: whoever looks at the embedding space alone need not load the model."""


@dataclass(frozen=True)
class Evaluated:
    """What a model was asked, and what it answered.

    Attributes:
        test: warm users with test items, histories in the order of events.
        shuffled: the same users, histories shuffled.
        new_users: number of first events told (or "all") → new users with test items.
        sampled: metrics of the users of `test`, each test item ranked among a few random ones.
        item_embeddings: float32 [num_items, dim].
    """

    test: Answers
    shuffled: Answers
    new_users: Mapping[str, Answers]
    sampled: PerUser
    item_embeddings: NDArray[np.float32]


def write_evaluation(folder: Path, prepared: Prepared, found: Evaluated, params: EvaluateParams) -> dict[str, Any]:
    """Write everything, at once; the figures of metrics.json."""
    per_user = {
        "test": _per_user(prepared, found.test, params),
        "shuffled": _per_user(prepared, found.shuffled, params),
    }
    per_new_user = {
        name: measures.accuracy_per_user(answers.lists, answers.truth, params.cutoffs)
        for name, answers in found.new_users.items()
    }
    metrics = {
        "test": _summary(found.test, per_user["test"]) | _together(prepared, found.test, per_user["test"], params),
        "new_users": {name: _summary(answers, per_new_user[name]) for name, answers in found.new_users.items()},
        "shuffled": _summary(found.shuffled, per_user["shuffled"])
        | _together(prepared, found.shuffled, per_user["shuffled"], params),
        "sampled": {"num_users": len(found.test), **measures.or_none(measures.means(dict(found.sampled)))},
    }
    with replaced(folder) as new:
        _write_warm(new, "", prepared, found.test, per_user["test"])
        _write_warm(new, "shuffled_", prepared, found.shuffled, per_user["shuffled"])
        _write_new_users(new, prepared, found.new_users, per_new_user)
        pq.write_table(_sampled_table(prepared, found), new / "sampled.parquet")
        np.save(new / EMBEDDINGS, np.ascontiguousarray(found.item_embeddings, np.float32), allow_pickle=False)
        write_json(new / "metrics.json", metrics)
    return metrics


def chosen_ids(ids: Any, index: NDArray[np.integer]) -> pa.Array:
    """The ids, a column of text, at these places."""
    return pa.array(ids, pa.string()).take(pa.array(index))


def _per_user(prepared: Prepared, answers: Answers, params: EvaluateParams) -> dict[str, NDArray[np.float64]]:
    return measures.accuracy_per_user(answers.lists, answers.truth, params.cutoffs) | measures.popularity_per_user(
        answers.lists,
        answers.told,
        prepared.items["train_count"].to_numpy(np.int64),
        prepared.num_warm_users,
        params.cutoffs,
    )


def _summary(answers: Answers, per_user: dict[str, NDArray[np.float64]]) -> dict[str, float | None]:
    fallback = float(answers.fallback.mean()) if len(answers) else math.nan
    return {"num_users": len(answers)} | measures.or_none({"fallback_share": fallback} | measures.means(per_user))


def _together(
    prepared: Prepared, answers: Answers, per_user: dict[str, NDArray[np.float64]], params: EvaluateParams
) -> dict[str, float | None]:
    return measures.or_none(measures.of_all_lists(answers.lists, per_user, prepared.num_items, params.cutoffs))


def _write_warm(folder: Path, prefix: str, prepared: Prepared, answers: Answers, per_user: PerUser) -> None:
    pq.write_table(_lists_table(prepared, answers), folder / f"{prefix}recommendations.parquet")
    pq.write_table(_users_table(prepared, answers, per_user), folder / f"{prefix}users.parquet")


def _write_new_users(
    folder: Path, prepared: Prepared, steps: Mapping[str, Answers], per_user: Mapping[str, PerUser]
) -> None:
    lists = [_with_step(_lists_table(prepared, answers), name) for name, answers in steps.items()]
    users = [
        _with_step(_users_table(prepared, answers, per_user[name], with_fallback=True), name)
        for name, answers in steps.items()
    ]
    pq.write_table(pa.concat_tables(lists), folder / "new_user_recommendations.parquet")
    pq.write_table(pa.concat_tables(users), folder / "new_users.parquet")


def _lists_table(prepared: Prepared, answers: Answers) -> pa.Table:
    """One row per recommended item: user_id, rank from 1, item_id, score."""
    row, place = np.nonzero(answers.lists.items != PAD)
    return pa.table(
        {
            "user_id": chosen_ids(prepared.users["user_id"], answers.users[row]),
            "rank": (place + 1).astype(np.int32),
            "item_id": chosen_ids(prepared.items["item_id"], answers.lists.items[row, place]),
            "score": answers.lists.scores[row, place],
        }
    )


def _users_table(prepared: Prepared, answers: Answers, per_user: PerUser, with_fallback: bool = False) -> pa.Table:
    """One row per user: user_id, num_history (events told), num_test (different items), metrics."""
    return pa.table(
        {
            "user_id": chosen_ids(prepared.users["user_id"], answers.users),
            "num_history": answers.told.lengths,
            "num_test": accuracy.num_relevant(answers.truth),
            **({"fallback": answers.fallback} if with_fallback else {}),
            **per_user,
        }
    )


def _sampled_table(prepared: Prepared, found: Evaluated) -> pa.Table:
    return pa.table(
        {
            "user_id": chosen_ids(prepared.users["user_id"], found.test.users),
            "num_test": accuracy.num_relevant(found.test.truth),
            **found.sampled,
        }
    )


def _with_step(table: pa.Table, name: str) -> pa.Table:
    column = pa.array([name] * table.num_rows, pa.string())
    return table.add_column(1, "first_interactions", column)
