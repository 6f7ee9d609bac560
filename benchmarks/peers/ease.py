"""EASE (Steck 2019, "Embarrassingly shallow autoencoders for sparse data", eq. 8), in NumPy and SciPy.

P = (XᵀX + λI)⁻¹, B = I − P · diag(1 / diag P); the score of item j for a query x is (x B)_j. With `recency_scale` τ the
item at lag l of a *query* weighs exp(−l/τ) instead of 1; training stays as it is.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from peers.data import Data
from peers.lists import Scorer


def train(data: Data, setting: Mapping[str, Any], seed: int, threads: int) -> Iterator[Scorer]:
    """Solve in closed form: `regularization` λ > 0, `recency_scale` τ or none. Nothing is random."""
    pairs = data.matrix()
    gram = (pairs.T @ pairs).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += setting["regularization"]
    inverse = cho_solve(cho_factor(gram, overwrite_a=True), np.eye(data.num_items), overwrite_b=True)
    weights = (inverse / -np.diag(inverse)).astype(np.float32)
    np.fill_diagonal(weights, 0)
    queries = data.matrix(setting.get("recency_scale"))
    yield lambda rows: queries[rows] @ weights
