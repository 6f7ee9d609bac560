"""Compiled loops of ALS: what each row needs beyond dense products.

All kernels release the GIL, and each row's arithmetic is its own: threads may share the rows in any way.

Both solvers find, for each of the given rows u with columns S_u, the minimum x of

    Σ_{j ∈ S_u} w_j (x·y_j − p_j)² + xᵀ (Λ + λ_u I) x,   that is
    A x = b,   A = Λ + λ_u I + Σ w_j y_j y_jᵀ,   b = Σ w_j p_j y_j,

where Λ is diagonal: `others` are in the eigenbasis of their Gramian. Arguments that they share:

    rows: int64 [m], rows to solve, each with at least one column.
    offsets, columns: int64 [n + 1] and int32 [nnz], compressed sparse rows; a repeated column counts each time.
    others: float32 [k, d], embeddings of the columns.
    spectrum: float32 [d], Λ ≥ 0.
    ridge: float32 [n], λ_u > 0.
    roots: float32 [nnz], √w_j of weighted columns, −√w_j where p_j, else 1, is 0; empty where all weigh 1.
    result: float32 [n, d], written for the given rows.
    values: float64 [n], the minimum's value, written for the given rows.
"""

from typing import Any

import numpy as np
from numba import float32, float64, int32, int64, njit, types

# Sums may be reordered and multiply-adds fused, which vector registers need; the order is then fixed in the
# machine code. Compiled once, then loaded from __pycache__.
_options: Any = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "arcp"}}
_compiled = njit(**_options)


# Types of what both solvers take. Each is compiled for these alone: arrays that may not be written, or rows with gaps
# between them, would otherwise be further versions, of some five seconds each.
def _read(dtype: Any, ndim: int = 1) -> Any:
    return types.Array(dtype, ndim, "C", readonly=True)


_ROWS = types.Array(int64, 1, "A", readonly=True)
_GIVEN = (_ROWS, _read(int64), _read(int32), _read(float32, 2), _read(float32), _read(float32), _read(float32))
_FOUND = (float32[:, ::1], float64[::1])

_CONVERGED = 1e-13
# Of the value at zero, Σ w_j p_j: the square of float32's precision, beyond which a step is noise.


@_compiled
def _dot(left: Any, right: Any) -> Any:
    total = np.float32(0)
    for k in range(len(left)):
        total += left[k] * right[k]
    return total


@_compiled
def _add(scale: Any, vector: Any, onto: Any) -> None:
    for k in range(len(vector)):
        onto[k] += scale * vector[k]


@_compiled
def _ones(rows: Any, offsets: Any) -> Any:
    """As many as the longest of the rows has columns, at least one."""
    longest = 1
    for u in rows:
        longest = max(longest, offsets[u + 1] - offsets[u])
    return np.ones(longest, np.float32)


@_compiled
def _total(roots: Any) -> Any:
    """Σ w_j p_j, the value at zero, as float64: exact where all are 1."""
    total = 0.0
    for root in roots:
        total += max(root, np.float32(0)) * root
    return total


@_compiled
def _divide(vector: Any, by: Any, into: Any) -> None:
    for k in range(len(vector)):
        into[k] = vector[k] / by[k]


@_compiled
def _solve_in_place(system: Any, target: Any, size: int) -> None:
    """Overwrite the first `size` entries of target with the solution; of a symmetric system the lower half is read."""
    for i in range(size):
        for j in range(i):
            system[i, j] = (system[i, j] - _dot(system[i, :j], system[j, :j])) / system[j, j]
        system[i, i] = np.sqrt(system[i, i] - _dot(system[i, :i], system[i, :i]))
    for i in range(size):
        target[i] = (target[i] - _dot(system[i, :i], target[:i])) / system[i, i]
    for i in range(size - 1, -1, -1):
        target[i] /= system[i, i]
        _add(-target[i], system[i, :i], target[:i])


@njit(nogil=True, cache=True, fastmath={"contract"})
def _add_four(columns: Any, roots: Any, others: Any, system: Any) -> None:
    """Add w y yᵀ of four columns to a d × d system, one after the other in each entry.

    An entry is read and written once for the four, and whole rows fill the vector registers as halves of different
    lengths would not: with d = 64 this takes a fifth of the time of one column at a time.
    """
    a, b, c, d = others[columns[0]], others[columns[1]], others[columns[2]], others[columns[3]]
    weights = roots * roots
    for i in range(len(a)):
        row = system[i]
        at, bt, ct, dt = weights[0] * a[i], weights[1] * b[i], weights[2] * c[i], weights[3] * d[i]
        for j in range(len(a)):
            row[j] = row[j] + at * a[j] + bt * b[j] + ct * c[j] + dt * d[j]


@_compiled
def _by_columns(mine: Any, roots: Any, others: Any, dense: Any, system: Any, scaled: Any, target: Any, x: Any) -> Any:
    """Solve one row by its |S_u| × |S_u| system; the minimum's value, Σ w_j p_j − b·x = Σ √w_j p_j a_j."""
    x[:] = 0
    for k in range(len(dense)):
        dense[k] = np.sqrt(dense[k])
    for i in range(len(mine)):
        for k in range(len(dense)):
            scaled[i, k] = roots[i] * others[mine[i], k] / dense[k]  # Y M^−½
        for j in range(i + 1):
            system[i, j] = _dot(scaled[i], scaled[j])
        system[i, i] += 1
        target[i] = max(roots[i], np.float32(0))
    _solve_in_place(system, target, len(mine))
    value = np.float32(0)
    for i in range(len(mine)):
        _add(target[i], scaled[i], x)
        value += max(roots[i], np.float32(0)) * target[i]
    x /= dense
    return value


