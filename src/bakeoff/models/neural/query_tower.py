"""Query embeddings: the history as a `HistoryPooling` reads it, features, ReLU hidden layers."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.attention import CausalAttention
from bakeoff.models.neural.pooling import Examples, RecencyPooling
from bakeoff.models.neural.spec import SoftmaxParams

HistoryPooling = RecencyPooling | CausalAttention
"""Turns histories into H vectors of d dimensions each, zeros for an empty one: in training and in serving."""

USER_ID = "user_id"
"""The categorical user feature that identifies the user."""

NUM_ACTIVITY = 3
"""log(1 + items read), log(1 + seconds that the last five items took), log(1 + seconds since the first item read)."""

RECENT = 5
"""Items whose time span says how fast the user acts now."""

HOUR, DAY = 3600, 86400


class QueryTower(tf.keras.layers.Layer):
    """Maps pooled histories and features to query embeddings ψ(x).

    ψ(x) is the sum of a linear map of the pooling heads, which starts as their mean, and of a ReLU network that also
    sees user features and activity. Lag weights that are learned one by one did not do better.
    """

    def __init__(self, params: SoftmaxParams, categorical_sizes: Mapping[str, int], seed: int) -> None:
        """Take the settings and the sizes of what is embedded.

        Args:
            params: settings.
            categorical_sizes: number of values of each categorical user feature, by name. The feature `user_id` is
                not one among others: it gets a vector of d dimensions of its own.
            seed: of the dropout.
        """
        super().__init__(name="query_tower")
        self._params = params
        self._seed = seed
        names = list(categorical_sizes)
        self._user_column = names.index(USER_ID) if USER_ID in names else None
        self._columns = [column for column, name in enumerate(names) if name != USER_ID]
        self._num_users = categorical_sizes.get(USER_ID, 0)
        self.pooling: HistoryPooling = (
            CausalAttention(params, seed)
            if params.tower == "attention"
            else RecencyPooling(params.recency_scales, params.max_history)
        )
        # Code 0 is unknown, so a feature with n values has n + 1 rows.
        self._embeddings = [
            tf.keras.layers.Embedding(size + 1, min(8, size + 1), name=f"feature_{place}")
            for place, (name, size) in enumerate(categorical_sizes.items())
            if name != USER_ID
        ]
        self._hidden = [
            tf.keras.layers.Dense(width, "relu", kernel_initializer="he_normal", name=f"hidden_{depth}")
            for depth, width in enumerate(params.hidden)
        ]
        # The network starts small compared with the heads' mean, which already is a sensible query.
        start = tf.keras.initializers.VarianceScaling(0.01)
        self._output = tf.keras.layers.Dense(params.dim, kernel_initializer=start, name="output")

    def build(self, input_shape: Any) -> None:
        """Create the weights that are not layers of their own."""
        dim, heads = self._params.dim, self.pooling.num_heads
        self.head_maps = self.add_weight(
            name="head_maps",
            shape=(heads, dim, dim),
            initializer=tf.constant_initializer(np.broadcast_to(np.eye(dim) / heads, (heads, dim, dim))),
        )
        for name, initializer in (("activity_mean", "zeros"), ("activity_std", "ones")):
            weight = self.add_weight(name=name, shape=(NUM_ACTIVITY,), initializer=initializer, trainable=False)
            setattr(self, name, weight)
        if self._user_column is not None:
            self.user_embeddings = self.add_weight(
                name="user_embeddings",
                shape=(self._num_users + 1, dim),
                initializer=tf.keras.initializers.RandomNormal(stddev=dim**-0.5),
            )
        super().build(input_shape)

    def standardise_activity(self, sample: NDArray[np.float32]) -> None:
        """Fix the scale of the activity measures from a sample, float32 [n, NUM_ACTIVITY], NaN where unknown."""
        known = np.ma.masked_invalid(sample)
        deviation = known.std(axis=0).filled(0)
        self.activity_mean.assign(known.mean(axis=0).filled(0))
        self.activity_std.assign(np.where(deviation > 0, deviation, 1.0))

    def call(
        self,
        pooled: Any,
        activity: Any,
        dense: Any,
        categorical: Any,
        drop_at: Any = None,
        rows: Any = None,
        asked: Any = None,
    ) -> Any:
        """Query embeddings of R queries.

        Args:
            pooled: [R, H, d], heads' means of the history; zeros for an empty one.
            activity: [R, NUM_ACTIVITY], NaN where unknown.
            dense: [R, D] standardised user features.
            categorical: int32 [R, K] codes of user features.
            drop_at: number of the training step, which decides on what is dropped; None: nothing is.
            rows: int32 [2], the first query's place in the whole batch and its number of queries, so that a worker
                drops of its share what one process drops; None: the queries are the whole batch.
            asked: int64 [R, 2], UTC seconds of the last event and of the query, 0 where unknown; only where the
                settings read them.

        Returns:
            float32 [R, d], of length 1 where the settings normalise.
        """
        if drop_at is not None and self._params.dropout > 0:
            seed = tf.stack([self._seed, tf.cast(drop_at, tf.int32)])
            dropout = partial(
                tf.nn.experimental.stateless_dropout, rate=self._params.dropout, seed=seed, rng_alg="philox"
            )
            if rows is None:
                pooled = dropout(pooled)
            else:
                scales = dropout(tf.ones([rows[1], *pooled.shape[1:]]))
                pooled *= scales[rows[0] : rows[0] + tf.shape(pooled)[0]]
        flat = tf.reshape(pooled, [tf.shape(pooled)[0], self.pooling.num_heads * self._params.dim])
        query = tf.matmul(flat, tf.reshape(self.head_maps, [-1, self._params.dim]))
        if self._user_column is not None:
            query = self._with_user(query, categorical[:, self._user_column])
        inputs = self._network_inputs(flat, activity, dense, categorical)
        hidden = tf.concat([*inputs, time_inputs(asked)] if self._params.use_query_time else inputs, axis=-1)
        for layer in self._hidden:
            hidden = layer(hidden)
        query += self._output(hidden)
        return tf.math.l2_normalize(query, axis=-1) if self._params.normalize else query

    def _with_user(self, query: Any, users: Any) -> Any:
        """The mean of what the history and the user's own embedding say; the history alone without one."""
        known = tf.cast(users > 0, tf.float32)[:, tf.newaxis]
        own = tf.math.l2_normalize(tf.gather(self.user_embeddings, users), axis=-1)
        return (tf.math.l2_normalize(query, axis=-1) + known * own) / 2

    def _network_inputs(self, flat: Any, activity: Any, dense: Any, categorical: Any) -> list[Any]:
        measures = (activity - self.activity_mean) / self.activity_std
        inputs = [flat, tf.where(tf.math.is_nan(measures), 0.0, measures)]
        if self._params.use_user_features:
            codes = [categorical[:, column] for column in self._columns]
            inputs += [dense, *(embed(code) for embed, code in zip(self._embeddings, codes, strict=True))]
        return inputs


