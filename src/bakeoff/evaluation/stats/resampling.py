"""What bootstrap and permutation share: many resamples of many users, in chunks that stay in the cache."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from bakeoff.core.threads import own_threads

VALUES_PER_CHUNK = 1 << 20
"""Users × resamples held at once by a thread: 4 MB of float32."""

USERS_PER_BLOCK = 1 << 12
"""Users whose resamples are made at once; at most 2¹⁶, since 16 random bits say which user is drawn."""

_WORTH_THREADS = 1 << 25
# Users × resamples from which on threads pay.

FloatArray = NDArray[np.float64]
Task = Callable[[np.random.Generator, int], Any]


def in_chunks(
    rng: np.random.Generator, resamples: int, num_users: int, task: Task, users_at_once: int = USERS_PER_BLOCK
) -> Iterator[Any]:
    """Results of a task over chunks of the resamples, in order; nothing depends on the number of threads.

    Args:
        rng: parent of a generator for each chunk.
        resamples: in total.
        num_users: of each resample, at least 1.
        task: given the chunk's own generator and its number of resamples.
        users_at_once: users of each of its resamples that the task holds at a time, at most.
    """
    generators, counts = zip(*chunks(rng, resamples, min(num_users, users_at_once)), strict=True)
    if num_users * resamples < _WORTH_THREADS:
        yield from map(task, generators, counts)
        return
    with own_threads(ThreadpoolController()) as pool:
        yield from pool.map(task, generators, counts)


def chunks(rng: np.random.Generator, resamples: int, users_at_once: int) -> list[tuple[np.random.Generator, int]]:
    """A generator and a number of resamples for each chunk, so many that VALUES_PER_CHUNK values hold them."""
    size = max(1, VALUES_PER_CHUNK // users_at_once)
    counts = [min(size, resamples - start) for start in range(0, resamples, size)]
    return list(zip(rng.spawn(len(counts)), counts, strict=True))


def blocks(num_users: int) -> list[slice]:
    """Consecutive users, USERS_PER_BLOCK at a time, and what is left as powers of two, descending."""
    starts, left = [0], num_users
    while left:
        starts.append(starts[-1] + min(USERS_PER_BLOCK, 1 << (left.bit_length() - 1)))
        left = num_users - starts[-1]
    return [slice(start, stop) for start, stop in pairwise(starts)]
