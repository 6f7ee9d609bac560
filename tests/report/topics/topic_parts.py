"""Parts of claims, and figures of one topic, of evidence that a test has changed."""

from dataclasses import replace
from typing import Any

from bakeoff.params import Params
from bakeoff.report.accuracy import Statistics
from bakeoff.report.evidence import Evidence, VariantGroup
from bakeoff.report.render.figure import Figure
from bakeoff.report.topics.base.claims import Claim, ClaimPart
from bakeoff.report.topics.base.topic import Topic

STATISTICS = Statistics(confidence=0.95, resamples=100, seed=1)


def figures_of(topic: Topic, evidence: Evidence, params: Params) -> list[Figure]:
    """Charts of the topic."""
    return topic.figures(evidence, params, STATISTICS)


def rows_of(figure: Figure) -> list[dict[str, Any]]:
    """The data that the chart draws."""
    [rows] = figure.spec["datasets"].values()
    return list(rows)


def group_of(evidence: Evidence, name: str) -> VariantGroup:
    """A group of variants, which must have been measured."""
    group = evidence.part(name)
    assert isinstance(group, VariantGroup)
    return group


def with_measured(evidence: Evidence, **measured: Any) -> Evidence:
    """The evidence with other measurements."""
    return replace(evidence, measured={**evidence.measured, **measured})


def with_group(evidence: Evidence, name: str, group: Any) -> Evidence:
    """The evidence with another group of variants."""
    return with_measured(evidence, **{name: group})


def parts(claim: Claim) -> dict[str, ClaimPart]:
    """Of a claim, by key."""
    return {part.words.key: part for part in claim.parts}
