"""What is measured of each side on the same users."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bakeoff.evaluation.metrics import table as measures
from bakeoff.experiments.folding import Relatedness
from bakeoff.ops.promotion.served_answers import ExportedModel, ExportedModelClient, UserQueries


@dataclass(frozen=True)
class Audience:
    """Everyone who is asked about.

    Attributes:
        warm: n warm users with test items.
        new: m new users with test items.
        warm_users: int64 [n], user_index of the warm ones.
        counts: int64 [num_items], train events of each item.
        num_warm_users: whose train events were counted.
    """

    warm: UserQueries
    new: UserQueries
    warm_users: NDArray[np.int64]
    counts: NDArray[np.int64]
    num_warm_users: int


@dataclass(frozen=True)
class SideMetrics:
    """What one side shows.

    Attributes:
        warm: float64 [n], the primary metric of each warm user.
        new: float64 [m], the same of each new user.
        lift: popularity lift of the lists of warm users; NaN where it is not defined.
        spurious: share of unrelated items in these lists; NaN where it was not asked for.
    """

    warm: NDArray[np.float64]
    new: NDArray[np.float64]
    lift: float
    spurious: float


def measure(
    asker: ExportedModelClient,
    served: ExportedModel,
    audience: Audience,
    metric: str,
    relatedness: Relatedness | None = None,
) -> SideMetrics:
    """Ask a model about everyone, and measure its lists as stage `evaluate` does.

    Args:
        asker: asks in terms of the current vocabulary.
        served: the model.
        audience: who is asked about.
        metric: the primary metric, such as `ndcg@10`; its cutoff is that of all figures.
        relatedness: of warm users and items, the same for every model; None: spurious items are not looked for.
    """
    k = int(metric.partition("@")[2])
    warm, new = (asker.lists(served, question) for question in (audience.warm, audience.new))
    popularity = measures.popularity_per_user(warm, audience.warm.told, audience.counts, audience.num_warm_users, (k,))
    together = measures.of_all_lists(warm, popularity, len(audience.counts), (k,))
    spurious = np.nan
    if relatedness is not None:
        per_user = relatedness.spurious_at_k(warm.items, audience.warm_users, k)
        spurious = measures.means({"spurious": per_user})["spurious"]
    return SideMetrics(
        warm=measures.accuracy_per_user(warm, audience.warm.truth, (k,))[metric],
        new=measures.accuracy_per_user(new, audience.new.truth, (k,))[metric],
        lift=together[f"popularity_lift@{k}"],
        spurious=spurious,
    )
