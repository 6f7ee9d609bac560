"""Formulas of the metrics: accuracy of top-k lists, how popular and how alike their items are, and how much they cover.

Accuracy metrics take `relevant` bool [n, length] (from `relevance`) and `num_relevant` int64 [n], the size of each
user's truth, and return float64 [n] in [0, 1]: 0 without a hit, NaN without truth. Ranks beyond the end of a list hold
no hit. Popularity metrics take `counts` int64 [num_items], φ(i), the number of train interactions of each item.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bakeoff.core.histories import PAD, Histories, offsets_of

if TYPE_CHECKING:  # ranking uses `relevance`
    from bakeoff.evaluation.ranking import TopLists

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

_LISTS_PER_BLOCK = 1 << 13
# Lists whose features are added up at once: with lists of 100 and some tags an item, tens of megabytes.


def relevance(lists: "TopLists", truth: Histories) -> BoolArray:
    """[n, length] whether the item at each rank is one of the user's truth; False where padded.

    Args:
        lists: lists of n users.
        truth: n rows; repeats of an item count once.
    """
    items = lists.items.astype(np.int64)
    stride = 1 + max(items.max(initial=0), truth.items.max(initial=0))
    listed = np.arange(len(lists))[:, None] * stride + items
    return np.isin(listed, truth.keys(stride)) & (items >= 0)


def num_relevant(truth: Histories) -> IntArray:
    """[n] number of different items in each row of the truth, |T_u|."""
    stride = 1 + truth.items.max(initial=0)
    pairs = distinct(truth.keys(stride))
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


def debiased_ndcg(lists: "TopLists", relevant: BoolArray, truth: Histories, weights: FloatArray, k: int) -> FloatArray:
    """NDCG@k with a gain of weights[item] for a hit; the ideal list has the truth in the order of its weights.

    With weights φ(i)^−β, from `popularity_weights`, it is the popularity-stratified accuracy of Steck (RecSys 2011).

    Args:
        lists: lists of n users.
        relevant: [n, length], from `relevance`.
        truth: n rows; repeats of an item count once.
        weights: float64 [num_items], above 0.
        k: length of the lists.
    """
    discount = 1 / np.log2(np.arange(2, k + 2))
    items = lists.items[:, :k]
    gain = (np.where(relevant[:, :k], weights[items], 0) * discount[: items.shape[1]]).sum(axis=1)
    rows, held_out = np.divmod(distinct(truth.keys(len(weights))), len(weights))
    order = np.lexsort((-weights[held_out], rows))  # rows ascend already, and stay where they are
    rank = np.arange(len(rows)) - offsets_of(np.bincount(rows, minlength=len(truth)))[rows]
    first = rank < k
    best = np.bincount(rows[first], weights[held_out[order]][first] * discount[rank[first]], len(truth))
    return np.minimum(divide(gain, best), 1)


def popularity_weights(counts: IntArray, exponent: float) -> FloatArray:
    """φ(i)^−β, [num_items]; an item without a train interaction counts as if it had one.

    Args:
        counts: [num_items].
        exponent: β ≥ 0; 0: all items weigh the same.
    """
    return np.maximum(counts, 1).astype(np.float64) ** -exponent


def intra_list_diversity(lists: "TopLists", directions: csr_array, k: int) -> FloatArray:
    """Mean of 1 − cosine over the pairs of items in the first k of each list (Smyth & McClave 2001), [n].

    In [0, 1]: 0 where all have the same features. NaN where a list has fewer than two items, or items have no features
    to compare. An item without any shares nothing with others.

    Args:
        lists: lists of n users.
        directions: [num_items, F], from `EncodedFeatures.directions`: not negative, of length 1 or 0.
        k: length of the lists.
    """
    if directions.shape[1] == 0:
        return np.full(len(lists), np.nan)
    found, lengths = np.empty(len(lists)), directions.power(2).sum(axis=1)
    for start in range(0, len(lists), _LISTS_PER_BLOCK):
        items = lists.items[start : start + _LISTS_PER_BLOCK, :k]
        filled = items != PAD
        num = filled.sum(axis=1)
        of_lists = csr_array((np.ones(num.sum()), items[filled], offsets_of(num)), (len(items), len(lengths)))
        # |Σ x|² = Σ |x|² + the cosines of all ordered pairs.
        cosines = (of_lists @ directions).power(2).sum(axis=1) - of_lists @ lengths
        found[start : start + len(items)] = 1 - divide(cosines, num * (num - 1))
    return np.clip(found, 0, 1)


def mean_over_list(lists: "TopLists", values: NDArray[Any], k: int) -> FloatArray:
    """[n] mean of values[item] over the first k items of each list; NaN where it is empty.

    ARP@k is that of φ(i) (Yin et al. 2012), novelty@k (MIUF) that of `self_information`, and long_tail_share@k (APLT)
    that of `long_tail`.
    """
    items = lists.items[:, :k]
    filled = items != PAD
    total = np.where(filled, values[items], 0).sum(axis=1, dtype=np.float64)
    return divide(total, filled.sum(axis=1))


def history_popularity(histories: Histories, counts: IntArray) -> FloatArray:
    """Mean of φ(i) over each user's own history, [n]; NaN where it is empty."""
    total = np.bincount(histories.rows, weights=counts[histories.items], minlength=len(histories))
    return divide(total, histories.lengths)


