"""Settings of the comparison: how the verdict is reached."""

from typing import Annotated, Any, Protocol

from pydantic import Field, PositiveInt

from bakeoff.core.parameters import Frozen
from bakeoff.data.params import DataParams
from bakeoff.evaluation.params import EvaluateParams
from bakeoff.experiments.params import EvidenceParams


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


class ReportParams(Protocol):
    """What the report reads of `params.yaml`: the sections of lower layers and its own.

    The settings of models are reached by name only (`variants.resolved`), so that a new model changes nothing here.
    """

    @property
    def seed(self) -> int:
        """Seed of the bootstrap, the permutation test and the sample of users."""

    @property
    def data(self) -> DataParams:
        """Features of users and items."""

    @property
    def evaluate(self) -> EvaluateParams:
        """Lengths of the lists that metrics were computed for."""

    @property
    def evidence(self) -> EvidenceParams:
        """Settings of the variants and of the map."""

    @property
    def compare(self) -> CompareParams:
        """How the verdict is reached."""

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """All parameters as plain values, for the provenance."""
