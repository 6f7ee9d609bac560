"""The samplers of negatives, each with the expected counts of what it proposes (Bengio & Senécal 2008)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import PAD, Histories
from bakeoff.models.neural.spec import NegativesParams, SamplerName


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
        float32 [n], at most 0; 0 where the chance is 0: nobody else brings such an item, so that it is among the
        candidates, if at all, as an own item of the one user who is masked from it.
    """
    return np.log(np.where(inclusion > 0, inclusion, 1.0)).astype(np.float32)


Propose = Callable[[NDArray[np.int32], np.random.Generator], NDArray[np.integer]]
"""Targets [T] and source of randomness, as in `NegativeSampler.draw` → distinct item indices [S]."""


def own_targets(targets: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.integer]:
    """The batch's own targets, each once."""
    return np.unique(targets)


class NegativeSampler:
    """Draws the negatives of one step and says how often each item is expected among them."""

    def __init__(self, inclusion: NDArray[np.float64], propose: Propose = own_targets) -> None:
        """Take the expected counts.

        Args:
            inclusion: [n] in [0, 1], chance that a step's candidates hold an item of somebody else. Of every item,
                drawn or not: mixtures are made of it, and a target can be corrected by it.
            propose: draws the items of a step.
        """
        self.inclusion = inclusion
        self.log_counts = log_counts(inclusion)
        self._propose = propose

    def draw(self, targets: NDArray[np.int32], rng: np.random.Generator) -> Candidates:
        """Candidates of a step.

        Args:
            targets: [T], item indices that are targets of the batch, repeats included.
            rng: source of randomness.
        """
        ids = self._propose(targets, rng).astype(np.int32)
        return Candidates(ids, self.log_counts[ids])

    def target_inclusion(self, items: NDArray[np.integer], chances: NDArray[np.float64]) -> NDArray[np.float64]:
        """Chance that a step's candidates hold the target of a user without that user's own event, [P] in [0, 1].

        Args:
            items: [P], the targets.
            chances: [P] in [0, 1], of the item to be a target of this user once the user is in the batch.
        """
        return np.asarray(self.inclusion[items])


def catalogue_sampler(num_items: int) -> NegativeSampler:
    """Every item, once: nothing is sampled, so nothing needs correction."""
    return NegativeSampler(np.ones(num_items), lambda targets, rng: np.arange(num_items))


def uniform_sampler(num_items: int, num_sampled: int) -> NegativeSampler:
    """`num_sampled` distinct items, each set of them equally likely: expected count m / n."""
    size = min(num_sampled, num_items)
    # Floyd's method where m is small against n: O(m). Without `shuffle=False` it would order them as well.
    return NegativeSampler(
        np.full(num_items, size / num_items),
        lambda targets, rng: rng.choice(num_items, size, replace=False, shuffle=False),
    )


def popularity_sampler(frequencies: NDArray[np.integer], num_sampled: int, exponent: float) -> NegativeSampler:
    """`num_sampled` draws with replacement from p_j ∝ φ(j)^β, repeats dropped: expected count 1 − (1 − p_j)^m.

    β = 0.75 is the choice of Mikolov et al. (2013), section 2.2; an item without a train event is never drawn.
    """
    weights = np.where(frequencies > 0, frequencies.astype(np.float64) ** exponent, 0.0)
    probabilities = weights / weights.sum()
    cumulative = np.cumsum(probabilities)

    def propose(targets: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.integer]:
        # Inverse transform: O(m log n) where rng.choice would pay O(n) for every step.
        return np.unique(np.searchsorted(cumulative, rng.random(num_sampled) * cumulative[-1], "right"))

    return NegativeSampler(inclusion_of_draws(num_sampled, probabilities), propose)


def log_uniform_sampler(frequencies: NDArray[np.integer], num_sampled: int) -> NegativeSampler:
    """`num_sampled` draws with replacement, repeats dropped: expected count 1 − (1 − p_j)^m.

    The item of rank r (0 has most train events, ties in index order) is drawn with p = log((r + 2)/(r + 1))/log(n + 1),
    as by `tf.random.log_uniform_candidate_sampler`; that one takes the item's index for its rank, which is right
    only where the vocabulary is sorted by frequency. Items without a train event are drawn too, as the rarest.
    """
    num_items = len(frequencies)
    item_of_rank = np.argsort(-frequencies.astype(np.int64), kind="stable")
    probabilities = np.empty(num_items)
    probabilities[item_of_rank] = np.log1p(1 / (np.arange(num_items) + 1)) / np.log(num_items + 1)

    def propose(targets: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.integer]:
        # Inverse transform in closed form: the chance of a rank below r is log(r + 1)/log(n + 1).
        ranks = np.exp(rng.random(num_sampled) * np.log(num_items + 1)).astype(np.int64) - 1
        return np.unique(item_of_rank[np.minimum(ranks, num_items - 1)])

    # The sum telescopes to 1; a last digit above it would be the log of a negative number.
    return NegativeSampler(inclusion_of_draws(num_sampled, np.minimum(probabilities, 1.0)), propose)


