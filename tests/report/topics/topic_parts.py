"""Parts of claims, and figures of one topic, of evidence that a test has changed."""

from dataclasses import replace
from typing import Any, TypeVar

from bakeoff.params import Params
from bakeoff.report.accuracy import Statistics
from bakeoff.report.evidence import Evidence, VariantGroup
from bakeoff.report.topics.base.claims import Claim, ClaimPart
from bakeoff.report.topics.base.topic import Findings, Topic

STATISTICS = Statistics(confidence=0.95, resamples=100, seed=1)
F = TypeVar("F")


def figures_of(topic: Topic[F], evidence: Evidence, params: Params) -> F:
    """What the topic measures, which must be something."""
    found = topic.find(evidence, params, STATISTICS)
    assert found is not None
    return found


def found_in(findings: Findings, topic: Topic[F]) -> F:
    """The topic's figures, which must be there."""
    found = findings.of(topic)
    assert found is not None
    return found


def group_of(evidence: Evidence, name: str) -> VariantGroup:
    """A group of variants, which must have been measured."""
    group = evidence.measured.group(name)
    assert isinstance(group, VariantGroup)
    return group


def with_measured(evidence: Evidence, **measured: Any) -> Evidence:
    """The evidence with other measurements."""
    return replace(evidence, measured=replace(evidence.measured, **measured))


def with_group(evidence: Evidence, name: str, group: Any) -> Evidence:
    """The evidence with another group of variants."""
    return with_measured(evidence, variants={**evidence.measured.variants, name: group})


def parts(claim: Claim) -> dict[str, ClaimPart]:
    """Of a claim, by key."""
    return {part.words.key: part for part in claim.parts}
