"""Sampled metrics, as many publications report them: each test item is ranked among a few random ones.

Krichene & Rendle (KDD 2020, "On sampled metrics for item recommendation") show that they can put models in another
order than the full ranking. They are measured for that comparison and decide nothing. The full ranking that they are
compared with counts each test item by itself too, so that nothing but the candidates differs.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import PAD, Histories
from bakeoff.evaluation.metrics.formulas import IntArray, distinct, divide, num_relevant, relevance
from bakeoff.evaluation.metrics.table import METRICS
from bakeoff.evaluation.ranking import TopLists
from bakeoff.evaluation.ranking import reproducible_scores as exact
from bakeoff.evaluation.ranking.protocol import EvalSet
from bakeoff.models.base.retriever import Retriever

CUTOFF = 10
"""k of the metrics."""

SAMPLED = ("ndcg", "hit_rate", "mrr")
"""Metrics that are measured, per user the mean over test items; of one relevant item the recall is the hit rate."""

_PAIRS_PER_CHUNK = 1 << 14
# Test items whose candidates are in memory at once: 13 MB of random numbers with 99 candidates.

Draw = Callable[[IntArray], NDArray[np.int32]]
"""Rows [p] of users → candidates [p, c]: `draw_candidates` with all but the rows given."""


def sampled_metrics(
    retriever: Retriever, eval_set: EvalSet, num_candidates: int, rng: np.random.Generator, users_per_block: int
) -> dict[str, NDArray[np.float64]]:
    """ndcg@10, hit_rate@10 and mrr@10 of each user, float64 [n] in [0, 1]: means over the user's test items.

    A test item is ranked among items drawn without replacement from those that a list for the user may hold and that
    are no test items: what the user has never had, or with `split.keep_repeats` also what came before. With one
    relevant item the ideal DCG is 1. Candidates depend on `eval_set` and `rng` and on nothing else, so that all
    models get the same ones, whatever the size of blocks.

    Args:
        retriever: the model.
        eval_set: n queries; what lists exclude and the truth, in which repeats count once, are no candidates.
        num_candidates: drawn for each test item; all that exist where they are fewer.
        rng: source of the candidates.
        users_per_block: users scored at once.

    Returns:
        the metrics by name; NaN where a user has no test item, or no other item to rank it against.
    """
    queries, truth = eval_set.queries, eval_set.truth
    users, ranks = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    ruled_out = eval_set.exclude.merged(truth)
    catalogue = exact.rounded(retriever.item_embeddings)
    for part, block in queries.blocks(max(1, users_per_block)):
        rows, embedded = np.arange(part.start, part.stop), exact.rounded(retriever.embed_queries(block))
        mine = ruled_out.take(rows)
        draw = partial(draw_candidates, ruled_out=mine, num_items=len(catalogue), count=num_candidates, rng=rng)
        user, rank = _ranks(embedded, catalogue, truth.take(rows), draw)
        users.append(part.start + user)
        ranks.append(rank)
    of_all = np.concatenate(users)
    return _means(of_all, np.concatenate(ranks), np.bincount(of_all, minlength=len(queries)))


def full_metrics(lists: TopLists, truth: Histories) -> dict[str, NDArray[np.float64]]:
    """The metrics of `sampled_metrics` where every item that they may draw is a candidate.

    A test item's rank follows from the list: one more than the number of items before it that are no test items. A test
    item that is not in the list ranks behind all of those, which is beyond the cutoff if the list is long enough.

    Args:
        lists: n lists, which exclude what `sampled_metrics` excludes.
        truth: n rows, test items; repeats count once.

    Returns:
        the metrics by name, float64 [n] in [0, 1]; NaN where a user has no test item, or where one lies beyond the
        list and fewer than CUTOFF other items are in it.
    """
    hit = relevance(lists, truth)
    others = np.cumsum((lists.items != PAD) & ~hit, axis=1)
    user, place = np.nonzero(hit)
    count = num_relevant(truth)
    is_full = (lists.items != PAD).all(axis=1)
    can_tell = (hit.sum(axis=1) == count) | (others[:, -1] >= CUTOFF) | ~is_full
    return _means(user, 1 + others[user, place], np.where(can_tell, count, 0))


def draw_candidates(
    rows: IntArray, ruled_out: Histories, num_items: int, count: int, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Items that are not ruled out for a user, uniform without replacement.

    Args:
        rows: [p], row of `ruled_out` for which to draw; each is drawn for anew.
        ruled_out: what is no candidate, a row for each user; repeats count once.
        num_items: size of the catalogue.
        count: c, items per draw.
        rng: source of the draw, c numbers for each row.

    Returns:
        int32 [p, c], PAD at the end where fewer are left.
    """
    keys = distinct(ruled_out.keys(num_items))
    owner, item = np.divmod(keys, max(num_items, 1))
    num_out = np.bincount(owner, minlength=len(ruled_out))
    start = np.cumsum(num_out) - num_out
    place = _distinct(num_items - num_out[rows], rng.random((len(rows), count)))
    # The candidate at place p is item p + the number of items ruled out before it. The j-th that is ruled out has
    # item − j candidates before it, so these are the ones whose item − j is at most p.
    before = owner * (num_items + 1) + item - (np.arange(len(item)) - start[owner])
    skipped = np.searchsorted(before, rows[:, None] * (num_items + 1) + place, side="right") - start[rows][:, None]
    return np.where(place == PAD, PAD, place + skipped).astype(np.int32)


