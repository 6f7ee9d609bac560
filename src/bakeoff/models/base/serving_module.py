"""The functions of a SavedModel, which answers by user id, or by history and features."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.core.histories import PAD
from bakeoff.data.features.encoding import TableEncoding
from bakeoff.models.base import list_options_graph as options
from bakeoff.models.base.encoder import EXPLAIN_SIGNATURE, HISTORY_SIGNATURE, QUERY_SIGNATURE, Encoder
from bakeoff.models.base.list_options import CatalogueFeatures, standard_log_popularity
from bakeoff.models.base.storage import KnownUsers
from bakeoff.models.base.tensorflow import graph, lookup_table, tf

NO_ITEM = ""
"""Fills a list where the catalogue has fewer items left than were requested."""

_RAW_TYPES = {"history": tf.string, "timestamps": tf.int64, "dense": tf.float32, "categorical": tf.string}

K_SIGNATURE = tf.TensorSpec([], tf.int32, "k")

RAW_SIGNATURE = (*(tf.TensorSpec([None, None], dtype, name) for name, dtype in _RAW_TYPES.items()), K_SIGNATURE)
"""Queries by item ids and raw features, and the length of the lists; see `recommend_for_histories`."""

USER_SIGNATURE = (tf.TensorSpec([None], tf.string, "user_ids"), K_SIGNATURE)

OPTIONS_SIGNATURE = (
    tf.TensorSpec([None], tf.string, "allow"),
    tf.TensorSpec([None], tf.string, "filters"),
    tf.TensorSpec([], tf.float32, "diversity"),
    tf.TensorSpec([], tf.float32, "debias"),
)
"""What a list may contain besides; see `recommend_for_users_with_options`."""

SIGNATURES = tuple(f"recommend_for_{who}{how}" for who in ("users", "histories") for how in ("", "_with_options"))


Encoded = tuple[Any, Any, Any, Any]
"""Queries as in QUERY_SIGNATURE."""


class ServingModule(tf.Module):
    """Brute-force retrieval inside the graph: k is honoured at call time, and seen items can be left out.

    TFRS' BruteForce with exclusions would sort k + |seen| items per query and needs the number of exclusions
    when it is traced; scattering −∞ over the scores of seen items costs neither.
    """

    def __init__(
        self,
        encoder: Encoder,
        item_ids: Sequence[str],
        users: KnownUsers,
        encoding: TableEncoding,
        features: CatalogueFeatures | None = None,
    ) -> None:
        """Combine the encoder with lookups of ids and features.

        Args:
            encoder: the model.
            item_ids: n ids, in the order of the item indices.
            users: the known users, what each of them has seen, and whether lists hold that.
            encoding: how raw features of users are encoded.
            features: by which lists are filtered and items compared; None: there are none.
        """
        super().__init__(name="serving")
        self._encoder, self._keeps_repeats = encoder, users.keeps_repeats
        self.item_embeddings = encoder.item_embeddings
        self._item_ids = tf.constant([*item_ids, NO_ITEM])
        self._items = lookup_table(item_ids)
        self._users = lookup_table(list(users.rows))
        # The row after the last user is the stranger: no history, all features unknown.
        self._stranger = len(users.rows)
        queries, seen = users.queries, users.queries.histories
        dense = np.pad(queries.dense, ((0, 1), (0, 0)))
        # A graph holds 2 GB of constants at most, which vectors of users can exceed.
        self._dense = tf.Variable(dense, trainable=False, name="dense") if encoding.vector else tf.constant(dense)
        self._categorical = tf.constant(np.pad(queries.categorical, ((0, 1), (0, 0))))
        self._offsets = tf.constant(np.append(seen.offsets, seen.offsets[-1]))
        self._history_items = tf.Variable(seen.items, trainable=False, name="history_items")
        self._history_times = tf.Variable(seen.timestamps, trainable=False, name="history_times")
        if features is None:
            features = CatalogueFeatures.of(pd.DataFrame(index=range(len(item_ids))), TableEncoding())
        kinds = features.kinds
        compared = None if kinds is None else tf.Variable(kinds.toarray() > 0, trainable=False, name="kinds")
        self._compared = encoder.item_embeddings if compared is None else compared
        self._filters = options.ItemFilters(features)
        scales = [(scale.mean, scale.std) for scale in encoding.dense.values()]
        self._scales = np.array(scales, np.float32).reshape(-1, 2)
        self._vector_sizes = list(encoding.vector.values())
        self._values = [lookup_table(values) for values in encoding.categorical.values()]
        self._popularity = tf.constant(standard_log_popularity(seen.item_counts(len(item_ids))))
        if hasattr(encoder, "explain"):
            self.explain = graph(encoder.explain, input_signature=EXPLAIN_SIGNATURE)
        if hasattr(encoder, "reads_time"):
            self.reads_time = tf.Variable(True, trainable=False, name="reads_time")

    @graph(input_signature=QUERY_SIGNATURE)
    def embed_queries(self, history: Any, timestamps: Any, dense: Any, categorical: Any) -> Any:
        """Query embeddings float32 [B, d] of encoded queries."""
        return self._encoder.embed_queries(history, timestamps, dense, categorical)

    @graph(input_signature=HISTORY_SIGNATURE)
    def uses_fallback(self, history: Any) -> Any:
        """Bool [B], where the model has no answer of its own."""
        return self._encoder.uses_fallback(history)

    @graph(input_signature=USER_SIGNATURE)
    def recommend_for_users(self, user_ids: Any, k: Any) -> dict[str, Any]:
        """Lists for users by id, without what they have seen unless the split keeps repeats.

        Returns:
            item_ids string [B, k] and scores float32 [B, k], best first, NO_ITEM and −∞ where nothing is left;
            known bool [B], whether the model knows the user; anyone else gets the list of someone without history.
        """
        return self._recommend(*self._query_of_users(user_ids), k)

    @graph(input_signature=(*USER_SIGNATURE, *OPTIONS_SIGNATURE))
    def recommend_for_users_with_options(
        self, user_ids: Any, k: Any, allow: Any, filters: Any, diversity: Any, debias: Any
    ) -> dict[str, Any]:
        """Lists as in recommend_for_users, that are less popular or more diverse, of some of the items.

        Args:
            user_ids: see there.
            k: see there.
            allow: string [A], ids of items that lists may contain; none: any; unknown ids are ignored, so that [""]
                allows nothing.
            filters: string [F], see `ItemFilters.met`; none, or "": no filter.
            diversity: λ in [0, 1], see `list_options.diverse`; 0: by score.
            debias: β ≥ 0, see `list_options.debiased`; 0: by score.

        Returns:
            as recommend_for_users; scores are those of the model, and descend only where both options are 0.
        """
        query, known = self._query_of_users(user_ids)
        return {**self._choose(query, k, allow, filters, diversity, debias), "known": known}

    @graph(input_signature=RAW_SIGNATURE)
    def recommend_for_histories(
        self, history: Any, timestamps: Any, dense: Any, categorical: Any, k: Any
    ) -> dict[str, Any]:
        """Lists for anyone, by history and raw features.

        Args:
            history: string [B, W], item ids, oldest first, padded at the end with ""; unknown ids are ignored.
            timestamps: int64 [B, W], UTC seconds; zeros if not known. Where the history is padded: the time at which a
                query is asked, for a model that reads it.
            dense: float32 [B, D], raw values in the order of features.json, NaN (or infinite) where unknown, then the
                components of vectors, which may be left out.
            categorical: string [B, K], raw values; "" where unknown.
            k: length of the lists.

        Returns:
            item_ids and scores as in recommend_for_users; known bool [B, W], which items are in the catalogue.
        """
        return self._recommend(*self._raw_query(history, timestamps, dense, categorical), k)

    @graph(input_signature=(*RAW_SIGNATURE, *OPTIONS_SIGNATURE))
    def recommend_for_histories_with_options(
        self,
        history: Any,
        timestamps: Any,
        dense: Any,
        categorical: Any,
        k: Any,
        allow: Any,
        filters: Any,
        diversity: Any,
        debias: Any,
    ) -> dict[str, Any]:
        """Lists for anyone, as in recommend_for_histories, with the options of recommend_for_users_with_options."""
        query, known = self._raw_query(history, timestamps, dense, categorical)
        return {**self._choose(query, k, allow, filters, diversity, debias), "known": known}

    @property
    def _num_items(self) -> Any:
        return tf.shape(self.item_embeddings)[0]

    def _query_of_users(self, user_ids: Any) -> tuple[Encoded, Any]:
        """Encoded queries of users by id, and which of them are known."""
        users = self._users.lookup(user_ids)
        known = users != PAD
        rows = tf.where(known, users, self._stranger)
        return (*self._histories(rows), tf.gather(self._dense, rows), tf.gather(self._categorical, rows)), known

    def _raw_query(self, history: Any, timestamps: Any, dense: Any, categorical: Any) -> tuple[Encoded, Any]:
        """Encoded queries of ids and raw features, and which of the items are known."""
        items = self._items.lookup(history)
        known = items != PAD
        # When something unknown happened is not when the query is asked.
        timestamps = tf.where(known | (history == NO_ITEM), timestamps, 0)
        # Unknown ids leave gaps; a stable sort by "is a gap" closes them and keeps the order of the rest.
        order = tf.argsort(tf.cast(~known, tf.int32), axis=1, stable=True)
        items, timestamps = (tf.gather(x, order, batch_dims=1) for x in (items, timestamps))
        return (items, timestamps, self._standardise(dense), self._encode(categorical)), known

    def _recommend(self, query: Encoded, known: Any, k: Any) -> dict[str, Any]:
        scores, seen = self._scores(*query)
        best, items = tf.math.top_k(self._open(scores, seen), k=tf.minimum(k, self._num_items))
        items = tf.where(tf.math.is_inf(best), self._num_items, items)
        return {"item_ids": tf.gather(self._item_ids, items), "scores": best, "known": known}

    @graph(input_signature=(QUERY_SIGNATURE, K_SIGNATURE, *OPTIONS_SIGNATURE))
    def _choose(self, query: Encoded, k: Any, allow: Any, filters: Any, diversity: Any, debias: Any) -> dict[str, Any]:
        scores, seen = self._scores(*query)
        value = self._open(options.debiased(scores, self._popularity, debias), seen)
        value = tf.where(self._allowed(allow) & self._filters.met(filters), value, -np.inf)
        items, found = options.choose(value, self._compared, tf.minimum(k, self._num_items), diversity)
        chosen = tf.where(found, tf.gather(scores, items, batch_dims=1), -np.inf)
        return {"item_ids": tf.gather(self._item_ids, tf.where(found, items, self._num_items)), "scores": chosen}

    def _scores(self, history: Any, timestamps: Any, dense: Any, categorical: Any) -> tuple[Any, Any]:
        """Scores [B, n], and rows and columns [m, 2] of what queries have seen."""
        # One more column, so that empty histories alone still have a position to look at.
        history = tf.pad(history, [[0, 0], [0, 1]], constant_values=PAD)
        timestamps = tf.pad(timestamps, [[0, 0], [0, 1]])
        queries = self.embed_queries(history, timestamps, dense, categorical)
        scores = tf.matmul(queries, self.item_embeddings, transpose_b=True)  # (B, n)
        seen = tf.where(history != PAD)  # (number seen, 2)
        return scores, tf.stack([seen[:, 0], tf.cast(tf.gather_nd(history, seen), tf.int64)], axis=1)

    def _open(self, scores: Any, seen: Any) -> Any:
        """Scores [B, n], −∞ where an item is left out because it was seen."""
        return scores if self._keeps_repeats else options.without(scores, seen)

    def _allowed(self, allow: Any) -> Any:
        """Bool [n], which items lists may contain."""
        items = self._items.lookup(allow)
        named = tf.boolean_mask(items, items != PAD)[:, tf.newaxis]
        everything = tf.fill([self._num_items], tf.size(allow) == 0)
        return tf.tensor_scatter_nd_update(everything, named, tf.ones(tf.shape(named)[:1], tf.bool))

    def _histories(self, rows: Any) -> tuple[Any, Any]:
        """Padded items and timestamps of these rows."""
        starts, stops = tf.gather(self._offsets, rows), tf.gather(self._offsets, rows + 1)
        index = tf.ragged.range(starts, stops)
        items = tf.ragged.map_flat_values(tf.gather, self._history_items, index)
        times = tf.ragged.map_flat_values(tf.gather, self._history_times, index)
        return items.to_tensor(PAD), times.to_tensor(0)

    def _standardise(self, dense: Any) -> Any:
        start = len(self._scales)
        scaled = (dense[:, :start] - self._scales[:, 0]) / self._scales[:, 1]
        numbers = tf.where(tf.math.is_finite(scaled), scaled, 0.0)
        if not self._vector_sizes:
            return numbers
        vectors = tf.pad(dense[:, start:], [[0, 0], [0, sum(self._vector_sizes)]])[:, : sum(self._vector_sizes)]
        units = [tf.math.l2_normalize(each, 1, epsilon=0.0) for each in tf.split(vectors, self._vector_sizes, axis=1)]
        # A vector with a component that is not known is not known.
        known = [tf.reduce_all(tf.math.is_finite(each), axis=1, keepdims=True) for each in units]
        return tf.concat([numbers, *(tf.where(*each, 0.0) for each in zip(known, units, strict=True))], axis=1)

    def _encode(self, categorical: Any) -> Any:
        codes = [table.lookup(categorical[:, column]) + 1 for column, table in enumerate(self._values)]
        return tf.stack(codes, axis=1) if codes else tf.zeros([tf.shape(categorical)[0], 0], tf.int32)
