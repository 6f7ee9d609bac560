"""Accuracy of top-k lists, per user: recall, NDCG, reciprocal rank, hit rate.

All take `relevant` bool [n, length] (from `relevance`) and `num_relevant` int64 [n], the size of each user's
truth, and return float64 [n] in [0, 1]: 0 without a hit, NaN without truth. Ranks beyond the end of a list
hold no hit.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories
from bakeoff.evaluation.metrics.arrays import distinct, divide
from bakeoff.evaluation.ranking import TopLists

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


def relevance(lists: TopLists, truth: Histories) -> BoolArray:
    """[n, length] whether the item at each rank is one of the user's truth; False where padded.

    Args:
        lists: lists of n users.
        truth: n rows; repeats of an item count once.
    """
    items = lists.items.astype(np.int64)
    stride = 1 + max(items.max(initial=0), truth.items.max(initial=0))
    asked = np.arange(len(lists))[:, None] * stride + items
    known = truth.rows * stride + truth.items
    return np.isin(asked, known) & (items >= 0)


def num_relevant(truth: Histories) -> IntArray:
    """[n] number of different items in each row of the truth, |T_u|."""
    stride = 1 + truth.items.max(initial=0)
    pairs = distinct(truth.rows * np.int64(stride) + truth.items)
    return np.bincount(pairs // stride, minlength=len(truth)).astype(np.int64)


def recall(relevant: BoolArray, num_relevant: IntArray, k: int) -> FloatArray:
    """|L_u ∩ T_u| / min(k, |T_u|): Liang et al. (2018), so that a perfect list always scores 1."""
    hits = relevant[:, :k].sum(axis=1)
    return divide(hits, np.minimum(num_relevant, k))


def ndcg(relevant: BoolArray, num_relevant: IntArray, k: int) -> FloatArray:
    """Σ_{r≤k} rel_r disc(r) / Σ_{r≤min(k,|T_u|)} disc(r), disc(r) = 1/log2(r + 1).

    Järvelin & Kekäläinen (2002) with binary gains; the ideal list has all of the truth first.
    """
    discount = 1 / np.log2(np.arange(2, k + 2))
    shown = relevant[:, :k]
    gain = np.where(shown, discount[: shown.shape[1]], 0).sum(axis=1)
    ideal = np.concatenate([[0], np.cumsum(discount)])
    return divide(gain, ideal[np.minimum(num_relevant, k)])


def mrr(relevant: BoolArray, num_relevant: IntArray, k: int) -> FloatArray:
    """1 / rank of the first hit, 0 if it is not among the first k."""
    shown = relevant[:, :k]
    first = 1 / (1 + shown.argmax(axis=1))
    return _with_truth(np.where(np.any(shown, axis=1), first, 0), num_relevant)


def hit_rate(relevant: BoolArray, num_relevant: IntArray, k: int) -> FloatArray:
    """1 if there is a hit among the first k, else 0."""
    return _with_truth(np.any(relevant[:, :k], axis=1), num_relevant)


def _with_truth(value: NDArray[Any], num_relevant: IntArray) -> FloatArray:
    return np.where(num_relevant > 0, value, np.nan).astype(np.float64)
