"""Everything of the evidence beside the comparison itself: the sections' figures, computed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from bakeoff.report.accuracy import Statistics
from bakeoff.report.evidence import Evidence
from bakeoff.report.measured import Measured, Skipped, VariantGroup
from bakeoff.report.models import not_asked
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Figure
from bakeoff.report.sections import (
    depth,
    explore,
    features,
    folding,
    growth,
    new_items,
    overlap,
    sampled,
    scorer,
    serving,
    strata,
    when,
)

T = TypeVar("T")
U = TypeVar("U")
PLANTED_NOTES = ("sentence", "calibration")


@dataclass(frozen=True)
class Findings:
    """The sections' figures; None where there was nothing to measure.

    Attributes:
        notes: section → what was done there, or why there is nothing, for people.
    """

    order: when.Order
    strata: strata.Strata
    overlap: overlap.Overlap
    sampled: sampled.Sampled | None
    explorer: explore.Explorer | None
    features: features.Features | None
    new_items: new_items.NewItems | None
    planted: folding.Folding | None
    own_folding: folding.Folding | None
    depth: depth.Depth | None
    scorer: scorer.Scorer | None
    growth: growth.Growth | None
    serving: serving.Serving | None
    notes: Mapping[str, Sequence[str]]


def find(evidence: Evidence, params: ReportParams, statistics: Statistics) -> Findings:
    """Compute every section."""
    metric = params.compare.primary_metric
    cutoff = metric.partition("@")[2]
    cutoffs = params.evaluate.cutoffs
    measured = evidence.measured
    return Findings(
        order=when.order(evidence, metric, statistics),
        strata=strata.strata(evidence, metric, cutoffs[min(1, len(cutoffs) - 1)], statistics),
        overlap=overlap.overlap(evidence, int(cutoff)),
        sampled=sampled.sampled(evidence, metric, params.evidence.sampled_candidates, statistics),
        explorer=explore.explorer(evidence, params),
        features=unless_skipped(measured.group("features"), lambda group: features.features(group, metric, statistics)),
        new_items=unless_skipped(
            measured.group("new-items"), lambda group: new_items.new_items(group, cutoffs, statistics)
        ),
        planted=unless_skipped(measured.planted, folding.planted_folding),
        own_folding=unless_skipped(measured.group("folding"), lambda group: folding.own_folding(group, params)),
        depth=unless_skipped(measured.group("depth"), lambda group: depth.depth(group, params, metric, statistics)),
        scorer=unless_skipped(measured.rerank, lambda rerank: scorer.scorer(rerank, cutoff, statistics)),
        growth=unless_skipped(measured.growth, growth.growth),
        serving=unless_skipped(measured.serving, serving.serving),
        notes=notes(measured),
    )


def unless_skipped(measured: T | Skipped, read: Callable[[T], U]) -> U | None:
    """What `read` makes of it; None where it was skipped."""
    return None if isinstance(measured, Skipped) else read(measured)


def notes(measured: Measured) -> dict[str, list[str]]:
    """Section → what was done, in the stages' own words, or why there is nothing."""
    planted = measured.planted
    about = {
        "new-users": [_said(measured.group("features"))],
        "new-items": [_said(measured.group("new-items")), *_left_out(measured.group("new-items"))],
        "folding": [
            *([planted.reason] if isinstance(planted, Skipped) else [_text(planted.notes, n) for n in PLANTED_NOTES]),
            _said(measured.group("folding")),
            *_left_out(measured.group("folding")),
        ],
        "depth": [_said(measured.group("depth"))],
        "scorer": [measured.rerank.reason if isinstance(measured.rerank, Skipped) else measured.rerank.sentence],
        "growth": [part.reason for part in (measured.growth, measured.serving) if isinstance(part, Skipped)],
    }
    return {section: [text for text in texts if text] for section, texts in about.items()}


def figures(findings: Findings) -> list[Figure]:
    """All charts of the sections, in their order."""
    drawn = [
        *when.figures(findings.order),
        *strata.figures(findings.strata),
        *overlap.figures(findings.overlap),
        *folding.figures(findings.planted, findings.own_folding),
    ]
    drawn += sampled.figures(findings.sampled) if findings.sampled else []
    drawn += features.figures(findings.features) if findings.features else []
    drawn += new_items.figures(findings.new_items) if findings.new_items else []
    drawn += depth.figures(findings.depth) if findings.depth else []
    drawn += scorer.figures(findings.scorer) if findings.scorer else []
    drawn += growth.figures(findings.growth) if findings.growth else []
    drawn += serving.figures(findings.serving) if findings.serving else []
    return drawn


def _said(group: VariantGroup | Skipped) -> str:
    return group.reason if isinstance(group, Skipped) else group.sentence


def _left_out(group: VariantGroup | Skipped) -> list[str]:
    reasons = {} if isinstance(group, Skipped) else group.notes.get("left_out", {})
    return not_asked(reasons)


def _text(values: Mapping[str, Any], name: str) -> str:
    return str(values.get(name) or "")
