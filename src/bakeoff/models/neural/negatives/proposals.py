"""The samplers of negatives, each with the expected counts of what it proposes (Bengio & Senécal 2008)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories


@dataclass(frozen=True)
class Candidates:
    """Negatives of one step, shared by every query of the batch.

    Attributes:
        ids: int32 [S], distinct item indices.
        log_expected_count: float32 [S], log of how often each of them is expected among the candidates of a
            step, at most 0 as ids are distinct. A logit minus this value is corrected (logQ correction).
    """

    ids: NDArray[np.int32]
    log_expected_count: NDArray[np.float32]


class NegativeSampler(Protocol):
    """Draws the negatives of one step."""

    @property
    def inclusion(self) -> NDArray[np.float64]:
        """[n] in [0, 1], chance that a step's candidates hold an item of somebody else: its expected count.

        Of every item, drawn or not: mixtures are made of it, and a target can be corrected by it.
        """

    def draw(self, targets: NDArray[np.int32], rng: np.random.Generator) -> Candidates:
        """Candidates of a step.

        Args:
            targets: [T], item indices that are targets of the batch, repeats included.
            rng: source of randomness.
        """


def inclusion_of_draws(num_draws: float, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected count of distinct items after draws with replacement: 1 − (1 − p)^m.

    Args:
        num_draws: m > 0.
        probabilities: [n] in [0, 1], chance of each item in one draw.

    Returns:
        [n] in [0, 1], exact to the last digits for the smallest p too.
    """
    with np.errstate(divide="ignore"):
        return np.asarray(-np.expm1(num_draws * np.log1p(-probabilities)))


def log_counts(inclusion: NDArray[np.float64]) -> NDArray[np.float32]:
    """Log of expected counts.

    Args:
        inclusion: [n] in [0, 1].

    Returns:
        float32 [n], at most 0; 0 where the chance is 0: nobody else brings such an item, so that it stands among the
        candidates, if at all, as an own item of the one user who is masked from it.
    """
    return np.log(np.where(inclusion > 0, inclusion, 1.0)).astype(np.float32)


class CatalogueSampler:
    """Every item, once: nothing is sampled, so nothing needs correction."""

    def __init__(self, num_items: int) -> None:
        self._all = Candidates(np.arange(num_items, dtype=np.int32), np.zeros(num_items, np.float32))
        self.inclusion = np.ones(num_items)
        """[n] all 1."""

    def draw(self, targets: NDArray[np.int32], rng: np.random.Generator) -> Candidates:
        """All items."""
        return self._all


class UniformSampler:
    """`num_sampled` distinct items, each set of them equally likely: expected count m / n."""

    def __init__(self, num_items: int, num_sampled: int) -> None:
        self._num_items = num_items
        self._num_sampled = min(num_sampled, num_items)
        self.inclusion = np.full(num_items, self._num_sampled / num_items)
        """[n] all m / n."""

    def draw(self, targets: NDArray[np.int32], rng: np.random.Generator) -> Candidates:
        """Items drawn without replacement."""
        # Floyd's method where m is small against n: O(m). Without `shuffle=False` it would order them as well.
        ids = rng.choice(self._num_items, self._num_sampled, replace=False, shuffle=False)
        log_count = np.log(self._num_sampled / self._num_items)
        return Candidates(ids.astype(np.int32), np.full(self._num_sampled, log_count, np.float32))


class PopularitySampler:
    """`num_sampled` draws with replacement from p_j ∝ φ(j)^β, repeats dropped: expected count 1 − (1 − p_j)^m.

    β = 0.75 is the choice of Mikolov et al. (2013), section 2.2; an item without a train event is never drawn.
    """

    def __init__(self, frequencies: NDArray[np.integer], num_sampled: int, exponent: float) -> None:
        weights = np.where(frequencies > 0, frequencies.astype(np.float64) ** exponent, 0.0)
        self._cumulative = np.cumsum(weights / weights.sum())
        self._num_sampled = num_sampled
        self.inclusion = inclusion_of_draws(num_sampled, weights / weights.sum())
        """[n] 0 where an item has no train event."""
        self._log_counts = log_counts(self.inclusion)

    def draw(self, targets: NDArray[np.int32], rng: np.random.Generator) -> Candidates:
        """Distinct items among the draws."""
        # Inverse transform: O(m log n) where rng.choice would pay O(n) for every step.
        draws = np.searchsorted(self._cumulative, rng.random(self._num_sampled) * self._cumulative[-1], "right")
        ids = np.unique(draws)
        return Candidates(ids.astype(np.int32), self._log_counts[ids])


