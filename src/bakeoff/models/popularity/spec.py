"""The popularity models as the rest of the project knows them: settings and specs."""

from functools import partial
from typing import Annotated

from pydantic import PositiveFloat

from bakeoff.core.parameters import Frozen, Search
from bakeoff.models.base.specs import ModelSpec

_PACKAGE = "bakeoff.models.popularity"


class RecentPopularityParams(Frozen):
    """Popularity of a recent window."""

    window_days: Annotated[PositiveFloat, Search(low=1.0, high=1000.0, log=True)] = 30
    """Events of this many days before the newest known event count; all of them where events have no time."""


_popularity_spec = partial(
    ModelSpec,
    load=f"{_PACKAGE}.popularity:load",
    graph=f"{_PACKAGE}.graph:PopularityEncoder",
    precomputed="The score of every item is stored; nothing is computed of a query, which gets the same list as all "
    "others.",
    explanation="The score is the number of the item's events: no item of a history plays a part in it.",
    remainder="number of events",
    order="blind",
    personal=False,
)

SPECS = (
    _popularity_spec(
        name="popularity",
        label="Popularity",
        noun="popularity",
        role="reference",
        rank=10,
        meaning="The reference that knows nobody: it recommends the items with most interactions that the user has not "
        "had yet.",
        fit=f"{_PACKAGE}.popularity:fit_popularity",
        light="#857c72",
        dark="#8b8680",
        shape="square",
        dash=(2, 2),
    ),
    _popularity_spec(
        name="recent_popularity",
        label="Recent popularity",
        noun="recent popularity",
        role="baseline",
        rank=20,
        meaning="Popularity that counts the latest interactions only: it knows what is in fashion, and nothing of the "
        "user.",
        params=RecentPopularityParams,
        fit=f"{_PACKAGE}.popularity:fit_recent_popularity",
        light="#4a8f96",
        dark="#86b9b4",
        shape="triangle-down",
        dash=(6, 2),
    ),
)
