"""Settings of EASE."""

from typing import Annotated

from pydantic import PositiveFloat, PositiveInt

from bakeoff.core.parameters import Frozen, Search


class EASEParams(Frozen):
    """EASE: a linear model of items on items, in closed form (Steck 2019)."""

    regularization: Annotated[PositiveFloat, Search(low=10.0, high=10_000.0, log=True)] = 500
    """L2 weight λ."""
    recency_scale: Annotated[PositiveFloat | None, Search(choices=(None, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0))] = None
    """τ of the query: the item at lag l of a history weighs exp(−l/τ); null: all weigh the same, as they do wherever
    events have no time. Training weighs all events the same in any case."""
    window: PositiveInt | None = None
    """Events of a row of X in training, about: a longer history is cut into windows of consecutive events, as mf.window
    does; null: a row is a user, as it is wherever events have no time."""
    max_items: PositiveInt = 10_000
    """A larger catalogue is not trained on: memory grows with items², time with items³."""