def time_inputs(asked: Any) -> Any:
    """What the network sees of the moment of a query, all of it in [−1, 2].

    log(1 + seconds since the last event) / 10, whether these are more than an hour and a day, 1 where they are known;
    sine and cosine of the time of the day and of the week. 0 where unknown.

    Args:
        asked: int64 [R, 2], UTC seconds of the last event and of the query, 0 where unknown.

    Returns:
        float32 [R, 8].
    """
    last, now = asked[:, 0], asked[:, 1]
    is_dated, is_known = (tf.cast(each, tf.float32)[:, tf.newaxis] for each in (now != 0, (now != 0) & (last != 0)))
    gap = tf.maximum(now - last, 0)
    since = tf.math.log1p(tf.cast(gap, tf.float32)) / 10
    later = [tf.cast(gap > limit, tf.float32) for limit in (HOUR, DAY)]
    turns = [2 * np.pi * tf.cast(now % period, tf.float32) / period for period in (DAY, 7 * DAY)]
    moment = [wave(turn) for turn in turns for wave in (tf.sin, tf.cos)]
    gaps = tf.stack([since, *later, tf.ones_like(since)], axis=1)
    return tf.concat([is_known * gaps, is_dated * tf.stack(moment, axis=1)], axis=1)


def asked_of_examples(timestamps: NDArray[np.int64], examples: Examples) -> NDArray[np.int64]:
    """When the R queries of training examples are asked: at the time of the first event that they are to predict.

    Args:
        timestamps: int64 [nnz], UTC seconds of all events, ascending within a history; 0 where unknown.
        examples: positions count in `timestamps`.

    Returns:
        int64 [R, 2], see `time_inputs`; the last event is unknown where the history is empty.
    """
    read = np.diff(examples.offsets)
    last = np.append(timestamps[examples.positions], 0)[examples.offsets[:-1]]
    first = np.full(len(read), np.iinfo(np.int64).max)
    np.minimum.at(first, examples.target_rows, examples.target_positions)
    return np.stack([np.where(read > 0, last, 0), timestamps[first]], axis=1)


