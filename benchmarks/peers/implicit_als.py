"""Implicit ALS of the `implicit` library, by conjugate gradient: its default.

An epoch of the library solves for users before items, so that lists are made with users solved once more.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from peers.data import Data
from peers.lists import Scorer


def train(data: Data, setting: Mapping[str, Any], seed: int, threads: int) -> Iterator[Scorer]:
    """`factors`, `regularization`, `alpha` (weight of an observed pair) `epochs`, as the library means them."""
    # The library parallelises over rows itself and asks for a BLAS of one thread.
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=setting["factors"],
            regularization=setting["regularization"],
            alpha=setting["alpha"],
            iterations=setting["epochs"],
            num_threads=threads,
            random_state=seed,
        )
        matrix = data.matrix()
        model.fit(matrix, show_progress=False)
    yield lambda rows: model.recalculate_user(rows, matrix[rows]) @ model.item_factors.T
