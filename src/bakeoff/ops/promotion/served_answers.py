"""What a person would get: exported models, asked by history and raw features as production asks them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.core.histories import PAD, Histories
from bakeoff.data.features.encoding import TableEncoding
from bakeoff.evaluation.metrics import formulas
from bakeoff.evaluation.ranking import TopLists
from bakeoff.evaluation.ranking.reproducible_scores import block_size
from bakeoff.models.base.loading import raw_features


@dataclass(frozen=True)
class ExportedModel:
    """An exported model.

    Attributes:
        module: the SavedModel.
        features: how its own features are encoded: which it takes, in which order.
        num_bytes: its size on disk.
    """

    module: Any
    features: TableEncoding
    num_bytes: int


@dataclass(frozen=True)
class UserQueries:
    """What is asked about n users, in terms of the current vocabulary.

    Attributes:
        users: of the whole vocabulary, user_id and raw features; may be mapped from a file.
        rows: int64 [n], which of them are asked about.
        told: n rows, the history that is told.
        truth: n rows, what would be right.
    """

    users: pa.Table
    rows: NDArray[np.int64]
    told: Histories
    truth: Histories

    def __len__(self) -> int:
        return len(self.told)

    def take(self, rows: NDArray[np.integer]) -> "UserQueries":
        """Some of the users, in this order."""
        return UserQueries(self.users, self.rows[rows], self.told.take(rows), self.truth.take(rows))

    @property
    def people(self) -> pd.DataFrame:
        """N rows: user_id and raw features of each."""
        people: pd.DataFrame = self.users.take(pa.array(self.rows)).to_pandas()
        return people


class ExportedModelClient:
    """Asks about users in terms of the current vocabulary, whatever vocabulary the model has."""

    def __init__(self, item_ids: Sequence[str], list_length: int, users_per_block: int) -> None:
        """Set up the ids; lists have `list_length` items."""
        self._ids = np.array([*item_ids, ""])  # PAD, the index −1, is no item
        self._index = pd.Index([item.encode() for item in item_ids])
        self._length, self._users_per_block = list_length, users_per_block

    def lists(self, served: ExportedModel, question: UserQueries) -> TopLists:
        """What the model recommends to each, [n, list_length].

        Items that only the model knows keep their place, as PAD: nobody can have them any more. Items that the model
        does not know are no part of what it is told, and of what it recommends. Equal scores are ordered as in
        `evaluation.ranking.rank`: items of the truth last, then by index.
        """
        items = np.full((len(question), self._length), PAD, np.int32)
        scores = np.full((len(question), self._length), -np.inf, np.float32)
        for rows in self._blocks(served, question.told):
            answer = served.module.recommend_for_histories(*self.told(served, question.take(rows)), self._length)
            found = self._indices(answer["item_ids"])
            items[rows, : found.shape[1]] = found
            scores[rows, : found.shape[1]] = np.asarray(answer["scores"])
        return pessimistic(TopLists(items, scores), question.truth)

    def known(self, served: ExportedModel, question: UserQueries) -> Histories:
        """What the model was trained on of each user, in current items; empty where it does not know the user."""
        ids = question.people["user_id"].to_numpy(np.str_)
        places = [np.zeros(0, np.int64)]
        items = [np.zeros(0, np.int32)]
        for rows in self._blocks(served, question.told):
            known = self._indices(served.module.known_history(ids[rows])["item_ids"])
            row, place = np.nonzero(known != PAD)
            places.append(rows[row])
            items.append(known[row, place])
        events = np.concatenate(items)
        return Histories.from_rows(np.concatenate(places), events, np.zeros(len(events), np.int64), len(question))

    def told(self, served: ExportedModel, question: UserQueries) -> tuple[NDArray[Any], ...]:
        """History, timestamps and raw features of each, as `recommend_for_histories` takes them."""
        width = int(question.told.lengths.max(initial=0))
        items, timestamps = question.told.padded(width)
        return self._ids[items], timestamps, *raw_features(served.features, question.people)

    def singles(self, served: ExportedModel, question: UserQueries, length: int) -> list[Callable[[], object]]:
        """A call per user that asks about this user alone."""
        ask = served.module.recommend_for_histories
        history, timestamps, dense, text = self.told(served, question)
        return [
            partial(ask, history[one, :width], timestamps[one, :width], dense[one], text[one], length)
            for row, width in enumerate(question.told.lengths.tolist())
            for one in [slice(row, row + 1)]
        ]

    def _blocks(self, served: ExportedModel, told: Histories) -> list[NDArray[np.int64]]:
        """Rows to ask about together: those with histories of a length, which then need little padding."""
        num_items = int(served.module.item_embeddings.shape[0])
        size = block_size(self._users_per_block, num_items)
        order = np.argsort(told.lengths, kind="stable")
        return [order[start : start + size] for start in range(0, len(order), size)]

    def _indices(self, ids: Any) -> NDArray[np.int32]:
        """Place of each id in the current vocabulary, PAD for none."""
        found = np.asarray(ids)
        return np.asarray(self._index.get_indexer(found.ravel()).reshape(found.shape), np.int32)


def pessimistic(lists: TopLists, truth: Histories) -> TopLists:
    """The lists with equal scores ordered: items of the truth last, then by index."""
    hits = formulas.relevance(lists, truth)
    order = np.lexsort((lists.items, hits, -lists.scores), axis=1)
    return TopLists(np.take_along_axis(lists.items, order, axis=1), np.take_along_axis(lists.scores, order, axis=1))
