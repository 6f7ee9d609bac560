"""The popularity models as the rest of the project knows them: settings and specs."""

from functools import partial
from typing import Annotated

from pydantic import PositiveFloat

from bakeoff.core.parameters import Frozen, Search
from bakeoff.models.base.specs import ModelSpec, described

_PACKAGE = "bakeoff.models.popularity"


class RecentPopularityParams(Frozen):
    """Popularity of a recent window."""

    window_days: Annotated[PositiveFloat, Search(low=1.0, high=1000.0, log=True)] = 30
    """Events of this many days before the newest known event count; all of them where events have no time."""


_popularity_spec = partial(
    ModelSpec,
    load=f"{_PACKAGE}.popularity:load",
    graph=f"{_PACKAGE}.graph:PopularityEncoder",
    is_order_blind=lambda settings: True,
    personal=False,
)

SPECS = (
    _popularity_spec(
        name="popularity",
        role="reference",
        rank=10,
        fit=f"{_PACKAGE}.popularity:fit_popularity",
        dash=(2, 2),
        **described(__package__, "popularity"),
    ),
    _popularity_spec(
        name="recent_popularity",
        role="baseline",
        rank=20,
        params=RecentPopularityParams,
        fit=f"{_PACKAGE}.popularity:fit_recent_popularity",
        dash=(6, 2),
        **described(__package__, "recent_popularity"),
    ),
)
