"""Settings of the popularity baselines."""

from typing import Annotated

from pydantic import PositiveFloat

from bakeoff.core.parameters import Frozen, Search


class RecentPopularityParams(Frozen):
    """Popularity of a recent window."""

    window_days: Annotated[PositiveFloat, Search(low=1.0, high=1000.0, log=True)] = 30
    """Events of this many days before the newest known event count; all of them where events have no time."""
