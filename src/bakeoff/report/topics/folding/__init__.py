"""Folding: the claim about it, and recall compared with folding on planted groups and on the data itself."""

from bakeoff.report.evidence import Evidence
from bakeoff.report.measured import Skipped, notes_on
from bakeoff.report.topics.base.topic import Topic
from bakeoff.report.topics.folding.claim import claim
from bakeoff.report.topics.folding.figures import draw, measure


def _notes(evidence: Evidence) -> list[str]:
    """How the planted groups were made and scores calibrated, then how the variants were trained."""
    planted = evidence.measured.planted
    on_planted = (
        [planted.reason]
        if isinstance(planted, Skipped)
        else [str(planted.notes.get(name) or "") for name in ("sentence", "calibration")]
    )
    return [*on_planted, *notes_on(evidence.measured.group("folding"))]


TOPIC = Topic("folding", 310, "folding", measure, draw, "What they learn", "Folding", claim, notes=_notes)
