"""In-batch negatives: what other queries of the batch have as their targets."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories
from bakeoff.models.neural.negatives.candidates import Candidates, log_counts

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
