"""Implicit ALS: each side is solved given the other, in the eigenbasis of the other's Gramian.

Hu, Koren & Volinsky (2008), "Collaborative filtering for implicit feedback datasets", in the form of Rendle,
Krichene, Zhang & Koren (2021), "Revisiting the performance of iALS on item recommendation benchmarks", eqs. 1-4:

    L = Σ_{(u,i) ∈ S} (x_u·y_i − 1)² + α₀ Σ_{u,i} (x_u·y_i)² + Σ_u λ_u ‖x_u‖² + Σ_i λ_i ‖y_i‖²,
    λ_u = λ (|S_u| + α₀ |I|)^ν,   λ_i = λ (|S_i| + α₀ |U|)^ν.

Scores don't change when both sides are rotated alike. Rotated so that YᵀY = Λ is diagonal, the dense part of a
row's system, α₀ Λ + λ_u I, costs d instead of d² operations, whatever λ_u is, and inverts at once: it is the ideal
preconditioner of conjugate gradient, whose few steps then come as close as a d × d solve.

Hu et al.'s confidence α on what was observed and 1 elsewhere, with plain λ', is the same family:
α₀ = 1/(α − 1), λ = λ'/α, ν = 0, and embeddings √(α/(α − 1)) times as long.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from bakeoff.core.histories import Histories
from bakeoff.models.mf import kernels
from bakeoff.models.mf.blocks import Blocks, Matrix
from bakeoff.models.mf.params import MFParams

EXACT_SIZE = 16
"""Rows whose system, min(|S_u|, d) wide, is no wider than this are solved exactly: few steps would cost as much."""


@dataclass(frozen=True)
class Side:
    """Rows of one side with what is observed of them.

    Attributes:
        offsets: int64 [n + 1], as in Histories.
        columns: int32 [nnz], indices of the other side.
        ridge: float32 [n], λ_u.
        exact: int64, rows that Cholesky solves, longest first.
        iterative: int64, rows that conjugate gradient solves, longest first. A row with no column is in neither.
    """

    offsets: NDArray[np.int64]
    columns: NDArray[np.int32]
    ridge: NDArray[np.float32]
    exact: NDArray[np.int64]
    iterative: NDArray[np.int64]

    @classmethod
    def of(cls, offsets: NDArray[np.int64], columns: NDArray[np.int32], other_size: int, params: MFParams) -> Self:
        """Lay out rows that are observed with columns of a side of this size."""
        lengths = np.diff(offsets)
        widest = {"cholesky": np.iinfo(np.int64).max, "cg": 0}.get(params.solver, EXACT_SIZE)
        order = np.argsort(-lengths, kind="stable")
        order = order[: np.count_nonzero(lengths)]
        exact = np.minimum(lengths[order], params.dim) <= widest
        return cls(offsets, columns, ridge(lengths, other_size, params), order[exact], order[~exact])


def ridge(frequencies: NDArray[np.integer], other_size: int, params: MFParams) -> NDArray[np.float32]:
    """λ_u = λ (|S_u| + α₀ |I|)^ν, float32 [n], of rows with these numbers of pairs and a side of that size across."""
    base = frequencies + params.unobserved_weight * other_size
    return (params.regularization * base**params.regularization_exponent).astype(np.float32)


class ImplicitALS:
    """Alternating least squares over observed pairs; one epoch solves items, then users.

    Attributes:
        user_embeddings: float32 [num_users, d], 0 where a user has no pair.
        item_embeddings: float32 [num_items, d], in the eigenbasis of their own Gramian; 0 where an item has no pair.
        item_spectrum: float32 [d], the diagonal of that Gramian.
    """

    def __init__(self, histories: Histories, num_items: int, params: MFParams, seed: int) -> None:
        """Draw the items' initial embeddings from N(0, init_scale² / d) and solve the users."""
        self._params = params
        self._blas = ThreadpoolController()
        self._num_pairs = len(histories.items)
        offsets, users = kernels.transpose(histories.offsets, histories.items, num_items)
        self._users = Side.of(histories.offsets, histories.items, num_items, params)
        self._items = Side.of(offsets, users, len(histories), params)
        rng = np.random.default_rng(seed)
        self.item_embeddings = rng.standard_normal((num_items, params.dim), np.float32)
        self.item_embeddings *= np.float32(params.init_scale / np.sqrt(params.dim))
        self.user_embeddings = np.zeros((len(histories), params.dim), np.float32)
        self.item_spectrum = np.zeros(params.dim, np.float32)
        self._solve_users()

    def run_epoch(self) -> float:
        """Solve items given users, then users given items, as fold-in with equal weights would.

        Returns:
            loss L per observed pair.
        """
        self._solve_items()
        return self._solve_users()

    def _solve_users(self) -> float:
        self.item_spectrum, loss = self._solve(self._users, self.user_embeddings, self._items, self.item_embeddings)
        return loss

    def _solve_items(self) -> float:
        _, loss = self._solve(self._items, self.item_embeddings, self._users, self.user_embeddings)
        return loss

    def _solve(self, side: Side, solution: Matrix, other_side: Side, others: Matrix) -> tuple[Matrix, float]:
        """Bring the solution to its optimum, or closer, and both sides into the eigenbasis of the others.

        Returns:
            eigenvalues [d] of the others' Gramian, and the loss L per observed pair: each row's minimum is known
            once it is found, so no pair has to be looked at again.
        """
        with Blocks.running(self._blas) as blocks:
            spectrum, basis = blocks.eigenbasis(others)
            blocks.rotate(others, basis)
            blocks.rotate(solution, basis, side.iterative)
            values = np.zeros(len(solution))
            given = (side.offsets, side.columns, others, spectrum * np.float32(self._params.unobserved_weight))
            found = (solution, values)
            steps = self._params.cg_steps
            blocks.share(lambda rows: kernels.solve_cholesky(rows, *given, side.ridge, *found), side.exact)
            blocks.share(lambda rows: kernels.solve_cg(rows, *given, side.ridge, steps, *found), side.iterative)
        solution[np.diff(side.offsets) == 0] = 0
        loss = values.sum() + other_side.ridge @ np.einsum("nd,nd->n", others, others)
        return spectrum, float(loss / max(self._num_pairs, 1))