def asked_of_padded(timestamps: Any, lengths: Any) -> Any:
    """The same of whole padded histories, whose queries' times lie where they are padded.

    Args:
        timestamps: int64 [B, W], UTC seconds; where padded, 0 or the time of the query.
        lengths: int32 [B].

    Returns:
        int64 [B, 2].
    """
    is_event = tf.range(tf.shape(timestamps)[1]) < lengths[:, tf.newaxis]
    last = tf.where(lengths > 0, tf.gather(timestamps, tf.maximum(lengths - 1, 0), batch_dims=1), 0)
    return tf.stack([last, tf.reduce_max(tf.where(is_event, tf.zeros_like(timestamps), timestamps), axis=1)], axis=1)


def activity_of_examples(timestamps: NDArray[np.int64], examples: Examples, max_history: int) -> NDArray[np.float32]:
    """Measures of the R queries of training examples.

    Args:
        timestamps: int64 [nnz], UTC seconds of all events, ascending within a history; 0 where unknown.
        examples: positions count in `timestamps`.
        max_history: items that are read.

    Returns:
        float32 [R, NUM_ACTIVITY]; the two times are NaN for an empty history and where timestamps are unknown.
    """
    read = np.diff(examples.offsets)
    # An entry of zeros at the end, so that empty queries have something to look at.
    times = np.append(timestamps[examples.positions], 0)
    last = np.where(read > 0, times[examples.offsets[:-1]], 0)

    def span(steps: int) -> NDArray[np.float64]:
        first = times[examples.offsets[:-1] + np.clip(read, 1, steps) - 1]
        return np.where(last != 0, np.log1p(np.maximum(last - first, 0.0)), np.nan)

    known = np.minimum(examples.lengths, max_history)
    return np.stack([np.log1p(known), span(RECENT), span(max_history)], axis=1).astype(np.float32)


def activity_of_padded(timestamps: Any, lengths: Any, max_history: int) -> Any:
    """The same measures of whole padded histories, as serving takes them.

    Args:
        timestamps: int64 [B, W], UTC seconds; anything where padded.
        lengths: int32 [B].
        max_history: items that are read.

    Returns:
        float32 [B, NUM_ACTIVITY].
    """
    read = tf.minimum(lengths, max_history)
    last = tf.gather(timestamps, tf.maximum(lengths - 1, 0), batch_dims=1)
    is_timed = (lengths > 0) & (last != 0)

    def span(steps: int) -> Any:
        first = tf.gather(timestamps, tf.maximum(lengths - tf.clip_by_value(read, 1, steps), 0), batch_dims=1)
        # A history that someone sends may not be in time order.
        seconds = tf.cast(tf.maximum(last - first, 0), tf.float32)
        return tf.where(is_timed, tf.math.log1p(seconds), np.nan)

    return tf.stack([tf.math.log1p(tf.cast(read, tf.float32)), span(RECENT), span(max_history)], axis=1)
