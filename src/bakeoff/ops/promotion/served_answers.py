"""What a person would get: exported models, asked by history and raw features as production asks them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.core.histories import PAD, Histories
from bakeoff.data.features.encoding import TableEncoding
from bakeoff.data.prepared.tables import Prepared
from bakeoff.evaluation.metrics import formulas
from bakeoff.evaluation.protocol import EvalSet
from bakeoff.evaluation.ranking import TopLists
from bakeoff.evaluation.ranking.reproducible_scores import block_size
from bakeoff.models.base.loading import extras_of, graph_bytes, load_serving, raw_features
from bakeoff.models.base.storage import read_encoding


class ExportedModel:
    """An exported model, asked in terms of the current vocabulary whatever vocabulary it has."""

    def __init__(
        self, module: Any, features: TableEncoding, prepared: Prepared, users_per_block: int, num_bytes: int = 0
    ) -> None:
        """Take a model and the current split.

        Args:
            module: the SavedModel; its functions are those of ServingModule.
            features: the user features that the model takes, in its order.
            prepared: the current split, for its users and catalogue.
            users_per_block: asked about at once, at most.
            num_bytes: size of the model on disk.
        """
        self._module, self._features, self._prepared, self.num_bytes = module, features, prepared, num_bytes
        item_ids = prepared.item_ids.to_pylist()
        self._ids = np.array([*item_ids, ""])  # PAD, the index −1, is no item
        self._index = pd.Index([item.encode() for item in item_ids])
        self._block = block_size(users_per_block, int(module.item_embeddings.shape[0]))

    @classmethod
    def load(cls, folder: Path, prepared: Prepared, users_per_block: int) -> Self:
        """The model of a directory.

        Raises:
            BakeoffError: there is no such model, or it lacks a file.
        """
        features = read_encoding(extras_of(folder)).user
        return cls(load_serving(folder), features, prepared, users_per_block, graph_bytes(folder))

    def lists(self, eval_set: EvalSet, length: int) -> TopLists:
        """What the model recommends to each, [n, length].

        Items that only the model knows keep their place, as PAD: nobody can have them any more. Items that the model
        does not know are left out of the histories and are never recommended. Equal scores are ordered as in
        `evaluation.ranking.rank`: items of the truth last, then by index.
        """
        items = np.full((len(eval_set), length), PAD, np.int32)
        scores = np.full((len(eval_set), length), -np.inf, np.float32)
        histories = eval_set.queries.histories
        for rows in self._blocks(histories):
            given = self._given(eval_set.users[rows], histories.take(rows))
            answer = self._module.recommend_for_histories(*given, length)
            found = self._indices(answer["item_ids"])
            items[rows, : found.shape[1]] = found
            scores[rows, : found.shape[1]] = np.asarray(answer["scores"])
        return pessimistic(TopLists(items, scores), eval_set.truth)

    def known(self, eval_set: EvalSet) -> Histories:
        """What the model was trained on of each user, in current items; empty where it does not know the user."""
        ids = self._prepared.user_ids(eval_set.users).to_numpy(zero_copy_only=False).astype(np.str_)
        places, items = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
        for rows in self._blocks(eval_set.queries.histories):
            known = self._indices(self._module.known_history(ids[rows])["item_ids"])
            row, place = np.nonzero(known != PAD)
            places.append(rows[row])
            items.append(known[row, place])
        events = np.concatenate(items)
        return Histories.from_rows(np.concatenate(places), events, np.zeros(len(events), np.int64), len(eval_set))

    def single_calls(self, eval_set: EvalSet, rows: NDArray[np.integer], length: int) -> list[Callable[[], object]]:
        """A call per row that asks for `length` items for this user alone."""
        histories = eval_set.queries.histories.take(rows)
        history, timestamps, dense, text = self._given(eval_set.users[rows], histories)
        ask = self._module.recommend_for_histories
        return [
            partial(ask, history[[row], :width], timestamps[[row], :width], dense[[row]], text[[row]], length)
            for row, width in enumerate(histories.lengths.tolist())
        ]

    def _given(self, users: NDArray[np.int64], histories: Histories) -> tuple[NDArray[Any], ...]:
        """History, timestamps and raw features of each, as `recommend_for_histories` takes them."""
        items, timestamps = histories.padded(int(histories.lengths.max(initial=0)))
        people: pd.DataFrame = self._prepared.users.take(pa.array(users)).to_pandas()
        return self._ids[items], timestamps, *raw_features(self._features, people)

    def _blocks(self, histories: Histories) -> list[NDArray[np.int64]]:
        """Rows to ask about together: those with histories of a similar length, which need little padding."""
        order = np.argsort(histories.lengths, kind="stable")
        return [order[start : start + self._block] for start in range(0, len(order), self._block)]

    def _indices(self, ids: Any) -> NDArray[np.int32]:
        """Place of each id in the current vocabulary, PAD for none."""
        found = np.asarray(ids)
        return np.asarray(self._index.get_indexer(found.ravel()).reshape(found.shape), np.int32)


def pessimistic(lists: TopLists, truth: Histories) -> TopLists:
    """The lists with equal scores ordered: items of the truth last, then by index."""
    hits = formulas.relevance(lists, truth)
    order = np.lexsort((lists.items, hits, -lists.scores), axis=1)
    return TopLists(np.take_along_axis(lists.items, order, axis=1), np.take_along_axis(lists.scores, order, axis=1))
