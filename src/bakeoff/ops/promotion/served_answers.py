"""Exported models in the evaluation: ranked on the current split, whatever vocabulary and features they have."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.core.histories import PAD, Histories, Queries
from bakeoff.data.prepared.tables import Prepared
from bakeoff.evaluation.protocol import EvalSet
from bakeoff.evaluation.ranking import TopLists
from bakeoff.experiments.latency import LoadedExport
from bakeoff.models.base.loading import extras_of, raw_table
from bakeoff.models.base.storage import read_titles


class ExportedModel:
    """An exported model whose queries and lists are in terms of the current split."""

    def __init__(self, export: LoadedExport, item_ids: Sequence[str], prepared: Prepared) -> None:
        """Take a model and the current split.

        Args:
            export: the model.
            item_ids: its catalogue, in its order.
            prepared: the current split, for its users and catalogue.
        """
        from bakeoff.models.base.encoder import EncoderRetriever  # imports TensorFlow

        self.export, self._prepared = export, prepared
        self._retriever = EncoderRetriever(export.module)
        current, own = (pd.Index([item.encode() for item in ids]) for ids in (prepared.item_ids.to_pylist(), item_ids))
        self._current = current
        self._own_places = own.get_indexer(current).astype(np.int32)
        self._current_places = np.append(self._places(own), np.int32(PAD))  # the last is that of PAD, the index −1

    @classmethod
    def load(cls, folder: Path, prepared: Prepared) -> Self:
        """The model of a directory.

        Raises:
            BakeoffError: there is no such model, or it lacks a file.
        """
        export = LoadedExport.load(folder)
        items = read_titles(extras_of(folder), ids_only=True)["item_id"].astype(str)
        return cls(export, items.tolist(), prepared)

    def lists(self, eval_set: EvalSet, length: int, users_per_block: int) -> TopLists:
        """What the model recommends to each, [n, length], ranked by the code that ranks in stage `evaluate`.

        Items that only the model knows keep their place, as PAD: nobody can have them any more. Items that the model
        does not know are left out of the histories and are never recommended.
        """
        found = self._in_own_terms(eval_set).rank(self._retriever, length, users_per_block)
        return TopLists(self._current_places[found.items], found.scores)

    def known(self, eval_set: EvalSet, users_per_block: int) -> Histories:
        """What the model was trained on of each user, in current items; empty where it does not know the user."""
        ids = self._prepared.user_ids(eval_set.users).to_numpy(zero_copy_only=False).astype(np.str_)
        rows, items = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
        for start in range(0, len(ids), users_per_block):
            known = np.asarray(self.export.module.known_history(ids[start : start + users_per_block])["item_ids"])
            found = self._places(known.ravel()).reshape(known.shape)
            row, place = np.nonzero(found != PAD)
            rows.append(start + row)
            items.append(found[row, place])
        events = np.concatenate(items)
        return Histories.from_rows(np.concatenate(rows), events, np.zeros(len(events), np.int64), len(ids))

    def _in_own_terms(self, eval_set: EvalSet) -> EvalSet:
        """The same queries, with the model's places of items and its encoding of the users' features."""
        people: pd.DataFrame = self._prepared.users.take(pa.array(eval_set.users)).to_pandas()
        encoded = self.export.features.encode(raw_table(self.export.features, people))
        given, exclude, truth = (
            histories.renumbered(self._own_places)
            for histories in (eval_set.queries.histories, eval_set.exclude, eval_set.truth)
        )
        return EvalSet(eval_set.users, Queries(given, encoded.dense, encoded.categorical), exclude, truth)

    def _places(self, ids: Any) -> NDArray[np.int32]:
        """Place of each id, bytes [n], in the current catalogue; PAD for none."""
        return np.asarray(self._current.get_indexer(ids), np.int32)
