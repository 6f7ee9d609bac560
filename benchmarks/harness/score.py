"""Lists of any system, judged by this project's evaluation: full ranking, ties against the system."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.stats import t as student

from bakeoff.core.histories import PAD, Histories
from bakeoff.evaluation.metrics import formulas
from bakeoff.evaluation.metrics.formulas import divide
from bakeoff.evaluation.ranking import TopLists
from bakeoff.evaluation.stats.intervals import Intervals, intervals

FloatArray = NDArray[np.float64]
Estimate = tuple[float, float, float]
"""A mean and the ends of its 95 % interval."""

METRICS = ("ndcg@10", "ndcg@20", "recall@20", "recall_of_all@20", "hit_rate@10")
"""recall_of_all@20 divides by |T_u|, as published for Gowalla; recall@20 by min(20, |T_u|)."""


def read_lists(path: Path, rows: NDArray[np.int64], truth: Histories, length: int) -> TopLists:
    """Lists of these rows, equal scores ordered against the system: hits last, then by item.

    A tie that goes on beyond the end of the written list puts its hits at that end, far beyond the ranks that are
    measured: the lists are five times as long.

    Args:
        path: as peers/lists.py writes it.
        rows: users to rank for; a list for each, empty where the file has none.
        truth: histories of all users, to be found.
        length: of the lists.

    Raises:
        ValueError: the file has a list for a user who is not among the rows, or an item twice in a list.
    """
    table = pq.read_table(path)
    row, item = table["row"].to_numpy(), table["item"].to_numpy()
    score = table["score"].to_numpy()
    place = np.searchsorted(rows, row)
    if not np.array_equal(rows[np.minimum(place, len(rows) - 1)], row):
        raise ValueError(f"{path} has lists of users who were not asked")
    stride = int(max(item.max(initial=0), truth.items.max(initial=0))) + 1
    pairs = row.astype(np.int64) * stride + item
    if len(np.unique(pairs)) < len(pairs):
        raise ValueError(f"{path} names an item twice in a list")
    hit = np.isin(pairs, truth.rows * stride + truth.items)
    order = np.lexsort((item, hit, -score, place))
    place, item, score = place[order], item[order], score[order]
    rank = np.arange(len(place)) - np.searchsorted(place, place)
    items, scores = np.full((len(rows), length), PAD, np.int32), np.full((len(rows), length), -np.inf, np.float32)
    kept = rank < length
    items[place[kept], rank[kept]], scores[place[kept], rank[kept]] = item[kept], score[kept]
    return TopLists(items, scores)


def per_user(lists: TopLists, truth: Histories) -> dict[str, FloatArray]:
    """METRICS of each list; `truth` has a row for each."""
    relevant, sizes = formulas.relevance(lists, truth), formulas.num_relevant(truth)
    return {
        "ndcg@10": formulas.ndcg(relevant, sizes, 10),
        "ndcg@20": formulas.ndcg(relevant, sizes, 20),
        "recall@20": formulas.recall(relevant, sizes, 20),
        "recall_of_all@20": divide(relevant[:, :20].sum(axis=1), sizes),
        "hit_rate@10": formulas.hit_rate(relevant, sizes, 10),
    }


def with_intervals(columns: Mapping[str, FloatArray], seed: int, resamples: int) -> dict[str, Estimate]:
    """Mean, and the ends of its 95 % bootstrap interval over users, of each column."""
    if not columns:
        return {}
    found: Intervals = intervals(np.stack(list(columns.values()), axis=1), np.random.default_rng(seed), 0.95, resamples)
    ends = zip(found.mean, found.low, found.high, strict=True)
    return {name: (float(mean), float(low), float(high)) for name, (mean, low, high) in zip(columns, ends, strict=True)}


def over_seeds_too(found: Estimate, *seeds: Sequence[float]) -> Estimate:
    """An interval over users, made wider by what another choice of seeds would change.

    Each end moves away by the root of the sum of squares (Zou & Donner 2008, "Construction of confidence limits about
    effect measures: a general approach"): users and seeds are drawn independently, and so are the seeds of two systems.

    Args:
        found: mean over seeds and users, with its interval over users.
        seeds: the mean over users of each seed; one sequence for a figure, two for a difference of systems. One with
            fewer than two seeds adds nothing.
    """
    mean, low, high = found
    several = [each for each in seeds if len(each) > 1]
    squared = sum(float(student.ppf(0.975, len(each) - 1)) ** 2 * np.var(each, ddof=1) / len(each) for each in several)
    return mean, mean - float(np.hypot(mean - low, squared**0.5)), mean + float(np.hypot(high - mean, squared**0.5))
