"""Threads of our own that share the cores, while BLAS is held to one.

On a busy machine BLAS' own threads wait for each other at every barrier (measured on two cores with eight processes:
8 times the CPU time for an eigendecomposition at d = 512).
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from threadpoolctl import ThreadpoolController


@contextmanager
def own_threads(blas: ThreadpoolController) -> Iterator[ThreadPoolExecutor]:
    """One thread per core that this process may use, and BLAS held to one."""
    with blas.limit(limits=1, user_api="blas"), ThreadPoolExecutor(num_cores()) as pool:
        yield pool


def num_cores() -> int:
    """Cores that this process may use: OMP_NUM_THREADS, by which BLAS is limited too, limits them."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(_available(), int(limit)) if limit.isdigit() and int(limit) > 0 else _available()


def _available() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux; elsewhere a process can't be held to some of the cores
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
