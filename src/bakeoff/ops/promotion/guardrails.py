"""The rules: a challenger goes into production if it is not worse, and loses nothing that a guardrail protects."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from bakeoff.ops.params import GuardrailParams
from bakeoff.report import formats

_ROUNDING = 1e-12
"""0.30 − 0.28 is more than 0.02 in binary: what is at its limit holds."""


@dataclass(frozen=True)
class PrimaryComparison:
    """The paired difference on the primary metric.

    Attributes:
        metric: its name.
        challenger: mean of the challenger over the users that are compared.
        champion: the same of the champion, or of what took its place.
        difference: mean difference.
        low: lower end of its interval; NaN without users.
        high: upper end.
        p: of the sign-flip test.
        num_users: users that are compared.
        margin: by how much the challenger may be worse.
        confidence: level of the interval.
    """

    metric: str
    challenger: float
    champion: float
    difference: float
    low: float
    high: float
    p: float
    num_users: int
    margin: float
    confidence: float

    @property
    def success(self) -> bool:
        """Whether the whole interval lies above −margin; not where it begins there, nor without users."""
        return self.low > -self.margin


@dataclass(frozen=True)
class GuardrailMetrics:
    """What the guardrails look at, of one side; NaN where there was nothing to measure.

    Attributes:
        new_users: primary metric of new users.
        lift: popularity lift.
        spurious: share of unrelated items in the lists.
        p95_seconds: of one query.
        num_bytes: size of the exported model.
    """

    new_users: float
    lift: float
    spurious: float
    p95_seconds: float
    num_bytes: int


@dataclass(frozen=True)
class Guardrail:
    """What the challenger may not lose.

    Attributes:
        name: of its limit in params.yaml.
        challenger: what was measured of it; NaN where there was nothing to measure.
        champion: the same of the champion; NaN where there is none.
        change: what the limit is about: the loss, the rise, or the figure itself; NaN where it can't be told.
        limit: the most that it may be.
        success: whether it holds.
        sentence: says it.
    """

    name: str
    challenger: float
    champion: float
    change: float
    limit: float
    success: bool
    sentence: str


def guardrails(
    limits: GuardrailParams,
    metric: str,
    challenger: GuardrailMetrics,
    champion: GuardrailMetrics | None,
    new_user_interval: tuple[float, float] = (math.nan, math.nan),
) -> list[Guardrail]:
    """Every guardrail that has a limit, in the order of params.yaml.

    Those about a loss or a rise compare with the champion. Without one, or where there was nothing to measure, they
    hold and say so: what nobody can measure can't be lost.

    Args:
        limits: params.promotion.guardrails.
        metric: the primary metric.
        challenger: what was measured of it.
        champion: the same; None where nothing is in production.
        new_user_interval: of challenger − champion on new users.
    """
    k = metric.partition("@")[2]
    label = formats.metric_label(metric)
    interval = f", {formats.signed(new_user_interval[0])} to {formats.signed(new_user_interval[1])}"
    before = champion or GuardrailMetrics(math.nan, math.nan, math.nan, math.nan, 0)
    found = [
        _compared(
            "new_user_loss",
            f"{label} of new users",
            (challenger.new_users, before.new_users, limits.new_user_loss),
            formats.decimal,
            note="" if math.isnan(new_user_interval[0]) else interval,
            falls=True,
        ),
        _compared(
            "popularity_lift_rise",
            f"The popularity lift@{k}",
            (challenger.lift, before.lift, limits.popularity_lift_rise),
            formats.decimal,
        ),
        _compared(
            "spurious_rise",
            f"The share of unrelated items, spurious@{k}",
            (challenger.spurious, before.spurious, limits.spurious_rise),
            formats.decimal,
        ),
        _absolute(
            "p95_seconds",
            "The p95 of one query",
            (challenger.p95_seconds, before.p95_seconds, limits.p95_seconds),
            formats.duration,
        ),
        _absolute(
            "model_bytes",
            "The exported model",
            (challenger.num_bytes, before.num_bytes if champion else math.nan, limits.model_bytes),
            formats.megabytes,
        ),
    ]
    return [guardrail for guardrail in found if guardrail is not None]


def holds(primary: PrimaryComparison, rails: list[Guardrail]) -> bool:
    """Whether the challenger goes into production."""
    return primary.success and all(rail.success for rail in rails)


Write = Callable[[float], str]


def _compared(
    name: str,
    what: str,
    figures: tuple[float, float, float | None],
    write: Write,
    note: str = "",
    *,
    falls: bool = False,
) -> Guardrail | None:
    """A limit on a rise, or on a fall, beside the champion."""
    challenger, champion, limit = figures
    if limit is None:
        return None
    change = champion - challenger if falls else challenger - champion
    verb = "fall" if falls else "rise"
    if math.isnan(change):
        missing = "nothing to measure" if math.isnan(challenger) else "nothing in production to compare with"
        sentence = f"{what}: {missing}."
    else:
        far = "no more than" if change <= limit + _ROUNDING else "more than"
        sentence = (
            f"{what}: {write(challenger)} beside {write(champion)} ({formats.signed(challenger - champion)}{note}); "
            f"{far} the {formats.decimal(limit, 3)} by which it may {verb}."
        )
    return Guardrail(name, challenger, champion, change, limit, not change > limit + _ROUNDING, sentence)


def _absolute(name: str, what: str, figures: tuple[float, float, float | None], write: Write) -> Guardrail | None:
    """A limit on the challenger's own figure."""
    challenger, champion, limit = figures
    if limit is None:
        return None
    beside = "" if math.isnan(champion) else f" beside {write(champion)}"
    far = "within" if challenger <= limit else "more than"
    sentence = f"{what}: {write(challenger)}{beside}; {far} the {write(limit)} that are allowed."
    return Guardrail(name, challenger, champion, challenger, limit, not challenger > limit, sentence)
