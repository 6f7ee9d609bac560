"""Who should get what: for each situation of a user, the model that is shown to be better there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bakeoff.evaluation.stats.significance import Verdict
from bakeoff.report import formats
from bakeoff.report.accuracy import Difference
from bakeoff.report.models import MF, SOFTMAX, model_label
from bakeoff.report.new_users import step_label
from bakeoff.report.slices import Slice
from bakeoff.report.vs_baseline import BaselineComparison

SMALL = 0.1
"""An interval within this share of the better contender's mean shows that the contenders differ little."""


@dataclass(frozen=True)
class Situation:
    """Test users in one situation.

    Attributes:
        name: the situation, for people.
        difference: softmax − MF, p adjusted over the situations of its kind.
        lead: the better contender compared with the best baseline; p adjusted likewise.
        choice: what to ship, or that nothing is shown.
        reason: how far the choice can be trusted.
    """

    name: str
    difference: Difference
    lead: BaselineComparison
    choice: str
    reason: str


def situations(
    sessions: Sequence[Slice],
    new_differences: Mapping[str, Difference],
    new_leads: Mapping[str, BaselineComparison],
    confidence: float,
) -> list[Situation]:
    """Known users by the time since their last event, then one per number of interactions known of a new user."""
    found = [(f"Known user, {part.name}", part.difference, part.standing) for part in sessions]
    found += [(f"New user, {step_label(first)} known", d, new_leads[first]) for first, d in new_differences.items()]
    return [Situation(*each, *choose(*each[1:], confidence)) for each in found]


def choose(difference: Difference, lead: BaselineComparison, confidence: float) -> tuple[str, str]:
    """What to ship, and why: a baseline that beats both contenders, else the better contender, else nothing."""
    against_baseline = lead.verdict(confidence)
    baseline = model_label(lead.baseline)
    if against_baseline is Verdict.WORSE:
        return baseline, "better than both"
    if difference.verdict is not Verdict.NO_EVIDENCE:
        winner = model_label(SOFTMAX if difference.verdict is Verdict.BETTER else MF)
        return winner, "" if against_baseline is Verdict.BETTER else f"not shown to be better than {baseline}"
    if max(abs(difference.low), abs(difference.high)) <= SMALL * lead.mean:
        return "Either", f"they differ by less than {formats.percent(SMALL, 0)}"
    return "Open", "too few users"
