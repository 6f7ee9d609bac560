"""What is measured, and how the verdict is reached."""

from typing import Annotated, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from bakeoff.params.base import Frozen


class EvaluateParams(Frozen):
    """What is measured."""

    cutoffs: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (10, 20, 100)
    """k of recall@k, ndcg@k, mrr@k, hit_rate@k."""
    list_length: PositiveInt = 100
    """Length of the lists that are written."""
    first_interactions: tuple[NonNegativeInt, ...] = (0, 1, 5)
    """New users are asked about with this many of their first events, and with all."""
    users_per_block: PositiveInt = 1024
    """Users whose query embeddings and lists are in memory at once; of their scores 256 MiB are, at most."""

    @model_validator(mode="after")
    def _lists_are_long_enough(self) -> Self:
        if max(self.cutoffs) > self.list_length:
            raise ValueError(
                f"list_length {self.list_length} is shorter than the largest cutoff {max(self.cutoffs)}: raise it"
            )
        return self

    @model_validator(mode="after")
    def _nothing_is_measured_twice(self) -> Self:
        for name in ("cutoffs", "first_interactions"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name} {list(values)} names a value twice: leave it out")
        return self


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
