"""Query embeddings: the history pooled at several recency scales, features, ReLU hidden layers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.models.tensorflow import tf
from bakeoff.params import SoftmaxParams

NUM_ACTIVITY = 3
"""Activity measures that are read off a history; see `activity`."""


class QueryTower(tf.keras.layers.Layer):
    """Maps histories and features to unit-length query embeddings ψ(x).

    Each of H heads takes the mean of the history's item embeddings, the item at lag l (0 is the last one) weighted
    by exp(−l/τ_h). ψ(x) is the sum of a linear map of the heads, which starts as their mean, and of a ReLU network
    that also sees user features and activity. Lag weights that are learned one by one did not do better.
    """

    def __init__(self, params: SoftmaxParams, categorical_sizes: tuple[int, ...]) -> None:
        """Take the settings and the number of values of each categorical user feature."""
        super().__init__(name="query_tower")
        self._params = params
        self._num_heads = len(params.recency_scales)
        self._dropout = tf.keras.layers.Dropout(params.dropout)
        # Code 0 stands for unknown, so a feature with n values has n + 1 rows.
        self._embeddings = [
            tf.keras.layers.Embedding(size + 1, min(8, size + 1), name=f"categorical_{column}")
            for column, size in enumerate(categorical_sizes)
        ]
        self._hidden = [
            tf.keras.layers.Dense(width, "relu", kernel_initializer="he_normal", name=f"hidden_{depth}")
            for depth, width in enumerate(params.hidden)
        ]
        # The network starts small beside the heads' mean, which already is a sensible query.
        start = tf.keras.initializers.VarianceScaling(0.01)
        self._output = tf.keras.layers.Dense(params.dim, kernel_initializer=start, name="output")

    def build(self, input_shape: Any) -> None:
        """Create the weights of the heads' maps and of the activity scale."""
        dim, heads = self._params.dim, self._num_heads
        self.head_maps = self.add_weight(
            name="head_maps",
            shape=(heads, dim, dim),
            initializer=tf.constant_initializer(np.broadcast_to(np.eye(dim) / heads, (heads, dim, dim))),
        )
        self.activity_mean = self.add_weight(
            name="activity_mean", shape=(NUM_ACTIVITY,), initializer="zeros", trainable=False
        )
        self.activity_std = self.add_weight(
            name="activity_std", shape=(NUM_ACTIVITY,), initializer="ones", trainable=False
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
        item_embeddings: Any,
        timestamps: Any,
        cuts: Any,
        dense: Any,
        categorical: Any,
        training: bool = False,
    ) -> Any:
        """Query embeddings of C points in each of U histories, oldest item first.

        Args:
            item_embeddings: [U, W, d], of each item of the histories; anything where padded, which no cut reaches.
            timestamps: int64 [U, W], UTC seconds.
            cuts: int32 [U, C]; items before the cut are read.
            dense: [U, D] standardised user features.
            categorical: int32 [U, K] codes of user features.
            training: whether to drop.

        Returns:
            float32 [U, C, d], of length 1.
        """
        pooled = self._dropout(self._pool(item_embeddings, cuts), training=training)  # (U, C, H, d)
        query = tf.einsum("uchd,hde->uce", pooled, self.head_maps)
        shape = tf.shape(cuts)
        flat = tf.reshape(pooled, [shape[0], shape[1], self._num_heads * self._params.dim])
        measures = activity(timestamps, cuts, self._params.max_history)
        measures = (measures - self.activity_mean) / self.activity_std
        measures = tf.where(tf.math.is_nan(measures), 0.0, measures)
        inputs = [flat, measures]
        if self._params.use_user_features:
            codes = [embed(categorical[:, column]) for column, embed in enumerate(self._embeddings)]
            person = tf.concat([dense, *codes], axis=-1)[:, tf.newaxis, :]
            inputs.append(tf.repeat(person, shape[1], axis=1))
        hidden = tf.concat(inputs, axis=-1)
        for layer in self._hidden:
            hidden = layer(hidden)
        return tf.math.l2_normalize(query + self._output(hidden), axis=-1)

    def _pool(self, item_embeddings: Any, cuts: Any) -> Any:
        """Heads' means [U, C, H, d] of the items before each cut; zeros for an empty history."""
        decay = tf.constant(self._params.recency_scales, tf.float32) ** -1  # (H,)
        position = tf.range(tf.shape(item_embeddings)[1])
        lag = cuts[:, :, tf.newaxis, tf.newaxis] - 1 - position  # (U, C, 1, W)
        read = tf.cast((lag >= 0) & (lag < self._params.max_history), tf.float32)
        rate = decay[:, tf.newaxis]
        weights = read * tf.exp(-tf.cast(tf.maximum(lag, 0), tf.float32) * rate)  # (U, C, H, W)
        # The sum over lags 0 … m − 1 in closed form: (1 − exp(−m/τ)) / (1 − exp(−1/τ)).
        count = tf.cast(tf.minimum(cuts, self._params.max_history), tf.float32)[:, :, tf.newaxis]
        total = tf.math.expm1(-count * decay) / tf.math.expm1(-decay)  # (U, C, H)
        pooled = tf.einsum("uchw,uwd->uchd", weights, item_embeddings)
        return tf.math.divide_no_nan(pooled, total[..., tf.newaxis])


def activity(timestamps: Any, cuts: Any, max_history: int) -> Any:
    """How much and how densely a user acted up to each cut, from what the query tower reads of the history.

    Args:
        timestamps: int64 [U, W], UTC seconds, ascending up to the cut.
        cuts: int32 [U, C].
        max_history: items that are read.

    Returns:
        float32 [U, C, NUM_ACTIVITY]: log(1 + items read), log(1 + seconds that the last five items took),
        log(1 + seconds since the first item read). The two times are NaN for an empty history and where
        timestamps are 0, which stands for unknown.
    """
    last = tf.gather(timestamps, tf.maximum(cuts - 1, 0), batch_dims=1)
    timed = (cuts > 0) & (last != 0)

    def seconds_back(steps: int) -> Any:
        start = tf.gather(timestamps, tf.maximum(cuts - steps, 0), batch_dims=1)
        return tf.where(timed, tf.math.log1p(tf.cast(last - start, tf.float32)), np.nan)

    read = tf.math.log1p(tf.cast(tf.minimum(cuts, max_history), tf.float32))
    return tf.stack([read, seconds_back(5), seconds_back(max_history)], axis=-1)