def _ranks(
    queries: NDArray[np.float32], catalogue: NDArray[np.float32], truth: Histories, draw: Draw
) -> tuple[IntArray, IntArray]:
    """User and rank, from 1, of each test item that has candidates."""
    num_items = len(catalogue)
    user, item = np.divmod(distinct(truth.keys(num_items)), max(num_items, 1))
    rank = np.zeros(len(user), np.int64)
    for start in range(0, len(user), _PAIRS_PER_CHUNK):
        pairs = slice(start, start + _PAIRS_PER_CHUNK)
        asked = user[pairs]
        others = draw(asked)
        scores = exact.scores_of(queries[asked], catalogue, np.column_stack([item[pairs], others]))
        # A tie counts against the model.
        better = (scores[:, 1:] >= scores[:, :1]) & (others != PAD)
        rank[pairs] = np.where((others != PAD).any(axis=1), 1 + better.sum(axis=1), 0)
    return user[rank > 0], rank[rank > 0]


_FORMULAS = {f"{name}@{CUTOFF}": metric.function for name in SAMPLED for metric in METRICS if metric.name == name}


def _means(user: IntArray, rank: IntArray, count: IntArray) -> dict[str, NDArray[np.float64]]:
    """Metrics of each user: the mean over `count` test items, each ranked in a list of its own; ranks start at 1."""
    relevant, one = rank[:, np.newaxis] == np.arange(1, CUTOFF + 1), np.ones_like(rank)
    of_items = {name: formula(relevant, one, CUTOFF) for name, formula in _FORMULAS.items()}
    totals = {name: np.bincount(user, values, len(count)) for name, values in of_items.items()}
    return {name: divide(total, count) for name, total in totals.items()}


def _distinct(size: IntArray, uniform: NDArray[np.float64]) -> NDArray[np.int32]:
    """Distinct integers, row by row uniform over the subsets of range(size): Floyd's algorithm (CACM 30(9), 1987).

    Args:
        size: [p].
        uniform: [p, c] in [0, 1).

    Returns:
        [p, c], ascending, which halves the time to look them up; where size < c all of range(size), then PAD.
    """
    width = uniform.shape[1]
    wanted = np.minimum(size, width)
    chosen = np.full((width, len(size)), PAD, np.int32)
    for step in range(width):
        top = size - wanted + step
        drawn = np.floor(uniform[:, step] * (top + 1)).astype(np.int32)
        taken = (chosen[:step] == drawn).any(axis=0)
        chosen[step] = np.where(step < wanted, np.where(taken, top, drawn), PAD)
    return np.sort(chosen.T.view(np.uint32), axis=1).view(np.int32)  # without a sign PAD is the largest number
