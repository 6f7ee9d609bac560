"""Top-k lists of any system, and the file that they travel in."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from peers.data import Data

Scorer = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""Scores [len(rows), num_items] of the users with these rows, after training."""

_USERS_PER_BLOCK = 512


def top_lists(scorer: Scorer, data: Data, length: int) -> pa.Table:
    """The best items that a user has not had yet, for every user to rank for.

    Args:
        scorer: gives the scores.
        data: the rows of those users, and the items to leave out of each list.
        length: of the lists, at most.

    Returns:
        row (int64), rank (int32, from 1), item (int32), score (float32), by row and rank. Equal scores stand in no
        particular order: the code that scores the lists must order them.

    Raises:
        ValueError: a score is NaN.
    """
    blocks = [
        _best(scorer(rows), rows, data, min(length, data.num_items))
        for start in range(0, len(data.rows), _USERS_PER_BLOCK)
        for rows in [data.rows[start : start + _USERS_PER_BLOCK]]
    ]
    return pa.concat_tables(blocks)


def write_lists(path: Path, lists: pa.Table) -> None:
    """Write to a temporary file, then rename it."""
    beside = path.with_name(f".{path.name}.part")
    pq.write_table(lists, beside)
    beside.replace(path)


def _best(scores: NDArray[np.float32], rows: NDArray[np.int64], data: Data, length: int) -> pa.Table:
    scores = np.array(scores, np.float32)
    if np.isnan(scores).any():
        raise ValueError("scores hold NaN: training diverged")
    lengths = data.offsets[rows + 1] - data.offsets[rows]
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    had = data.items[np.repeat(data.offsets[rows], lengths) + within]
    scores[np.repeat(np.arange(len(rows)), lengths), had] = -np.inf
    best = np.argpartition(-scores, length - 1, axis=1)[:, :length]
    best = np.take_along_axis(
        best, np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable"), axis=1
    )
    found = np.take_along_axis(scores, best, axis=1)
    keep = np.isfinite(found)
    rank = np.broadcast_to(np.arange(1, length + 1, dtype=np.int32), found.shape)
    row = np.broadcast_to(rows[:, np.newaxis], found.shape)
    return pa.table({"row": row[keep], "rank": rank[keep], "item": best[keep].astype(np.int32), "score": found[keep]})
