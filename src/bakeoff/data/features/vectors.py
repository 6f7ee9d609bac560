"""Vectors of texts, images and the like as rows of a matrix."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def components(column: pd.Series, size: int) -> NDArray[np.float32]:
    """Lists of numbers as rows, float32 [n, size]; 0 where a list is missing or of another length."""
    rows = np.zeros((len(column), size), np.float32)
    fits = (column.astype(object).str.len() == size).to_numpy()
    if fits.any():
        rows[fits] = np.stack(column[fits].to_numpy())
    return rows


def unit_vectors(column: pd.Series, size: int) -> NDArray[np.float32]:
    """Lists of finite numbers, each scaled to length 1, float32 [n, size]; 0 where missing, or of another length."""
    rows = components(column, size)
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))[:, np.newaxis]
    np.divide(rows, lengths, out=rows, where=lengths > 0, casting="same_kind")
    return rows
