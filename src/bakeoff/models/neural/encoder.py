"""The trained softmax DNN: query tower and item embeddings, as a TensorFlow module and as a retriever.

What each item of a history contributes to a score of the network is found by integrated gradients.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.models.base.encoder import EXPLAIN_SIGNATURE, HISTORY_SIGNATURE, QUERY_SIGNATURE, EncoderRetriever
from bakeoff.models.base.storage import StoredModel
from bakeoff.models.base.tensorflow import graph, tf
from bakeoff.models.neural.new_items import stored_weights
from bakeoff.models.neural.query_tower import NUM_ACTIVITY, QueryTower, activity_of_padded, asked_of_padded
from bakeoff.models.neural.spec import SoftmaxParams


class SoftmaxEncoder(tf.Module):
    """Query tower and precomputed item embeddings: serving never touches item features."""

    def __init__(self, query_tower: QueryTower, num_items: int, params: SoftmaxParams) -> None:
        """Share the query tower and make room for the embeddings of all num_items items."""
        super().__init__(name="softmax")
        self._query_tower = query_tower
        self._max_history = params.max_history
        if params.use_query_time:
            self.reads_time = True
        zeros = tf.zeros((num_items, params.dim))
        self.item_embeddings = tf.Variable(zeros, trainable=False, name="item_embeddings")
        # What is ranked is smoothed, what is read of a history is not.
        self._read_embeddings = (
            tf.Variable(zeros, trainable=False, name="read_embeddings") if params.smoothing else self.item_embeddings
        )

    def refresh(self, item_embeddings: NDArray[np.float32]) -> None:
        """Follow the item tower after more training; the tower itself would be exported if it were an attribute."""
        self._read_embeddings.assign(item_embeddings)

    @graph(input_signature=QUERY_SIGNATURE)
    def embed_queries(self, history: Any, timestamps: Any, dense: Any, categorical: Any) -> Any:
        """Query embeddings float32 [B, d]."""
        return self._embed(self._read(history), history, timestamps, dense, categorical)

    @graph(input_signature=EXPLAIN_SIGNATURE)
    def explain(self, history: Any, timestamps: Any, dense: Any, categorical: Any, items: Any) -> Any:
        """Contributions of the events that are read, float32 [m, W]; see `integrated_gradients`."""
        read, asked = self._read(history), tf.gather(self.item_embeddings, items)
        query = (history, timestamps, dense, categorical)
        width = self._max_history + hasattr(self, "reads_time")  # the query's time has a column of its own
        return integrated_gradients(self._embed, read, query, asked, width)

    def _read(self, history: Any) -> Any:
        """What is read of each item, [B, W, d]; anything where padded."""
        return tf.gather(self._read_embeddings, tf.maximum(history, 0))

    def _embed(self, items: Any, history: Any, timestamps: Any, dense: Any, categorical: Any) -> Any:
        """Query embeddings float32 [B, d], given what is read of each item, [B, W, d]."""
        lengths = tf.reduce_sum(tf.cast(history >= 0, tf.int32), axis=1)
        activity = activity_of_padded(timestamps, lengths, self._max_history)
        pooled = self._query_tower.pooling.of_padded(items, lengths, timestamps)
        asked = asked_of_padded(timestamps, lengths) if hasattr(self, "reads_time") else None
        return self._query_tower(pooled, activity, dense, categorical, asked=asked)

    @graph(input_signature=HISTORY_SIGNATURE)
    def uses_fallback(self, history: Any) -> Any:
        """Never: features and activity alone make a query."""
        return tf.zeros(tf.shape(history)[:1], tf.bool)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Both kinds of item embeddings and the weights of the tower, in their order."""
        return {name: variable.numpy() for name, variable in self._variables().items()}

    def assign(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take what `arrays` of an encoder with the same settings gave."""
        for name, variable in self._variables().items():
            variable.assign(arrays[name])

    def _variables(self) -> dict[str, Any]:
        tower = {f"query_tower_{place:02}": weight for place, weight in enumerate(self._query_tower.weights)}
        read = {} if self._read_embeddings is self.item_embeddings else {"read_embeddings": self._read_embeddings}
        return {"item_embeddings": self.item_embeddings} | read | tower


class SoftmaxRetriever(EncoderRetriever):
    """The softmax DNN or the two-tower model as a retriever."""

    fallback = None
    encoder: SoftmaxEncoder

    def __init__(self, encoder: SoftmaxEncoder, item_weights: Callable[[], Mapping[str, NDArray[Any]]] = dict) -> None:
        """Wrap an encoder; `item_weights` gives what embeds new items (new_items.py), which queries do not need."""
        super().__init__(encoder)
        self._item_weights = item_weights

    def arrays(self) -> dict[str, NDArray[Any]]:
        """See `SoftmaxEncoder.arrays`, and what embeds new items."""
        return {**self.encoder.arrays(), **self._item_weights()}


def load(stored: StoredModel) -> SoftmaxRetriever:
    """The retriever that was stored: a query tower of the same settings, with its weights."""
    known = SoftmaxParams.model_fields.keys() & stored.settings  # a model from before a setting has its default
    params = SoftmaxParams.model_validate({name: stored.settings[name] for name in known})
    user = stored.encoding.user
    tower = QueryTower(params, user.categorical_sizes, seed=0)
    pooled = tf.zeros((1, tower.pooling.num_heads, params.dim))
    dense, categorical = tf.zeros((1, user.num_dense)), tf.zeros((1, len(user.categorical)), tf.int32)
    asked = tf.zeros((1, 2), tf.int64)
    tower(pooled, tf.zeros((1, NUM_ACTIVITY)), dense, categorical, asked=asked)  # creates the weights
    encoder = SoftmaxEncoder(tower, len(stored.arrays["item_embeddings"]), params)
    encoder.assign(stored.arrays)
    return SoftmaxRetriever(encoder, partial(stored_weights, stored.arrays))


def encoder_of(retriever: SoftmaxRetriever) -> SoftmaxEncoder:
    """The graph that the export writes."""
    return retriever.encoder


STEPS = 64
"""Steps of the path, each with a gradient in its middle."""

SHORTEST = 1e-7
"""End of the first step. Those after it grow by a constant factor: a query that is normalised turns from its baseline
where what is read is as long as the rest of it, which may be anywhere."""


def integrated_gradients(
    embed: Callable[..., Any], read: Any, query: Sequence[Any], items: Any, max_history: int
) -> Any:
    """Contribution of each event of one query to the scores of some items.

    With e what is read of the history and f_i(e) = V_i · ψ(e) the score of item i, event j contributes

        e_j · ∫₀¹ ∂f_i(α e) / ∂e_j dα,   which adds up to f_i(e) − f_i(0)

    (Sundararajan, Taly & Yan 2017, eq. 1 and proposition 1). Features and activity stay as they are. How much f_i
    changes in a step is known: what the gradients miss of it, the events share in proportion to what the gradients say
    of each, so that the sum is exact. Nothing here depends on how the query tower pools.

    Args:
        embed: (read [B, W, d], *query of B rows) → query embeddings [B, d].
        read: float32 [1, W, d], e.
        query: the arguments of QUERY_SIGNATURE, one row each; the first two have a column for each event.
        items: float32 [m, d], V_i.
        max_history: last events that ψ reads; earlier ones cost nothing.

    Returns:
        float32 [m, W]; 0 where nothing is read.
    """
    ends = np.concatenate([[0], np.geomspace(SHORTEST, 1, STEPS)]).astype(np.float32)  # α
    middles = np.append(ends[1] / 2, np.sqrt(ends[1:-1] * ends[2:]))[:, np.newaxis]
    skipped = tf.maximum(tf.shape(read)[1] - max_history, 0)
    history, timestamps, *features = query
    query = (history[:, skipped:], timestamps[:, skipped:], *features)

    def along(path: Any) -> Any:
        return embed(path, *(tf.repeat(each, tf.shape(path)[0], axis=0) for each in query))

    read = read[:, skipped:]
    reached = along(ends[:, np.newaxis, np.newaxis] * read)  # (STEPS + 1, d)
    path = middles[:, np.newaxis] * read
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(path)
        embedded = along(path)

    def of_item(item: Any) -> Any:
        slopes = tape.gradient(embedded, path, output_gradients=tf.broadcast_to(item, tf.shape(embedded)))
        parts = tf.reduce_sum(slopes * read, axis=-1) * np.diff(ends)[:, np.newaxis]  # (STEPS, W)
        scores = tf.linalg.matvec(reached, item)
        by_step = _completed(parts, scores[1:] - scores[:-1])
        return _completed(tf.reduce_sum(by_step, axis=0), scores[-1] - scores[0])  # of steps without a gradient

    return tf.pad(tf.map_fn(of_item, items), [[0, 0], [skipped, 0]])


def _completed(parts: Any, total: Any) -> Any:
    """Parts [..., W] that add up to a total [...]: what they miss of it is shared in proportion to their sizes."""
    sizes = tf.abs(parts)
    shares = tf.math.divide_no_nan(sizes, tf.reduce_sum(sizes, axis=-1, keepdims=True))
    return parts + (total - tf.reduce_sum(parts, axis=-1))[..., tf.newaxis] * shares
