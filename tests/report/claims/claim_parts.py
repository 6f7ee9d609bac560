from bakeoff.report.claims.claim import Claim, Part


def parts(claim: Claim) -> dict[str, Part]:
    """Of a claim, by key."""
    return {part.words.key: part for part in claim.parts}
