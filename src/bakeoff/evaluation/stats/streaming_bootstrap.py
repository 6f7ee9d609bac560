"""Bootstrap over more users than memory holds: the sums of every block of users, resample by resample."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from bakeoff.core.threads import own_threads
from bakeoff.evaluation.stats.resampling import USERS_PER_BLOCK, blocks, chunks

FloatArray = NDArray[np.float64]

Portions = Callable[[], Iterable[FloatArray]]
"""All users in the same order whenever it is called, in portions float64 [m, c] of any size."""


def means_of_portions(
    portions: Portions, rng: np.random.Generator, resamples: int
) -> tuple[int, FloatArray, FloatArray]:
    """Number of users, their mean [c], and how far the mean of each resample lies from it, [resamples, c].

    How many of a resample's draws fall on a block of users is multinomial, and so is how often each of its users is
    drawn: a block is needed once, for all resamples. In memory are a portion, the sums, and the draws of each block: 4
    bytes per resample and 4,096 users. The size of portions plays no part.

    Args:
        portions: at least one user; read twice.
        rng: source of the draws.
        resamples: number of resamples.
    """
    num_users, total = 0, np.zeros(())
    for block in in_blocks(portions(), USERS_PER_BLOCK):
        num_users, total = num_users + len(block), total + block.sum(axis=0)
    mean = total / num_users
    sizes = np.array([part.stop - part.start for part in blocks(num_users)])
    parts = [
        _Chunk(own, count, sizes, len(mean)) for own, count in chunks(rng, resamples, min(num_users, USERS_PER_BLOCK))
    ]
    with own_threads(ThreadpoolController()) as pool:
        for number, block in enumerate(in_blocks(portions(), *sizes)):
            # Centred values lose nothing by float32: its rounding is relative to the spread, not to the mean.
            centred = (block - mean).astype(np.float32)
            list(pool.map(lambda part, number=number, centred=centred: part.add(number, centred), parts))
    return num_users, mean, np.concatenate([part.sums for part in parts]) / num_users


class _Chunk:
    """Some of the resamples, with draws of their own."""

    def __init__(self, rng: np.random.Generator, resamples: int, sizes: NDArray[np.int64], columns: int) -> None:
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


def in_blocks(portions: Iterable[NDArray[Any]], *sizes: int) -> Iterator[NDArray[Any]]:
    """The rows in blocks of these sizes, the last size again and again, and what is left."""
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
