"""The decision: what goes into production, and every reason for it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bakeoff.ops.promotion.guardrails import Guardrail, PrimaryComparison
from bakeoff.report import formats
from bakeoff.report.models import REFERENCE, model_noun


class DecisionOutcome(StrEnum):
    """What the decision says of the challenger."""

    PROMOTE = "promote"
    HOLD = "hold"
    UNCHANGED = "unchanged"


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


@dataclass(frozen=True)
class Decision:
    """What was found, and what follows.

    Attributes:
        outcome: what follows.
        challenger: who would go into production.
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
        """What decision.json holds."""
        return {
            "outcome": self.outcome.value,
            "challenger": _side(self.challenger),
            "champion": None if self.champion is None else _side(self.champion),
            "primary": None if self.primary is None else _figures(vars(self.primary)),
            "guardrails": [_figures(vars(rail)) for rail in self.guardrails],
            "left_out": {"warm_users": self.left_out[0], "new_users": self.left_out[1]},
            "reasons": [*self.reasons],
            "forced": None,
        }


def unchanged(challenger: DecisionSide, champion: DecisionSide) -> Decision:
    """The challenger is what is in production, byte for byte."""
    reason = (
        f"Training gave the same bytes as {champion.model}@{champion.version}, which is in production: there is "
        "nothing to decide."
    )
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
        challenger: who would go into production.
        champion: what is there; None: the primary metric compares with popularity.
        primary: the comparison.
        guardrails: those that have a limit.
        left_out: warm and new users whose answers the champion was trained on.
        taken_back: the version with the challenger's bytes that a rollback took out of production.
        chosen: why this model is the challenger, a sentence.
    """
    broken = [rail for rail in guardrails if not rail.success]
    passed = primary.success and not broken and taken_back is None
    reasons = [comparison(primary, challenger, champion), _rule(primary, champion)]
    reasons += [rail.sentence for rail in broken]
    if taken_back is not None:
        reasons.append(
            f"A rollback took {taken_back}, which has the same bytes, out of production: only a person puts it back, "
            "by `bakeoff promote --despite REASON`."
        )
    if guardrails and not broken:
        reasons.append(f"All {len(guardrails)} guardrails hold." if len(guardrails) > 1 else "Its guardrail holds.")
    if champion is None:
        reasons.append(
            f"Nothing is in production: {model_noun(REFERENCE)} of this run took its place, the margin played no part, "
            "and guardrails about a loss or a rise had nothing to compare with."
        )
    reasons += [sentence for sentence in (_left_out(left_out), chosen) if sentence]
    outcome = DecisionOutcome.PROMOTE if passed else DecisionOutcome.HOLD
    return Decision(outcome, challenger, champion, primary, guardrails, reasons, left_out)


def comparison(primary: PrimaryComparison, challenger: DecisionSide, champion: DecisionSide | None) -> str:
    """The figures of both sides, in a sentence."""
    metric = formats.metric_label(primary.metric)
    beside = model_noun(REFERENCE) if champion is None else f"{champion.model}@{champion.version}"
    if primary.num_users == 0:
        return f"No user is left on whom {model_noun(challenger.model)} could be compared with {beside}."
    return (
        f"{metric} of {model_noun(challenger.model)} is {formats.decimal(primary.challenger)} beside "
        f"{formats.decimal(primary.champion)} of {beside}: {formats.signed(primary.difference)}, "
        f"{formats.level(primary.confidence)} interval {formats.signed(primary.low)} to "
        f"{formats.signed(primary.high)}, over {formats.count(primary.num_users)} users."
    )


def _rule(primary: PrimaryComparison, champion: DecisionSide | None) -> str:
    if math.isnan(primary.low):
        return "Without a comparison nothing goes into production."
    bound = "0" if primary.margin == 0 else f"{formats.signed(-primary.margin, 3)}, the margin"
    if primary.success:
        return f"The whole interval lies above {bound}."
    if primary.high < -primary.margin:
        return f"The whole interval lies below {bound}: it is worse."
    missing = "better than popularity" if champion is None else "good enough"
    return f"The interval does not lie above {bound}: there is no evidence that it is {missing}."


def _left_out(left_out: tuple[int, int]) -> str | None:
    if not any(left_out):
        return None
    warm, new = (formats.count(number) for number in left_out)
    return (
        f"Left out of the comparison are {warm} warm and {new} new users whose test items are among the events that "
        "the model in production was trained on."
    )


def _side(side: DecisionSide) -> dict[str, Any]:
    named = {} if side.version is None else {"version": side.version, "commit": side.commit}
    return {"model": side.model, "md5": side.md5, **named, "data_md5": side.data_md5, "rows": side.rows}


def _figures(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: null where a figure is not defined."""
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in values.items()}
