"""Bootstrap intervals of means over users, and a jackknife interval for figures of all lists together.

Values come as an array or in blocks of users, such as the row groups of a file. Both give the same intervals: draws
depend on the number of users and not on the blocks.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from operator import methodcaller
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from bakeoff.core.processes import own_threads
from bakeoff.evaluation.metrics.formulas import FloatArray, IntArray

VALUES_PER_CHUNK = 1 << 20
"""Users × resamples that a thread holds at once: 4 MB of float32."""

USERS_PER_BLOCK = 1 << 12
"""Users resampled at once; at most 2¹⁶, since 16 random bits say which user is drawn."""

GROUPS = 40
"""Groups of users that the jackknife leaves out one by one; fewer where there are fewer users."""

_MULTINOMIAL_FROM = 1 << 26
# Users × resamples from which on draws are multinomial and counted by a compiled loop, whose loading takes half a
# second.

_THREADS_FROM = 1 << 25
# Users × resamples from which on threads pay.


Blocks = Callable[[], Iterable[FloatArray]]
"""Returns finite values of all users, always in the same order, in blocks float64 [m, c] of any size."""

Values = FloatArray | Blocks
"""Values of users, float64 [n_users, c] where NaN means that a user has none; or finite values in blocks."""

Places = tuple[IntArray, IntArray]
"""Row of the user and index of the item of every place in a list."""


@dataclass(frozen=True)
class Intervals:
    """Means over users with their bootstrap intervals, one per column.

    Attributes:
        num_users: int64 [c], users for whom the column is defined.
        mean: float64 [c]; NaN without users.
        low: float64 [c], lower end; equal to the mean for a single user or equal values; NaN without users.
        high: float64 [c], upper end; likewise.
    """

    num_users: IntArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray


def intervals(values: Values, rng: np.random.Generator, confidence: float = 0.95, resamples: int = 10_000) -> Intervals:
    """Percentile bootstrap (Efron & Tibshirani 1993, ch. 13) of the mean of each column over users.

    Users are drawn with replacement; columns that are defined for the same users share the draws. For a
    paired comparison the values are the differences of two models on the same users. Memory beyond that of `values`
    is a few MB, plus 4 bytes per resample and 4,096 users.

    Args:
        values: any number of metrics side by side; a user with NaN counts nowhere in that column. Blocks hold at least
            one user and are read twice.
        rng: source of the draws.
        confidence: level of the interval, in (0, 1).
        resamples: number of resamples.

    Returns:
        Mean and interval of each of the c columns.
    """
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]

    def figures(blocks: Blocks) -> FloatArray:
        num_users, mean, deviations = resampled_means(blocks, rng, resamples)
        return np.stack([np.full(len(mean), num_users), mean, *(mean + np.quantile(deviations, ends, 0))])

    num_users, mean, low, high = figures_of_columns(values, figures, [0, np.nan, np.nan, np.nan])
    return Intervals(num_users.astype(np.int64), mean, low, high)


def resampled_means(blocks: Blocks, rng: np.random.Generator, resamples: int) -> tuple[int, FloatArray, FloatArray]:
    """Number of users, their mean [c], and the deviation of the mean of each resample from it, [resamples, c].

    The number of draws that fall on a block of users is multinomial, and so is the number of times that each of its
    users is drawn. Hence each block is needed once, for all resamples.

    Args:
        blocks: at least one user; read twice.
        rng: source of the draws.
        resamples: number of resamples.
    """
    num_users, total = 0, np.zeros(())
    for block in regrouped(blocks(), USERS_PER_BLOCK):
        num_users, total = num_users + len(block), total + block.sum(axis=0)
    mean = total / num_users
    resample: type[_Uniform | _Multinomial] = _Uniform
    if num_users * resamples < _MULTINOMIAL_FROM:
        sizes, users_at_once = np.array([num_users]), num_users
    else:
        resample, sizes, users_at_once = _Multinomial, block_sizes(num_users), min(num_users, USERS_PER_BLOCK)
    parts = [resample(own, count, sizes, len(mean)) for own, count in chunks(rng, resamples, users_at_once)]
    with thread_map(num_users * resamples) as each:
        for number, block in enumerate(regrouped(blocks(), *sizes)):
            # Centred values lose nothing by float32: its rounding is relative to the spread, not to the mean.
            centred = (block - mean).astype(np.float32)
            each(methodcaller("add", number, centred), parts)
    return num_users, mean, np.concatenate([part.sums for part in parts]) / num_users


class _Uniform:
    """Some of the resamples of users that are one block, with draws of their own."""

    def __init__(self, rng: np.random.Generator, resamples: int, sizes: IntArray, columns: int) -> None:
        self._rng, self._size, self.sums = rng, int(sizes[0]), np.zeros((resamples, columns))

    def add(self, _number: int, values: NDArray[np.float32]) -> None:
        """Resample values [size, c]: a matrix product with the number of times that each user is drawn."""
        num_resamples = len(self.sums)
        drawn = self._rng.integers(0, self._size, (num_resamples, self._size))
        drawn += np.arange(0, num_resamples * self._size, self._size)[:, np.newaxis]
        weights = np.bincount(drawn.ravel(), minlength=drawn.size).astype(np.float32)
        self.sums += weights.reshape(drawn.shape) @ values


class _Multinomial:
    """Some of the resamples of users in several blocks, with draws of their own."""

    def __init__(self, rng: np.random.Generator, resamples: int, sizes: IntArray, columns: int) -> None:
        self._rng, self._sizes = rng, sizes
        draws = rng.multinomial(sizes.sum(), sizes / sizes.sum(), size=resamples)  # (resamples, blocks)
        self._draws = np.ascontiguousarray(draws.T, np.int32)
        self.sums = np.zeros((resamples, columns))

    def add(self, number: int, values: NDArray[np.float32]) -> None:
        """Draw from a block of users, whose values are [size, c]; blocks come in order."""
        from bakeoff.evaluation.ranking.kernels import count_draws

        drawn = self._draws[number].astype(np.int64)
        words = self._rng.integers(0, 1 << 64, (len(drawn), -(-int(drawn.max()) // 4)), np.uint64).view(np.uint16)
        weights = np.empty((len(drawn), self._sizes[number]), np.float32)
        count_draws(words, drawn, weights)
        self.sums += weights @ values


def figures_of_columns(values: Values, figures: Callable[[Blocks], FloatArray], empty: Sequence[float]) -> FloatArray:
    """Figures [f, c] of all columns; those of columns that are defined for the same users are computed at once.

    Args:
        values: of the users.
        figures: values of users who have all of some columns → figures [f, columns]; called in the order of the first
            of these columns.
        empty: [f], figures of a column without users.
    """
    if callable(values):
        return figures(values)
    defined = ~np.isnan(values)
    # Packed to bytes, a column of a million users is a string of 125 kB, which dict compares once.
    groups: dict[bytes, list[int]] = {}
    for column, packed in enumerate(np.packbits(defined, axis=0).T):
        groups.setdefault(packed.tobytes(), []).append(column)
    found = np.repeat(np.array(empty, np.float64)[:, np.newaxis], values.shape[1], axis=1)
    for group in groups.values():
        users = defined[:, group[0]]
        if users.any():
            complete = values if users.all() and len(group) == len(defined.T) else values[users][:, group]
            found[:, group] = figures(partial(iter, [complete]))
    return found


def chunks(rng: np.random.Generator, resamples: int, users_at_once: int) -> list[tuple[np.random.Generator, int]]:
    """A generator and a number of resamples for each chunk of at most VALUES_PER_CHUNK values."""
    size = max(1, VALUES_PER_CHUNK // users_at_once)
    counts = [min(size, resamples - start) for start in range(0, resamples, size)]
    return list(zip(rng.spawn(len(counts)), counts, strict=True))


def block_sizes(num_users: int) -> IntArray:
    """Sizes of consecutive blocks: USERS_PER_BLOCK, and the rest as descending powers of two."""
    sizes, left = [], num_users
    while left:
        sizes.append(min(USERS_PER_BLOCK, 1 << (left.bit_length() - 1)))
        left -= sizes[-1]
    return np.array(sizes, np.int64)


@contextmanager
def thread_map(work: int) -> Iterator[Callable[[Callable[[Any], Any], Iterable[Any]], list[Any]]]:
    """A `map` that returns a list and runs in threads where the work, users × resamples, is large enough."""
    with own_threads() if work >= _THREADS_FROM else nullcontext() as pool:
        apply = map if pool is None else pool.map
        yield lambda task, parts: list(apply(task, parts))


def regrouped(portions: Iterable[NDArray[Any]], *sizes: int) -> Iterator[NDArray[Any]]:
    """Rows regrouped into blocks of these sizes; the last size repeats, and the last block holds what is left."""
    held: list[NDArray[Any]] = []
    count, number = 0, 0
    for portion in portions:
        held.append(portion)
        count += len(portion)
        while count >= (size := sizes[min(number, len(sizes) - 1)]):
            rows = np.concatenate(held) if len(held) > 1 else held[0]
            yield rows[:size]
            held, count, number = [rows[size:]], count - size, number + 1
    if count:
        yield np.concatenate(held)


def jackknife_half_width(
    first: Places,
    second: Places,
    num_users: int,
    num_items: int,
    figure: Callable[[IntArray], float],
    seed: int,
    confidence: float = 0.95,
) -> float:
    """Half the width of the interval of figure(first) − figure(second), by a grouped jackknife.

    Users are assigned to groups at random; the standard error follows from how the difference changes as each group is
    left out (Efron & Tibshirani 1993, section 11.5). A bootstrap would not do for figures such as coverage: a user who
    is drawn twice adds no new item, so that resampled lists cover less than the lists themselves. Memory is that of the
    places.

    Args:
        first: places in the lists of one model.
        second: places in the lists of the other.
        num_users: users of each model.
        num_items: size of the catalogue.
        figure: computes a figure from the number of places of each item, [num_items].
        seed: seed of the assignment to groups.
        confidence: level of the interval, in (0, 1).

    Returns:
        At least 0; NaN with fewer than two users.
    """
    groups = min(GROUPS, num_users)
    if groups < 2:
        return float("nan")
    group_of = np.random.default_rng(seed).permutation(num_users) % groups

    def without_each(places: Places) -> FloatArray:
        rows, items = places
        order = np.argsort(group_of[rows], kind="stable")
        whole = np.bincount(items, minlength=num_items)
        parts = np.split(items[order], np.cumsum(np.bincount(group_of[rows], minlength=groups))[:-1])
        return np.array([figure(whole - np.bincount(part, minlength=num_items)) for part in parts])

    differences = without_each(first) - without_each(second)
    error = np.sqrt((groups - 1) / groups * ((differences - differences.mean()) ** 2).sum())
    return float(stdtrit(groups - 1, (1 + confidence) / 2) * error)
