"""Who takes part, in the order in which they run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

OURS = ("mf", "softmax")
"""What ratios and differences are against: this project's contenders as they are shipped."""

ORDER_BLIND = {
    "dim": 256,
    "max_epochs": 12,
    "unobserved_weight": 100,
    "regularization": 0.000665,
    "regularization_exponent": 0.8,
    "init_scale": 0.03,
    "recency_scale": None,
    "window": None,
}
"""MF whose fold-in weighs all events of a history alike, tuned for that: what is best with recency is not best here.
Chosen on validation of MovieLens 100K and 1M by time, once for both. So large an α₀ weighs all pairs nearly alike."""

IDS_AND_ORDER = {"use_user_features": False, "use_item_features": False}
"""The softmax DNN with what networks over sequences read, and the time that histories took; else as with features."""

ATTENTION = {"tower": "attention", "dim": 128, "hidden": [128], "max_history": 200, "recency_scales": [1, 4, 16, 80]}
"""The softmax DNN with a causal transformer over the history in place of its means weighted by recency: a point of the
curve `ml-1m-last-softmax`."""

QUICK = {
    "dim": 64,
    "hidden": [64],
    "users_per_batch": 128,
    "cuts_per_user": 4,
    "learning_rate": 0.01,
    "max_epochs": 12,
}
"""The softmax DNN for those in a hurry: a point of the curve `softmax-fit-time`, chosen on validation of MovieLens 100K
by time for its fit time."""


@dataclass(frozen=True)
class System:
    """One system.

    Attributes:
        name: on the command line and in settings.
        title: in tables.
        module: what worker.py imports.
        environment: `main`, or `peers`: the one of its own.
        tuned: whether it has settings to choose.
        stepwise: whether it gives a scorer after every epoch, so that one training serves to choose the epoch.
        needs_times: whether it is pointless where events have no time.
        max_items: largest catalogue that it is run on.
        cost_of_items: what a larger one would cost.
        draws_nothing: whether a seed changes nothing.
        information: what it reads of an event in addition to who had what.
        contender: its section of params.yaml, if it is this project's.
        overrides: what this variant changes in that section.
        on_request: whether it runs only where `--only` names it.
    """

    name: str
    title: str
    module: str
    environment: str = "main"
    tuned: bool = True
    stepwise: bool = False
    needs_times: bool = False
    max_items: int | None = None
    cost_of_items: str = ""
    draws_nothing: bool = False
    information: str = "ids"
    contender: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    on_request: bool = False

    @property
    def ours(self) -> bool:
        """Whether it is this project's."""
        return self.contender is not None

    def obstacle(self, num_items: int, has_times: bool) -> str | None:
        """Why it is not run on such data; None if it is."""
        if self.max_items is not None and num_items > self.max_items:
            return f"a catalogue of {num_items:,} items is too large: {self.cost_of_items}"
        if self.needs_times and not has_times:
            return "events have no time, so that nothing is recent"
        return None


EVERYTHING = "ids, order, features, words of titles"
FULL_SOFTMAX_COST = "a step scores every item at every event of its sequences"
EASE_COST = "memory grows with items², time with items³"
TUTORIAL_COST = (
    "its metrics rank all items for every event of every step of training, which on Gowalla does not end within "
    "half an hour of two cores"
)

_sequences = partial(
    System,
    environment="peers",
    stepwise=True,
    needs_times=True,
    max_items=20_000,
    cost_of_items=FULL_SOFTMAX_COST,
    information="ids, order",
)

SYSTEMS = (
    System("popularity", "popularity", "peers.popularity", tuned=False, draws_nothing=True, information="counts"),
    System(
        "recent_popularity",
        "recent popularity",
        "peers.popularity",
        needs_times=True,
        draws_nothing=True,
        information="counts, times",
    ),
    System("implicit_als", "implicit ALS", "peers.implicit_als", "peers"),
    System("implicit_bpr", "implicit BPR", "peers.implicit_bpr", "peers"),
    System("ease", "EASE", "peers.ease", "peers", max_items=20_000, cost_of_items=EASE_COST, draws_nothing=True),
    System(
        "ease_recency",
        "EASE, query by recency",
        "peers.ease",
        "peers",
        needs_times=True,
        max_items=20_000,
        cost_of_items=EASE_COST,
        draws_nothing=True,
        information="ids, order of the query",
    ),
    System("mult_vae", "Mult-VAE (PyTorch)", "peers.mult_vae", "peers", stepwise=True),
    _sequences("gru4rec", "GRU4Rec, full softmax (PyTorch)", "peers.gru4rec"),
    _sequences("sasrec", "SASRec, full softmax (PyTorch)", "peers.sasrec"),
    _sequences("gsasrec", "gSASRec, sampled negatives (PyTorch)", "peers.gsasrec"),
    System(
        "tfrs_tutorial",
        "TFRS tutorial",
        "peers.tfrs_tutorial",
        tuned=False,
        max_items=20_000,
        cost_of_items=TUTORIAL_COST,
    ),
    System("tfrs_tuned", "TFRS, tuned", "peers.tfrs_tuned", stepwise=True, information="ids, features"),
    System(
        "tfrs_histories",
        "TFRS, reading histories",
        "peers.tfrs_histories",
        stepwise=True,
        needs_times=True,
        information="ids, order, features of items",
    ),
    System(
        "mf_order_blind",
        "bakeoff MF, order-blind",
        "harness.ours",
        needs_times=True,
        contender="mf",
        overrides=ORDER_BLIND,
    ),
    System("mf", "bakeoff MF", "harness.ours", information="ids, order", contender="mf"),
    System(
        "softmax_ids",
        "bakeoff softmax, ids and order alone",
        "harness.ours",
        tuned=False,
        needs_times=True,
        information="ids, order",
        contender="softmax",
        overrides=IDS_AND_ORDER,
    ),
    System(
        "softmax_quick",
        "bakeoff softmax, quick",
        "harness.ours",
        needs_times=True,
        information=EVERYTHING,
        contender="softmax",
        overrides=QUICK,
    ),
    System(
        "softmax_attention",
        "bakeoff softmax, attention",
        "harness.ours",
        needs_times=True,
        information=EVERYTHING,
        contender="softmax",
        overrides=ATTENTION,
        on_request=True,
    ),
    System(
        "softmax_untimed",
        "bakeoff softmax, without query time",
        "harness.ours",
        tuned=False,
        needs_times=True,
        information=EVERYTHING,
        contender="softmax",
        overrides={"use_query_time": False},
        on_request=True,
    ),
    System("softmax", "bakeoff softmax", "harness.ours", information=EVERYTHING, contender="softmax"),
)


def by_name(names: list[str] | None) -> tuple[System, ...]:
    """These systems, in running order; for None all but those that run on request.

    Raises:
        KeyError: a name is not one of a system.
    """
    if names is None:
        return tuple(system for system in SYSTEMS if not system.on_request)
    unknown = set(names) - {system.name for system in SYSTEMS}
    if unknown:
        raise KeyError(sorted(unknown)[0])
    return tuple(system for system in SYSTEMS if system.name in names)
