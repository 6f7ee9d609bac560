import pytest

from bakeoff.report.summary import JudgedClaims, Summary
from bakeoff.report.topics.base.claims import Claim
from bakeoff.report.topics.base.topic import Findings


@pytest.fixture(scope="module")
def claims(judged: JudgedClaims) -> dict[str, Claim]:
    """The claims about the invented workspace, by key."""
    return {claim.key: claim for claim in judged.claims}


@pytest.fixture(scope="module")
def findings(summary: Summary, judged: JudgedClaims) -> Findings:
    """Figures of the topics of both pages."""
    return Findings({**summary.findings.by_topic, **judged.findings.by_topic})
