"""The popularity models as the rest of the project knows them."""

from bakeoff.models.base.spec import ModelSpec
from bakeoff.models.popularity.params import RecentPopularityParams

_ALL_SCORES = (
    "The score of every item is stored; nothing is computed of a query, which gets the same list as all others."
)
_PACKAGE = "bakeoff.models.popularity"

SPECS = (
    ModelSpec(
        name="popularity",
        label="Popularity",
        noun="popularity",
        role="reference",
        rank=10,
        meaning="The reference that knows nobody: it recommends the items with most interactions that the user has not "
        "had yet.",
        fit=f"{_PACKAGE}.popularity:fit_popularity",
        load=f"{_PACKAGE}.popularity:load",
        graph=f"{_PACKAGE}.graph:encoder_of",
        precomputed=_ALL_SCORES,
        order="blind",
        personal=False,
        light="#857c72",
        dark="#8b8680",
        shape="square",
        dash=(2, 2),
    ),
    ModelSpec(
        name="recent_popularity",
        label="Recent popularity",
        noun="recent popularity",
        role="baseline",
        rank=20,
        meaning="Popularity that counts the latest interactions only: it knows what is in fashion, and nothing of the "
        "user.",
        params=RecentPopularityParams,
        fit=f"{_PACKAGE}.popularity:fit_recent_popularity",
        load=f"{_PACKAGE}.popularity:load",
        graph=f"{_PACKAGE}.graph:encoder_of",
        precomputed=_ALL_SCORES,
        order="blind",
        personal=False,
        light="#4a8f96",
        dark="#86b9b4",
        shape="triangle-down",
        dash=(6, 2),
    ),
)