@_compiled
def _by_dimensions(mine: Any, roots: Any, others: Any, dense: Any, system: Any, target: Any, x: Any) -> Any:
    """Solve one row by its d × d system; the minimum's value, Σ w_j p_j − b·x."""
    for i in range(len(dense)):
        target[i] = 0
        for j in range(len(dense)):
            system[i, j] = dense[i] if i == j else 0
    for place, column in enumerate(mine):
        _add(max(roots[place], np.float32(0)) * roots[place], others[column], target)
    done = len(mine) // 4 * 4
    for place in range(0, done, 4):
        _add_four(mine[place : place + 4], roots[place : place + 4], others, system)
    for place in range(done, len(mine)):
        weight, y = roots[place] * roots[place], others[mine[place]]
        for i in range(len(dense)):
            _add(weight * y[i], y, system[i, : len(y)])
    for k in range(len(dense)):  # as slices, numba would compile the message of an error for two seconds
        x[k] = target[k]
    _solve_in_place(system, x, len(dense))
    return _total(roots) - _dot(x, target)


@njit((*_GIVEN, int64, *_FOUND), **_options)
def solve_cg(
    rows: Any,
    offsets: Any,
    columns: Any,
    others: Any,
    spectrum: Any,
    ridge: Any,
    roots: Any,
    steps: int,
    result: Any,
    values: Any,
) -> None:
    """Conjugate gradient from the given solution, preconditioned by the dense part M = Λ + λ_u I.

    A row with |S_u| columns is at its optimum after |S_u| + 1 steps at most: A is M plus a matrix of that rank.
    """
    dim = others.shape[1]
    ones = _ones(rows, offsets)
    residual = np.empty(dim, np.float32)
    direction = np.empty(dim, np.float32)
    image = np.empty(dim, np.float32)  # A p
    dense = np.empty(dim, np.float32)  # M
    for u in rows:
        x, mine = result[u], columns[offsets[u] : offsets[u + 1]]
        mine_roots = roots[offsets[u] : offsets[u + 1]] if len(roots) else ones[: len(mine)]
        total = _total(mine_roots)
        if total == 0:  # dislikes alone
            x[:] = 0
            values[u] = 0
            continue
        for k in range(dim):
            dense[k] = spectrum[k] + ridge[u]
            residual[k] = -dense[k] * x[k]
        gain = np.float32(0)  # b·x
        for place, column in enumerate(mine):
            weight, root = mine_roots[place] * mine_roots[place], max(mine_roots[place], np.float32(0))
            score = _dot(others[column], x)
            gain += root * root * score
            _add(root * root - weight * score, others[column], residual)
        _divide(residual, dense, direction)
        energy = _dot(residual, direction)  # rᵀ M⁻¹ r
        for _ in range(steps):
            if energy <= _CONVERGED * total:
                break
            for k in range(dim):
                image[k] = dense[k] * direction[k]
            slope = np.float32(0)  # b·p
            for place, column in enumerate(mine):
                root = max(mine_roots[place], np.float32(0))
                score = _dot(others[column], direction)
                slope += root * root * score
                _add(mine_roots[place] * mine_roots[place] * score, others[column], image)
            length = energy / _dot(direction, image)
            gain += length * slope
            _add(length, direction, x)
            _add(-length, image, residual)
            _divide(residual, dense, image)
            energy, before = _dot(residual, image), energy
            for k in range(dim):
                direction[k] = image[k] + energy / before * direction[k]
        values[u] = total - gain - _dot(x, residual)


@njit((*_GIVEN, *_FOUND), **_options)
def solve_cholesky(
    rows: Any, offsets: Any, columns: Any, others: Any, spectrum: Any, ridge: Any, roots: Any, result: Any, values: Any
) -> None:
    """Exact, by the smaller of two systems.

    With at least d columns that is A itself, d × d. With fewer it is the |S_u| × |S_u| system of the Woodbury
    identity: x = M⁻¹ Yᵀ a with (I + Y M⁻¹ Yᵀ) a = p, where the rows of Y are the y_j. Weights make that the system of
    y'_j = √w_j y_j with b = Σ √w_j p_j y'_j.
    """
    ones = _ones(rows, offsets)
    size = min(others.shape[1], len(ones))
    system = np.empty((size, size), np.float32)
    scaled = np.empty((size, others.shape[1]), np.float32)
    target = np.empty(size, np.float32)
    dense = np.empty(others.shape[1], np.float32)  # M
    for u in rows:
        mine = columns[offsets[u] : offsets[u + 1]]
        weights = roots[offsets[u] : offsets[u + 1]] if len(roots) else ones[: len(mine)]
        for k in range(len(dense)):
            dense[k] = spectrum[k] + ridge[u]
        if len(mine) < len(dense):
            values[u] = _by_columns(mine, weights, others, dense, system, scaled, target, result[u])
        else:
            values[u] = _by_dimensions(mine, weights, others, dense, system, target, result[u])
