"""What the nightly run decides by: how far data may drift, and what a model must show to go into production."""

from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator

from bakeoff.core.parameters import Frozen
from bakeoff.models.base import specs

BEST = "best"
"""Value of `promotion.challenger` for the model that is best on validation."""


class DriftParams(Frozen):
    """How far new data may differ from those of the version in production."""

    max_divergence: PositiveFloat = 0.1
    """Largest Kullback–Leibler divergence, in nats, of a feature's distribution, beyond what chance alone makes of as
    many rows; above it the run warns."""
    min_volume: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Least number of rows, as a share of those in production; below it the run stops."""
    max_volume: Annotated[float, Field(gt=1)] = 3.0
    """Largest number of rows, as a multiple; above it the run warns."""
    bins: Annotated[int, Field(ge=2, le=100)] = 10
    """Bins of a dense feature: quantiles of the data in production."""


class GuardrailParams(Frozen):
    """What a challenger may not lose for what it gains; each is skipped where null."""

    new_user_loss: NonNegativeFloat | None = 0.02
    """Largest loss of the primary metric for new users, asked about with all of their interactions."""
    popularity_lift_rise: NonNegativeFloat | None = 0.1
    """Largest rise of the popularity lift of the lists."""
    spurious_rise: NonNegativeFloat | None = 0.05
    """Largest rise of the share of recommended items that are unrelated to the user: folding as it reaches people."""
    p95_seconds: PositiveFloat | None = 0.1
    """Largest p95 of the time that the exported model takes for one query, in seconds."""
    model_bytes: PositiveInt | None = 2_000_000_000
    """Largest size of the exported model, in bytes."""
    champion_online_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Largest share of interleaved lists that the champion may win, by the upper end of its interval; 0.5 asks for an
    online win of the challenger. Null: none is asked for."""


class PromotionParams(Frozen):
    """What is put into production."""

    challenger: str = BEST
    """Who challenges the model in production: a model, or the one that is best on validation, of those whose epoch is
    chosen on it."""
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Non-inferiority: the interval of challenger − champion on the primary metric must lie above −margin."""
    guardrails: GuardrailParams = GuardrailParams()

    @field_validator("challenger")
    @classmethod
    def _is_a_model(cls, name: str) -> str:
        known = [BEST, *(each.name for each in specs.specs().values() if each.role != "reference")]
        if name not in known:
            raise ValueError(f"{name!r} can't be the challenger: it must be one of {', '.join(known)}")
        return name