class LogUniformSampler:
    """`num_sampled` draws with replacement, repeats dropped: expected count 1 − (1 − p_j)^m.

    The item of rank r (0 has most train events, ties in index order) is drawn with p = log((r + 2)/(r + 1))/log(n + 1),
    as by `tf.random.log_uniform_candidate_sampler`; that one takes the item's index for its rank, which is right
    only where the vocabulary is sorted by frequency. Items without a train event are drawn too, as the rarest.
    """

    def __init__(self, frequencies: NDArray[np.integer], num_sampled: int) -> None:
        num_items = len(frequencies)
        ranks = np.arange(num_items)
        self._item_of_rank = np.argsort(-frequencies.astype(np.int64), kind="stable").astype(np.int32)
        self._num_sampled = num_sampled
        probabilities = np.empty(num_items)
        probabilities[self._item_of_rank] = np.log1p(1 / (ranks + 1)) / np.log(num_items + 1)
        # The sum telescopes to 1; a last digit above it would be the log of a negative number.
        self.inclusion = inclusion_of_draws(num_sampled, np.minimum(probabilities, 1.0))
        """[n] above 0 for every item."""
        self._log_counts = log_counts(self.inclusion)

    def draw(self, targets: NDArray[np.int32], rng: np.random.Generator) -> Candidates:
        """Distinct items among the draws."""
        num_items = len(self._item_of_rank)
        # Inverse transform in closed form: the chance of a rank below r is log(r + 1)/log(n + 1).
        ranks = np.exp(rng.random(self._num_sampled) * np.log(num_items + 1)).astype(np.int64) - 1
        ids = np.unique(self._item_of_rank[np.minimum(ranks, num_items - 1)])
        return Candidates(ids, self._log_counts[ids])


TargetChances = Callable[[Histories], NDArray[np.float64]]
"""Chance of each event of whole histories to be a target once its user is in the batch: [nnz] in [0, 1]."""


def all_targets(histories: Histories) -> NDArray[np.float64]:
    """Each event is one, as where histories are reconstructed: [nnz] 1."""
    return np.ones(len(histories.items))


class InBatchSampler:
    """The union of the batch's targets; the user's own items are masked by the loss.

    The expected count of item j is the chance that any *other* user of the batch brings it: with independent
    users, 1 − Π over the events of j (1 − (B − 1)/(N − 1) · t), where t is the chance that the event is a target
    once its user is in the batch, B the users in a full batch and N all users that train (Bengio & Senécal 2008; Yi et
    al. 2019, eq. 4, who estimate the same chance from the stream).
    """

    def __init__(
        self,
        target_chances: TargetChances,
        histories: Histories,
        users_per_batch: int,
        num_items: int | None = None,
    ) -> None:
        """Sum up the chances.

        Args:
            target_chances: of histories' events to be a target, given their user.
            histories: the events that are trained on.
            users_per_batch: B ≥ 1.
            num_items: n; without it, items after the last that has an event are left out of `inclusion`.
        """
        num_users = int((histories.lengths > 0).sum())
        share = min(1.0, (users_per_batch - 1) / max(num_users - 1, 1))
        size = int(histories.items.max(initial=-1)) + 1 if num_items is None else num_items
        log_absent = np.zeros(size)
        for _, block in histories.blocks():
            with np.errstate(divide="ignore"):
                log_missed = np.log1p(-share * target_chances(block))
            log_absent += np.bincount(block.items, weights=log_missed, minlength=size)
        self.inclusion = np.asarray(-np.expm1(log_absent))
        """[n] 0 where no event of the item can be a target, or where a batch has one user only."""
        self._log_counts = log_counts(self.inclusion)

    def draw(self, targets: NDArray[np.int32], rng: np.random.Generator) -> Candidates:
        """Distinct targets of the batch."""
        ids = np.unique(targets)
        return Candidates(ids, self._log_counts[ids])


class MixedSampler:
    """The union of the candidates of independent parts: expected count 1 − Π_s (1 − π_sj), π_sj that of part s.

    A part that can never draw an item (π = 0) leaves it to the others, and one that always does (the whole catalogue)
    makes the count 1; no probability is floored. What the user's own targets bring is masked by the loss, therefore
    the in-batch part counts with what *other* users bring.

    Mixed in-batch and uniform negatives: Yang et al. (2020), "Mixed negative sampling for learning two-tower neural
    networks in recommendations", who correct by the in-batch chances alone.
    """

    def __init__(self, parts: Sequence[NegativeSampler]) -> None:
        """Put the parts together.

        Args:
            parts: at least one, all over the same n items.
        """
        self._parts = tuple(parts)
        with np.errstate(divide="ignore"):
            log_missed = sum(np.log1p(-part.inclusion) for part in self._parts)
        self.inclusion = np.asarray(-np.expm1(log_missed))
        """[n] at least that of every part."""
        self._log_counts = log_counts(self.inclusion)

    def draw(self, targets: NDArray[np.int32], rng: np.random.Generator) -> Candidates:
        """Distinct items of all parts."""
        ids = np.unique(np.concatenate([part.draw(targets, rng).ids for part in self._parts]))
        return Candidates(ids, self._log_counts[ids])
