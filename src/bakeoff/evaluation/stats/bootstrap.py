"""Bootstrap intervals of means over users, for many metrics at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bakeoff.evaluation.stats.resampling import in_chunks
from bakeoff.evaluation.stats.streaming_bootstrap import Portions, means_of_portions

FloatArray = NDArray[np.float64]

_WORTH_COMPILED = 1 << 26
# Users × resamples from which on loading the compiled loop (half a second) pays.


@dataclass(frozen=True)
class Intervals:
    """Means over users with their bootstrap intervals, one per column.

    Attributes:
        num_users: int64 [c], users for whom the column is defined.
        mean: float64 [c]; NaN without users.
        low: float64 [c], lower end; equal to the mean for a single user or equal values; NaN without users.
        high: float64 [c], upper end; likewise.
    """

    num_users: NDArray[np.int64]
    mean: FloatArray
    low: FloatArray
    high: FloatArray


def intervals(
    values: FloatArray, rng: np.random.Generator, confidence: float = 0.95, resamples: int = 10_000
) -> Intervals:
    """Percentile bootstrap (Efron & Tibshirani 1993, ch. 13) of the mean of each column over users.

    Users are drawn with replacement; columns that are defined for the same users share the draws. For a
    paired comparison the values are the differences of two models on the same users.

    Args:
        values: float64 [n_users, c], any number of metrics side by side; NaN where a user has no value: the
            user counts nowhere in that column.
        rng: source of the draws.
        confidence: level of the interval, in (0, 1).
        resamples: number of resamples.

    Returns:
        Mean and interval of each of the c columns.
    """
    columns = values.shape[1]
    result = Intervals(
        num_users=(~np.isnan(values)).sum(axis=0),
        mean=np.full(columns, np.nan),
        low=np.full(columns, np.nan),
        high=np.full(columns, np.nan),
    )
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    for users, group in groups_by_users(values):
        complete = values if users.all() and len(group) == columns else values[np.ix_(users, group)]
        if len(complete) * resamples < _WORTH_COMPILED:
            mean = complete.mean(axis=0)
            resampled = _resampled_means(complete - mean, rng, resamples)
        else:
            _, mean, resampled = means_of_portions(partial(_all_at_once, complete), rng, resamples)
        result.mean[group] = mean
        result.low[group], result.high[group] = mean + np.quantile(resampled, ends, axis=0)
    return result


def intervals_of_portions(
    portions: Portions,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 10_000,
) -> Intervals:
    """The intervals of `intervals`, of users who come in portions, such as the row groups of a file.

    Memory does not grow with the users but for 4 bytes per resample and 4,096 of them; see `means_of_portions`. Where
    `intervals` works in blocks too (resamples × users of 2²⁶ and more), its intervals are the same to the last bit.

    Args:
        portions: finite values of at least one user, read twice.
        rng: source of the draws.
        confidence: level of the intervals, in (0, 1).
        resamples: number of resamples.
    """
    num_users, mean, resampled = means_of_portions(portions, rng, resamples)
    low, high = mean + np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return Intervals(np.full(len(mean), num_users), mean, low, high)


def groups_by_users(values: FloatArray) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.int64]]]:
    """Columns that are defined for the same users, in the order of their first column.

    Yields:
        Which users, bool [n_users], and the indices of the columns; columns without any user are left out.
    """
    defined = ~np.isnan(values)
    # Packed to bytes, a column of a million users is a string of 125 kB, which dict compares once.
    groups: dict[bytes, list[int]] = {}
    for column, packed in enumerate(np.packbits(defined, axis=0).T):
        groups.setdefault(packed.tobytes(), []).append(column)
    for group in groups.values():
        if defined[:, group[0]].any():
            yield defined[:, group[0]], np.asarray(group)


def _all_at_once(values: FloatArray) -> list[FloatArray]:
    return [values]


def _resampled_means(deviations: FloatArray, rng: np.random.Generator, resamples: int) -> FloatArray:
    """[resamples, c] mean of each resample of the rows of `deviations` [n, c], which are centred at 0.

    Resampling is a matrix product with multinomial weights. Centred values lose nothing by float32: its
    rounding is relative to the spread, not to the mean.
    """
    num_users = len(deviations)
    centred = deviations.astype(np.float32)
    sums = in_chunks(rng, resamples, num_users, partial(_sums, centred), users_at_once=num_users)
    means: FloatArray = np.concatenate(list(sums)) / num_users
    return means


def _sums(values: NDArray[np.float32], rng: np.random.Generator, resamples: int) -> FloatArray:
    """[resamples, c] sum of each resample of the rows of `values` [n, c]."""
    num_users = len(values)
    drawn = rng.integers(0, num_users, (resamples, num_users))
    drawn += np.arange(0, resamples * num_users, num_users)[:, np.newaxis]
    weights = np.bincount(drawn.ravel(), minlength=resamples * num_users).astype(np.float32)
    return (weights.reshape(resamples, num_users) @ values).astype(np.float64)
