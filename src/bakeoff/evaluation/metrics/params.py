"""Settings of the evaluation: what is measured."""

from typing import Annotated, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from bakeoff.core.parameters import Frozen


class EvaluateParams(Frozen):
    """What is measured."""

    cutoffs: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (10, 20, 100)
    """k of recall@k, ndcg@k, mrr@k, hit_rate@k."""
    list_length: PositiveInt = 100
    """Length of the lists that are written."""
    first_interactions: tuple[NonNegativeInt, ...] = (0, 1, 5)
    """New users are asked about with this many of their first events, and with all."""
    visits: bool = False
    """Whether each visit of a warm user in the test, after a pause of more than an hour, is a query of its own as well,
    asked when it begins. Lists are then ranked for users and for visits."""
    users_per_block: PositiveInt = 1024
    """Users whose query embeddings and lists are in memory at once; of their scores 256 MiB are, at most."""

    @model_validator(mode="after")
    def _values_fit(self) -> Self:
        if max(self.cutoffs) > self.list_length:
            raise ValueError(
                f"list_length {self.list_length} is shorter than the largest cutoff {max(self.cutoffs)}: raise it"
            )
        for name in ("cutoffs", "first_interactions"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name} {list(values)} names a value twice: leave it out")
        return self
