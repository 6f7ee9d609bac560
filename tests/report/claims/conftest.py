import pytest

from bakeoff.report.claims.claim import Claim
from bakeoff.report.summary import Summary


@pytest.fixture(scope="module")
def claims(summary: Summary) -> dict[str, Claim]:
    """The claims about the invented workspace, by key."""
    return {claim.key: claim for claim in summary.claims}
