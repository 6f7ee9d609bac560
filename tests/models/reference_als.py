"""Implicit ALS once more, one row at a time in NumPy's float64: what the batched solver must agree with."""

import numpy as np


def solve_row(columns, others, alpha0, lam, nu, weights=None, preferences=1):
    """Optimum of one row: (Σ w y yᵀ + α₀ YᵀY + λ (Σ w + α₀ n)^ν I)⁻¹ Σ w p y, p the preferences."""
    others = np.asarray(others, np.float64)
    weights = np.ones(len(columns)) if weights is None else np.asarray(weights, np.float64)
    y = others[columns]
    ridge = lam * (weights.sum() + alpha0 * len(others)) ** nu
    matrix = (y.T * weights) @ y + alpha0 * others.T @ others + ridge * np.eye(others.shape[1])
    return np.linalg.solve(matrix, y.T @ (weights * preferences))


def loss(rows, x, y, alpha0, lam, nu):
    """The objective as it is written down, over all users × items."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    seen = np.zeros((len(x), len(y)))
    for user, items in enumerate(rows):
        seen[user, items] = 1
    scores = x @ y.T
    user_ridge = lam * (seen.sum(1) + alpha0 * len(y)) ** nu
    item_ridge = lam * (seen.sum(0) + alpha0 * len(x)) ** nu
    return (
        (seen * (scores - 1) ** 2).sum()
        + alpha0 * (scores**2).sum()
        + user_ridge @ (x**2).sum(1)
        + item_ridge @ (y**2).sum(1)
    )
