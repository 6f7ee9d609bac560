import pytest

from bakeoff.report.summary import Summary
from bakeoff.report.topics.base.claims import Claim


@pytest.fixture(scope="module")
def claims(summary: Summary) -> dict[str, Claim]:
    """The claims about the invented workspace, by key."""
    return {claim.key: claim for claim in summary.claims}
