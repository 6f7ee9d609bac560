"""The decision: a challenger goes into production if it is not worse, and loses nothing that a guardrail protects."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic_core import to_json

from bakeoff.ops.params import GuardrailParams
from bakeoff.report import formats

_ROUNDING = 1e-12
"""0.30 − 0.28 is more than 0.02 in binary: what is at its limit holds."""


Measured = Mapping[str, float]
"""Name of a guardrail → the figure of one side that its limit is about: the primary metric of new users, the popularity
lift, the share of unrelated items, seconds and bytes, and the upper end of the interval of the share of interleaved
lists that the champion wins. NaN or left out where there was nothing to measure."""


@dataclass(frozen=True)
class GuardrailRule:
    """What a limit of params.promotion.guardrails is about.

    Attributes:
        label: for tables.
        subject: of its sentence; may hold the primary metric's `{label}` and cutoff `{k}`.
        sign: 1: how far it may rise above the champion's, −1: fall below; 0: the figure itself.
        write: the figure for people.
    """

    label: str
    subject: str
    sign: int
    write: Callable[[float], str] = formats.decimal


RULES = {
    "new_user_loss": GuardrailRule("Loss for new users", "{label} of new users", -1),
    "popularity_lift_rise": GuardrailRule("Rise of the popularity lift", "The popularity lift@{k}", 1),
    "spurious_rise": GuardrailRule("Rise of unrelated items", "The share of unrelated items, spurious@{k}", 1),
    "p95_seconds": GuardrailRule("p95 of one query", "The p95 of one query", 0, formats.duration),
    "model_bytes": GuardrailRule("Exported model", "The exported model", 0, formats.megabytes),
    "champion_online_share": GuardrailRule(
        "Champion's wins online", "The most that the champion wins of interleaved lists", 0, formats.percent
    ),
}
"""Every guardrail, by its name in params.yaml."""


@dataclass(frozen=True)
class Guardrail:
    """What the challenger may not lose.

    Attributes:
        name: of its limit in params.yaml.
        challenger: what was measured of it; NaN where there was nothing to measure.
        champion: the same of the champion; NaN where there is none.
        change: what the limit is about: the loss, the rise, or the figure itself; NaN where it is not known.
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

    @property
    def rule(self) -> GuardrailRule:
        """What it is about."""
        return RULES[self.name]


class DecisionOutcome(StrEnum):
    """What becomes of the challenger."""

    PROMOTE = "promote"
    HOLD = "hold"
    UNCHANGED = "unchanged"


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

    @property
    def bound(self) -> str:
        """What the interval must lie above, in words."""
        return "0" if self.margin == 0 else f"{formats.signed(-self.margin, 3)}, the margin"


@dataclass(frozen=True)
class DecisionSide:
    """One of the two models.

    Attributes:
        model: its name.
        md5: what the exported model hashes to, as dvc.lock records it.
        version: such as `v2.0.0`; None for the challenger, which has none yet.
        commit: of the version; None for the challenger.
        data_md5: of the data that it was trained on; None where data are not under version control.
        rows: interactions in these data; None where that is not recorded.
    """

    model: str
    md5: str | None
    version: str | None = None
    commit: str | None = None
    data_md5: str | None = None
    rows: int | None = None

    @property
    def name(self) -> str:
        """`mf@v3.0.0`."""
        return f"{self.model}@{self.version}"


@dataclass(frozen=True)
class Decision:
    """What was found, and what follows.

    Attributes:
        outcome: what follows.
        challenger: the model that would go into production.
        champion: what is there; None where nothing is.
        primary: the comparison; None where both are the same.
        guardrails: those that have a limit.
        reasons: sentences, the deciding ones first.
        left_out: warm and new users whose answers the champion was trained on.
    """

    outcome: DecisionOutcome
    challenger: DecisionSide
    champion: DecisionSide | None
    primary: PrimaryComparison | None
    guardrails: Sequence[Guardrail]
    reasons: Sequence[str]
    left_out: tuple[int, int] = (0, 0)

    def as_json(self) -> dict[str, Any]:
        """The content of decision.json."""
        found: dict[str, Any] = json.loads(to_json(self, inf_nan_mode="null"))
        del found["challenger"]["version"], found["challenger"]["commit"]  # it has none yet
        found["left_out"] = dict(zip(("warm_users", "new_users"), self.left_out, strict=True))
        return found


def guardrails(
    limits: GuardrailParams,
    metric: str,
    challenger: Measured,
    champion: Measured,
    new_user_change: tuple[float, float] = (math.nan, math.nan),
) -> list[Guardrail]:
    """Every guardrail that has a limit, in the order of params.yaml.

    Those about a loss or a rise compare with the champion. Without one, or where there was nothing to measure, they
    hold and say so: what nobody can measure can't be lost.

    Args:
        limits: params.promotion.guardrails.
        metric: the primary metric.
        challenger: what was measured of it.
        champion: the same; empty where nothing is in production.
        new_user_change: ends of the interval of challenger − champion on new users.
    """
    from bakeoff.report.render.pages import render_text  # `bakeoff promote` and `serve` do without

    found = []
    for name, rule in RULES.items():
        if (limit := getattr(limits, name)) is None:
            continue
        after, before = challenger.get(name, math.nan), champion.get(name, math.nan)
        change = rule.sign * (after - before) if rule.sign else after
        holds = not change > limit + _ROUNDING
        interval = new_user_change if name == "new_user_loss" else (math.nan, math.nan)
        known: dict[str, Any] = {"rule": rule, "after": after, "before": before, "limit": limit, "holds": holds}
        subject = rule.subject.format(label=formats.metric_label(metric), k=metric.partition("@")[2])
        text = render_text("guardrail.txt.j2", subject=subject, interval=interval, **known).rstrip()
        found.append(Guardrail(name, after, before, change, limit, holds, text))
    return found


def unchanged(challenger: DecisionSide, champion: DecisionSide) -> Decision:
    """The challenger is what is in production, byte for byte."""
    reason = f"Training gave the same bytes as {champion.name}, which is in production: there is nothing to decide."
    return Decision(DecisionOutcome.UNCHANGED, challenger, champion, None, (), [reason])


def decide(
    challenger: DecisionSide,
    champion: DecisionSide | None,
    primary: PrimaryComparison,
    guardrails: Sequence[Guardrail],
    left_out: tuple[int, int] = (0, 0),
    taken_back: str | None = None,
    chosen: str | None = None,
) -> Decision:
    """Promote if the interval lies above −margin, every guardrail holds, and nobody has taken this model back.

    Args:
        challenger: the model that would go into production.
        champion: what is there; None: the primary metric compares with popularity.
        primary: the comparison.
        guardrails: those that have a limit.
        left_out: warm and new users whose answers the champion was trained on.
        taken_back: the version with the challenger's bytes that a rollback took out of production.
        chosen: why this model is the challenger, a sentence.
    """
    from bakeoff.report.render.pages import render_text

    broken = [rail for rail in guardrails if not rail.success]
    found = {"primary": primary, "guardrails": guardrails, "broken": broken, "left_out": left_out}
    sides = {"challenger": challenger, "champion": champion}
    reasons = render_text("reasons.txt.j2", **sides, **found, taken_back=taken_back, chosen=chosen).splitlines()
    passed = primary.success and not broken and taken_back is None
    outcome = DecisionOutcome.PROMOTE if passed else DecisionOutcome.HOLD
    return Decision(outcome, challenger, champion, primary, guardrails, reasons, left_out)
