"""All claims in the order of the report."""

from collections.abc import Callable, Sequence

from bakeoff.report.accuracy import Statistics
from bakeoff.report.claims import (
    depth,
    folding,
    new_items,
    new_users,
    popularity,
    quality,
    scorer,
    serving,
    taste,
    training,
)
from bakeoff.report.claims.claim import Asked, Claim
from bakeoff.report.claims.judge import judge
from bakeoff.report.evidence import Evidence
from bakeoff.report.params import ReportParams

CLAIMS: Sequence[Callable[[Evidence, ReportParams], Asked]] = (
    new_users.ask,
    new_items.ask,
    folding.ask,
    popularity.ask,
    training.ask,
    serving.ask,
    scorer.ask,
    depth.ask,
    taste.ask,
    quality.ask,
)


def judge_claims(evidence: Evidence, params: ReportParams, statistics: Statistics) -> list[Claim]:
    """Every claim, judged on this evidence."""
    return judge([ask(evidence, params) for ask in CLAIMS], statistics)
