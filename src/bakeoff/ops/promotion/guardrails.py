"""Guardrails: what a challenger may not lose in return for its gain."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

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

    @property
    def share(self) -> float | None:
        """Change / limit, at most 4/3, for a bar; None where there was nothing to measure."""
        if math.isnan(self.change):
            return None
        # A limit of 0 is not used at all, or passed.
        used = self.change / self.limit if self.limit else 0.0 if self.success else math.inf
        return min(max(used, 0.0), 4 / 3)


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
    found = []
    for name, rule in RULES.items():
        if (limit := getattr(limits, name)) is None:
            continue
        after, before = challenger.get(name, math.nan), champion.get(name, math.nan)
        change = rule.sign * (after - before) if rule.sign else after
        low, high = new_user_change if name == "new_user_loss" else (math.nan, math.nan)
        note = "" if math.isnan(low) else f", {formats.signed(low)} to {formats.signed(high)}"
        holds = not change > limit + _ROUNDING
        subject = rule.subject.format(label=formats.metric_label(metric), k=metric.partition("@")[2])
        text = f"{subject}: {_found(rule, after, before, limit, holds, note)}."
        found.append(Guardrail(name, after, before, change, limit, holds, text))
    return found


def _found(rule: GuardrailRule, after: float, before: float, limit: float, holds: bool, note: str) -> str:
    """What a guardrail found, without its subject."""
    if math.isnan(after):
        return "nothing to measure"
    if rule.sign == 0:
        compared = "" if math.isnan(before) else f", compared with {rule.write(before)}"
        far = "within" if holds else "more than"
        return f"{rule.write(after)}{compared}; {far} the {rule.write(limit)} that are allowed"
    if math.isnan(before):
        return "nothing in production to compare with"
    far, verb = "no more than" if holds else "more than", "rise" if rule.sign > 0 else "fall"
    return (
        f"{rule.write(after)}, compared with {rule.write(before)} ({formats.signed(after - before)}{note}); {far} the "
        f"{formats.decimal(limit, 3)} by which it may {verb}"
    )
