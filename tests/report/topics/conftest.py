import pytest

from bakeoff.report.render.figure import Figure
from bakeoff.report.summary import JudgedClaims, Summary
from bakeoff.report.topics.base.claims import Claim


@pytest.fixture(scope="module")
def claims(judged: JudgedClaims) -> dict[str, Claim]:
    """The claims about the invented workspace, by key."""
    return {claim.key: claim for claim in judged.claims}


@pytest.fixture(scope="module")
def figures(summary: Summary, judged: JudgedClaims) -> dict[str, Figure]:
    """Charts of the topics of both pages, by their keys."""
    return {**summary.figures, **judged.figures}
