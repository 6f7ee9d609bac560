"""Implicit ALS: each side is solved given the other, in the eigenbasis of the other's Gramian.

Hu, Koren & Volinsky (2008), "Collaborative filtering for implicit feedback datasets", in the form of Rendle,
Krichene, Zhang & Koren (2021), "Revisiting the performance of iALS on item recommendation benchmarks", eqs. 1-4:

    L = Σ_{(u,i) ∈ S} w_ui (x_u·y_i − p_ui)² + α₀ Σ_{u,i} (x_u·y_i)² + Σ_u λ_u ‖x_u‖² + Σ_i λ_i ‖y_i‖²,
    λ_u = λ (Σ_{i ∈ S_u} w_ui + α₀ |I|)^ν,   λ_i = λ (Σ_{u ∈ S_i} w_ui + α₀ |U|)^ν,

where w is 1, or the weight of the event; then Σ w takes the place of |S_u|, as if it had occurred so many times. The
preference p is 1, and 0 of a dislike, whose weight comes below 0.
Scores don't change when both sides are rotated alike. Rotated so that YᵀY = Λ is diagonal, the dense part of a
row's system, α₀ Λ + λ_u I, costs d instead of d² operations, whatever λ_u is, and inverts at once: it is the ideal
preconditioner of conjugate gradient, whose few steps then come as close as a d × d solve.

Hu et al.'s confidence α on what was observed and 1 elsewhere, with plain λ', is the same family:
α₀ = 1/(α − 1), λ = λ'/α, ν = 0, and embeddings √(α/(α − 1)) times as long.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bakeoff.core.histories import Histories, Queries
from bakeoff.core.processes import own_threads
from bakeoff.data.prepared.tables import Prepared
from bakeoff.models.base.start import FIT_IN_FULL, Start, StartError, rows_of
from bakeoff.models.mf import kernels
from bakeoff.models.mf.mf import WEIGHTS, MFTrainer, ridge, share
from bakeoff.models.mf.spec import MFParams

EXACT_SIZE = 16
"""Rows whose system, min(|S_u|, d) wide, is no wider than this are solved exactly: few steps would cost as much."""

ROWS_PER_BLOCK = 4096
"""2¹² × d floats are copied at once by each thread: 1 MiB at d = 64."""

SMALLEST = np.float32(2.0**-42)
"""Entries below it become 0 before rows are solved. Dimensions that the data don't need shrink with every epoch, and
conjugate gradient multiplies three such entries (two are in an eigenvalue of the Gramian). A subnormal product takes a
processor ten times as long; the cube, 2⁻¹²⁶, is the smallest that is normal."""

Matrix = NDArray[np.float32]


def eigenbasis(pool: ThreadPoolExecutor, matrix: Matrix) -> tuple[Matrix, Matrix]:
    """Eigenvalues [d], ≥ 0 and ascending, and eigenvectors [d, d] (columns) of matrixᵀ · matrix."""
    gramian = np.zeros((matrix.shape[1],) * 2)
    for part in pool.map(lambda rows: matrix[rows].T @ matrix[rows], _slices(len(matrix))):
        gramian += part
    values, vectors = np.linalg.eigh(gramian)
    return np.maximum(values, 0).astype(np.float32), vectors.astype(np.float32)


def rotate(pool: ThreadPoolExecutor, matrix: Matrix, basis: Matrix, rows: NDArray[np.int64] | None = None) -> None:
    """Replace the given rows of the matrix, or all, by their products with the basis; what is below SMALLEST by 0."""

    def rotate_block(part: slice) -> None:
        where = part if rows is None else rows[part]
        rotated = matrix[where] @ basis
        rotated[np.abs(rotated) < SMALLEST] = 0
        matrix[where] = rotated

    list(pool.map(rotate_block, _slices(len(matrix) if rows is None else len(rows))))


def _slices(size: int) -> list[slice]:
    return [slice(start, start + ROWS_PER_BLOCK) for start in range(0, size, ROWS_PER_BLOCK)]


@dataclass(frozen=True)
class Side:
    """Rows of one side with what is observed of them.

    Attributes:
        offsets: int64 [n + 1], as in Histories.
        columns: int32 [nnz], indices of the other side.
        roots: float32 [nnz], √w of each pair, −√w of a dislike; empty where all weigh 1.
        ridge: float32 [n], λ_u.
        exact: int64, rows that Cholesky solves, longest first.
        iterative: int64, rows that conjugate gradient solves, longest first. A row with no column is in neither.
    """

    offsets: NDArray[np.int64]
    columns: NDArray[np.int32]
    roots: NDArray[np.float32]
    ridge: NDArray[np.float32]
    exact: NDArray[np.int64]
    iterative: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        offsets: NDArray[np.int64],
        columns: NDArray[np.int32],
        weights: NDArray[np.float32] | None,
        other_size: int,
        params: MFParams,
    ) -> Self:
        """Lay out rows that are observed with columns of a side of this size; weights: None where all are 1."""
        lengths = np.diff(offsets)
        roots, totals = np.zeros(0, np.float32), lengths
        if weights is not None:
            rows = np.repeat(np.arange(len(lengths)), lengths)
            sizes = np.abs(weights)
            roots, totals = np.copysign(np.sqrt(sizes), weights), np.bincount(rows, sizes, len(lengths))
        widest = {"cholesky": np.iinfo(np.int64).max, "cg": 0}.get(params.solver, EXACT_SIZE)
        order = np.argsort(-lengths, kind="stable")
        order = order[: np.count_nonzero(lengths)]
        exact = np.minimum(lengths[order], params.dim) <= widest
        return cls(offsets, columns, roots, ridge(totals, other_size, params), order[exact], order[~exact])


class ImplicitALS(MFTrainer):
    """Alternating least squares over observed pairs; one epoch solves items, then users."""

    def __init__(
        self,
        histories: Histories,
        num_items: int,
        params: MFParams,
        seed: int,
        start: Matrix | None = None,
        previous: Matrix | None = None,
    ) -> None:
        """Take the items' initial embeddings, or draw them from N(0, init_scale² / d), and solve the users.

        Args:
            histories: to train on.
            num_items: of the catalogue.
            params: of the model.
            seed: of what is drawn.
            start: initial embeddings, those of an earlier model; None: drawn.
            previous: those from which that model's last epoch began, and the first one here begins; None: `start`.
        """
        super().__init__(histories, num_items, params)
        histories, params = self._histories, self._params
        shape, weights = (len(histories), num_items), histories.weights
        observed = np.ones(len(histories.items), np.bool_) if weights is None else weights
        pairs = csr_array((observed, histories.items, histories.offsets), shape).tocsc()  # repeated pairs stay
        self._users = Side.of(histories.offsets, histories.items, weights, num_items, params)
        by_item = pairs.indptr.astype(np.int64), pairs.indices.astype(np.int32)
        self._items = Side.of(*by_item, None if weights is None else pairs.data, len(histories), params)
        if start is None:
            start = np.random.default_rng(seed).standard_normal((num_items, params.dim), np.float32)
            start *= np.float32(params.init_scale / np.sqrt(params.dim))
        self.item_embeddings, self.previous_items, self._repeats = start, previous, previous is not None
        self._solve_users()

    def run_epoch(self) -> float:
        """Solve items given users, then users given items, as fold-in with equal weights would.

        Returns:
            loss L per observed pair.
        """
        if self._repeats:
            self.item_embeddings, self._repeats = np.array(self.previous_items), False
            self._solve_users()
        self.previous_items = np.array(self.item_embeddings) if self.keeps_weights else None
        self._solve_items()
        return self._solve_users()

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """As that of every trainer, with the epoch that a warm start repeats behind it."""
        super().restore(state)
        self._repeats = False

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
        with own_threads() as pool:
            spectrum, basis = eigenbasis(pool, others)
            rotate(pool, others, basis)
            rotate(pool, solution, basis, side.iterative)
            values = np.zeros(len(solution))
            dense = (spectrum * np.float32(self._params.unobserved_weight), side.ridge)
            given = (side.offsets, side.columns, others, *dense, side.roots)
            found = (solution, values)
            steps = self._params.cg_steps
            share(pool, lambda rows: kernels.solve_cholesky(rows, *given, *found), side.exact)
            share(pool, lambda rows: kernels.solve_cg(rows, *given, steps, *found), side.iterative)
        solution[np.diff(side.offsets) == 0] = 0
        loss = values.sum() + other_side.ridge @ np.einsum("nd,nd->n", others, others)
        return spectrum, float(loss / max(len(self._histories.items), 1))


def build(
    prepared: Prepared,
    queries: Queries,
    section: MFParams,
    seed: int,
    als: Callable[..., MFTrainer] = ImplicitALS,
    start: Start | None = None,
) -> MFTrainer:
    """A fresh trainer on the histories of these queries; without `als`, in this process whatever the solver.

    From an earlier model, the first epoch repeats that one's last, on these histories. To go on from where it ended
    would add an epoch each time, which fits noise where few are best. A new item starts at 0, as one without events:
    users are solved without it, then the first epoch folds it in.

    Raises:
        StartError: the model to start from has another dimension, or an earlier version made it, or Spark trains, which
            takes no start.
    """
    histories, dislikes = queries.histories, prepared.trained_dislikes
    if dislikes is not None:
        ones = np.ones(len(histories.items), np.float32)
        histories = (histories if histories.weights is not None else replace(histories, weights=ones)).merged(dislikes)
    if start is None:
        return als(histories, prepared.num_items, section, seed)
    if als is not ImplicitALS:
        raise StartError(f"Spark's ALS (mf.solver: mllib) can't start from an earlier model. {FIT_IN_FULL}")
    zeros = np.zeros((prepared.num_items, section.dim), np.float32)
    rows = rows_of(start.item_ids, prepared.item_ids)
    items, previous = (start.take(name, zeros, rows) for name in WEIGHTS)
    return ImplicitALS(histories, prepared.num_items, section, seed, items, previous)
