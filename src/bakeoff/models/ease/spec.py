"""EASE as the rest of the project knows it: its settings and its spec."""

from typing import Annotated

from pydantic import PositiveFloat, PositiveInt

from bakeoff.core.parameters import Frozen, Search
from bakeoff.models.base.specs import DataFacts, ModelSpec, described


class EASEParams(Frozen):
    """EASE: a linear model of items on items, in closed form (Steck 2019)."""

    regularization: Annotated[PositiveFloat, Search(low=10.0, high=10_000.0, log=True)] = 500
    """L2 weight λ."""
    recency_scale: Annotated[PositiveFloat | None, Search(choices=(None, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0))] = None
    """τ of the query: the item at lag l of a history weighs exp(−l/τ); null: all weigh the same, as they do wherever
    events have no time. Training weighs all events the same in any case."""
    window: Annotated[PositiveInt | None, Search(choices=(None, 25, 50, 100, 200))] = None
    """Events of a row of X in training, about: a longer history is cut into windows of consecutive events, as mf.window
    does; null: a row is a user, as it is wherever events have no time."""
    max_items: PositiveInt = 10_000
    """A larger catalogue is not trained on: memory grows with items², time with items³."""


def peak_bytes(num_items: int) -> int:
    """Memory that training takes at its peak, in bytes; see `ease.fit`."""
    return 14 * num_items**2


def why_not(facts: DataFacts, section: EASEParams) -> str | None:
    """Why EASE can't be trained on this catalogue, or None."""
    if facts.num_items <= section.max_items:
        return None
    gigabytes = peak_bytes(facts.num_items) / 1e9
    return (
        f"EASE weighs every item against every other: {facts.num_items:,} items would take {gigabytes:,.1f} GB. "
        f"They are more than ease.max_items = {section.max_items:,} in params.yaml."
    )


SPECS = (
    ModelSpec(
        name="ease",
        role="baseline",
        rank=30,
        params=EASEParams,
        fit="bakeoff.models.ease.ease:fit_ease",
        load="bakeoff.models.ease.ease:load",
        graph="bakeoff.models.ease.graph:EASEEncoder",
        why_not=why_not,
        is_order_blind=lambda settings: settings.get("recency_scale") is None,
        dash=(8, 2, 2, 2),
        **described(__package__, "ease"),
    ),
)
