"""What must be known of parts that rest on variants: those were not trained as the shipped models are."""

from collections.abc import Sequence
from dataclasses import replace

from bakeoff.report import formats
from bakeoff.report.claims.claim import Paired, Question
from bakeoff.report.params import ReportParams


def of_variants(questions: Sequence[Question], params: ReportParams) -> list[Question]:
    """The questions, with a note on those that users of variants answer; a note that stands there comes after it."""
    note = shorter(params)
    return [replace(q, note=f"{note} {q.note}".strip()) if isinstance(q, Paired) else q for q in questions]


def shorter(params: ReportParams) -> str:
    """How the training of every variant differs from that of the shipped models."""
    share = params.evidence.epoch_share
    epochs = "" if share == 1 else f", networks for {formats.percent(share, 0)} of their epochs"
    return f"Trained on the train part alone{epochs}."
