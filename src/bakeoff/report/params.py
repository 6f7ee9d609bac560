"""Settings of the comparison: how the verdict is reached."""

from typing import Annotated

from pydantic import Field, PositiveInt

from bakeoff.core.parameters import Frozen


class CompareParams(Frozen):
    """How the verdict is reached."""

    primary_metric: str = "ndcg@10"
    """The metric that the verdict is about."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Level of the intervals."""
    resamples: PositiveInt = 10_000
    """Bootstrap resamples of users, and sign flips of the permutation test."""
    max_users: PositiveInt = 100_000
    """Test users, and as many new ones, whose lists and events the report's sections look at: a seeded sample where
    there are more, which it says. The verdict and the table of all metrics rest on all users, block by block."""
    example_users: Annotated[int, Field(ge=1, le=6)] = 6
    """Users whose history and lists the report shows, at most 6."""
