"""How much and how densely a user acted, read off a history."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.examples import Examples

NUM_ACTIVITY = 3
"""log(1 + items read), log(1 + seconds that the last five items took), log(1 + seconds since the first item read)."""

RECENT = 5
"""Items whose time span says how fast the user acts now."""


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
        return tf.where(is_timed, tf.math.log1p(tf.cast(last - first, tf.float32)), np.nan)

    return tf.stack([tf.math.log1p(tf.cast(read, tf.float32)), span(RECENT), span(max_history)], axis=1)
