"""Tall matrices and observed pairs in blocks; a block of rows per thread, and no result depends on their number.

BLAS is held to one thread meanwhile; see bakeoff.core.processes.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from bakeoff.core.histories import Histories
from bakeoff.core.processes import own_threads

ROWS_PER_BLOCK = 4096
"""2¹² × d floats are copied at once by each thread: 1 MiB at d = 64."""

ROWS_PER_SHARE = 256
"""Rows that a thread solves before it takes the next share, on average."""

Matrix = NDArray[np.float32]
T = TypeVar("T")


class Blocks:
    """Threads that share the rows of a matrix."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        """Use these threads; see `running`."""
        self._pool = pool

    @classmethod
    @contextmanager
    def running(cls, blas: ThreadpoolController) -> Iterator[Self]:
        """One thread per core that this process may use, and BLAS held to one."""
        with own_threads(blas) as pool:
            yield cls(pool)

    def eigenbasis(self, matrix: Matrix) -> tuple[Matrix, Matrix]:
        """Eigenvalues [d], ≥ 0 and ascending, and eigenvectors [d, d] (columns) of matrixᵀ · matrix."""
        gramian = np.zeros((matrix.shape[1],) * 2)
        for part in self._pool.map(lambda rows: matrix[rows].T @ matrix[rows], _slices(len(matrix))):
            gramian += part
        values, vectors = np.linalg.eigh(gramian)
        return np.maximum(values, 0).astype(np.float32), vectors.astype(np.float32)

    def rotate(self, matrix: Matrix, basis: Matrix, rows: NDArray[np.int64] | None = None) -> None:
        """Replace the given rows of the matrix, or all, by their products with the basis."""

        def rotate_block(part: slice) -> None:
            where = part if rows is None else rows[part]
            matrix[where] = matrix[where] @ basis

        self.each(rotate_block, _slices(len(matrix) if rows is None else len(rows)))

    def share(self, task: Callable[[NDArray[np.int64]], None], rows: NDArray[np.int64]) -> None:
        """Deal rows, longest first, to as many shares as keep all threads busy to the end."""
        num_shares = -(-len(rows) // ROWS_PER_SHARE)
        self.each(task, [rows[start::num_shares] for start in range(num_shares)])

    def each(self, task: Callable[[T], None], parts: list[T]) -> None:
        """Run the task on every part; an error in one is raised here."""
        for _ in self._pool.map(task, parts):
            pass


def _slices(size: int) -> list[slice]:
    return [slice(start, start + ROWS_PER_BLOCK) for start in range(0, size, ROWS_PER_BLOCK)]


def pairs_in_blocks(histories: Histories, size: int) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """All events as pairs of a user and an item, user by user; one empty block where there is none.

    Args:
        histories: of all users; items may be mapped from a file.
        size: events of a block, the last one being shorter; a long history is cut.

    Yields:
        rows of the users [n] and indices of the items [n] of n events; the items are not copied.
    """
    offsets, num_events = histories.offsets, len(histories.items)
    for start in range(0, max(num_events, 1), size):
        stop = min(start + size, num_events)
        first = int(np.searchsorted(offsets, start, side="right")) - 1
        last = int(np.searchsorted(offsets, stop, side="left"))
        bounds = np.clip(offsets[first : last + 1], start, stop)
        yield np.repeat(np.arange(first, last, dtype=np.int32), np.diff(bounds)), histories.items[start:stop]