TargetChances = Callable[[Histories], NDArray[np.float64]]
"""Chance of each event's item to be a target of its user once the user is in the batch: [nnz] in [0, 1].

Of whole histories. Where a user has an item again, all events of the pair have its one chance.
"""


def all_targets(histories: Histories) -> NDArray[np.float64]:
    """Each event is one, as where histories are reconstructed: [nnz] 1."""
    return np.ones(len(histories.items))


def repeats(histories: Histories) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where users have items again.

    Returns:
        of each event the row's first event with the item, which may be itself, and the last one before it, PAD where
        there is none: [nnz] each, places in histories.items.
    """
    keys = histories.keys(1 + int(histories.items.max(initial=0)))
    order = np.argsort(keys, kind="stable")
    is_first = np.diff(keys[order], prepend=-1) != 0
    first, before = np.empty_like(order), np.full_like(order, PAD)
    first[order] = order[is_first][np.cumsum(is_first) - 1]
    before[order[1:]] = np.where(is_first[1:], PAD, order[:-1])
    return first, before


class InBatchSampler(NegativeSampler):
    """The union of the batch's targets; the user's own items are masked by the loss.

    The expected count of item j is the chance that any *other* user of the batch brings it: with independent users,
    1 − Π over the others who have had j (1 − (B − 1)/(N − 1) · t), where t is the chance that j is a target of the user
    once the user is in the batch, B the users in a batch and N all users that train (Bengio & Senécal 2008; Yi et al.
    2019, eq. 4, who estimate the same chance from the stream). A user has not had a negative, so that all who have had
    it are others; of a target its own user is left out, unless nobody else has had it.
    """

    def __init__(
        self, target_chances: TargetChances, histories: Histories, users_per_batch: float, num_items: int
    ) -> None:
        """Sum up the chances.

        Args:
            target_chances: of the items of histories' events to be a target, given their user.
            histories: the events that are trained on.
            users_per_batch: B ≥ 1, the mean where batches differ.
            num_items: n.
        """
        num_users = int((histories.lengths > 0).sum())
        self._share = min(1.0, (users_per_batch - 1) / max(num_users - 1, 1))
        self._log_absent = np.zeros(num_items)
        for _, block in histories.blocks():
            # The events of a user come to a batch together: each user counts once for an item.
            is_first = repeats(block)[0] == np.arange(len(block.items))
            log_missed = np.where(is_first, self._log_missed(target_chances(block)), 0.0)
            self._log_absent += np.bincount(block.items, weights=log_missed, minlength=num_items)
        # 0 where no event of the item can be a target, or where a batch has one user only.
        super().__init__(-np.expm1(self._log_absent))

    def target_inclusion(self, items: NDArray[np.integer], chances: NDArray[np.float64]) -> NDArray[np.float64]:
        """Chance that another user brings the target; of a target that no other has, that its own user does."""
        others = -np.expm1(self._log_absent[items] - self._log_missed(chances))
        return np.asarray(np.where(others > 1e-9, others, self.inclusion[items]))  # what rounding leaves is no chance

    def _log_missed(self, chances: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log of the chance that a user brings no such target; of a certain one a number that can be taken away."""
        return np.log1p(-np.minimum(self._share * chances, 1 - 1e-15))


class MixedSampler(NegativeSampler):
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
        super().__init__(-np.expm1(log_missed), self._union)

    def target_inclusion(self, items: NDArray[np.integer], chances: NDArray[np.float64]) -> NDArray[np.float64]:
        """As the inclusion, of what each part includes of the targets."""
        missed = np.prod([1 - part.target_inclusion(items, chances) for part in self._parts], axis=0)
        return np.asarray(1 - missed)

    def _union(self, targets: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.integer]:
        return np.unique(np.concatenate([part.draw(targets, rng).ids for part in self._parts]))


def make_sampler(
    histories: Histories, num_items: int, negatives: NegativesParams, chances: TargetChances, users_per_batch: float
) -> NegativeSampler:
    """The sampler that the settings name, over the events that are trained on.

    Args:
        histories: the events that are trained on.
        num_items: n.
        negatives: settings; every sampled part of a mixture draws `num_sampled`.
        chances: of events to be a target once their user is in the batch.
        users_per_batch: B ≥ 1, the mean where batches differ.
    """
    frequencies, num_sampled = histories.item_counts(num_items), negatives.num_sampled
    makers: dict[SamplerName, Callable[[], NegativeSampler]] = {
        "full": lambda: catalogue_sampler(num_items),
        "uniform": lambda: uniform_sampler(num_items, num_sampled),
        "popularity": lambda: popularity_sampler(frequencies, num_sampled, negatives.popularity_exponent),
        "log-uniform": lambda: log_uniform_sampler(frequencies, num_sampled),
        "in-batch": lambda: InBatchSampler(chances, histories, users_per_batch, num_items),
    }
    if negatives.sampler == "mixed":
        return MixedSampler([makers[name]() for name in negatives.mixture])
    return makers[negatives.sampler]()
