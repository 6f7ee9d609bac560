"""Bootstrap intervals of means over users, for many metrics at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bakeoff.evaluation.resampling import blocks, in_chunks

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
        complete = values[np.ix_(users, group)]
        mean = complete.mean(axis=0)
        resampled = _resampled_means(complete - mean, rng, resamples)
        result.mean[group] = mean
        result.low[group], result.high[group] = mean + np.quantile(resampled, ends, axis=0)
    return result


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


def _resampled_means(deviations: FloatArray, rng: np.random.Generator, resamples: int) -> FloatArray:
    """[resamples, c] mean of each resample of the rows of `deviations` [n, c], which are centred at 0.

    Resampling is a matrix product with multinomial weights. Centred values lose nothing by float32: its
    rounding is relative to the spread, not to the mean.
    """
    num_users = len(deviations)
    centred = deviations.astype(np.float32)
    if num_users * resamples < _WORTH_COMPILED:
        chunks = in_chunks(rng, resamples, num_users, partial(_sums, centred), users_at_once=num_users)
    else:
        chunks = in_chunks(rng, resamples, num_users, partial(_sums_by_blocks, centred))
    means: FloatArray = np.concatenate(list(chunks)) / num_users
    return means


def _sums(values: NDArray[np.float32], rng: np.random.Generator, resamples: int) -> FloatArray:
    """[resamples, c] sum of each resample of the rows of `values` [n, c]."""
    num_users = len(values)
    drawn = rng.integers(0, num_users, (resamples, num_users))
    drawn += np.arange(0, resamples * num_users, num_users)[:, np.newaxis]
    weights = np.bincount(drawn.ravel(), minlength=resamples * num_users).astype(np.float32)
    return (weights.reshape(resamples, num_users) @ values).astype(np.float64)


def _sums_by_blocks(values: NDArray[np.float32], rng: np.random.Generator, resamples: int) -> FloatArray:
    """The same for many users: how many of the draws fall on each block of users is multinomial too."""
    from bakeoff.evaluation.kernels import count_draws

    parts = blocks(len(values))
    sizes = np.array([part.stop - part.start for part in parts])
    draws = rng.multinomial(len(values), sizes / sizes.sum(), size=resamples)  # (resamples, blocks)
    sums = np.zeros((resamples, values.shape[1]))
    for part, size, drawn in zip(parts, sizes, draws.T, strict=True):
        words = rng.integers(0, 1 << 64, (resamples, -(-int(drawn.max()) // 4)), np.uint64).view(np.uint16)
        weights = np.empty((resamples, size), np.float32)
        count_draws(words, np.ascontiguousarray(drawn), weights)
        sums += weights @ values[part]
    return sums