def self_information(users: IntArray, num_users: int) -> FloatArray:
    """−log2(users(i) / num_users) of each item, [num_items], in bits: at least 0.

    An item without a train interaction counts as if one user had it: its information would be infinite.

    Args:
        users: [num_items], users with a train interaction with each item; with repeats fewer than interactions.
        num_users: all users with train interactions.
    """
    return np.asarray(-np.log2(np.maximum(users, 1) / num_users))


def long_tail(counts: IntArray, head_share: float = 0.8) -> BoolArray:
    """[num_items] the items outside the head.

    The head is the shortest run of the most popular items, equal ones by index, that gathers at least
    `head_share` of all interactions.
    """
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    tail = np.empty(len(counts), np.bool_)
    tail[order] = before >= head_share * counts.sum()
    return tail


def slots(lists: "TopLists", num_items: int, k: int) -> IntArray:
    """[num_items] number of list slots that each item fills; those of parts of the users add up to those of all."""
    shown = lists.items[:, :k]
    return np.bincount(shown[shown != PAD], minlength=num_items)


def coverage(filled: IntArray) -> float:
    """|∪_u L_u| / num_items, in [0, 1]: share of the catalogue that is recommended to anyone.

    Args:
        filled: [num_items], from `slots`.
    """
    return float((filled > 0).mean())


def gini(filled: IntArray) -> float:
    """Σ_j (2j − n − 1) p_(j) / (n − 1), in [0, 1]; p_(j) the ascending shares of list slots, n = num_items.

    0: all items are recommended equally often; 1: one item has all slots. 0 for a catalogue of one item, NaN
    without any slot.

    Args:
        filled: [num_items], from `slots`.
    """
    ascending, num_items = np.sort(filled), len(filled)
    if ascending.sum() == 0:
        return float("nan")
    if num_items == 1:
        return 0.0
    j = np.arange(1, num_items + 1)
    return float(((2 * j - num_items - 1) * ascending).sum() / ascending.sum() / (num_items - 1))


def divide(numerator: NDArray[Any], denominator: NDArray[Any]) -> FloatArray:
    """[n] numerator / denominator; NaN where the denominator is 0: there was nothing to measure."""
    quotient = np.full(len(denominator), np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient


def distinct(values: IntArray) -> IntArray:
    """The different values [m], ascending.

    NumPy's `unique` looks each integer up in a hash table: for 300,000 pairs of user and item, which are almost in
    order, it takes twenty times as long.
    """
    ordered = np.sort(values, kind="stable")
    is_first = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    return ordered[is_first]


def _with_truth(value: NDArray[Any], num_relevant: IntArray) -> FloatArray:
    return np.where(num_relevant > 0, value, np.nan).astype(np.float64)
