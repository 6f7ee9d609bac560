"""Claim 6: MF is cheaper to serve."""

from collections.abc import Mapping
from typing import Any

from bakeoff.report.claims.claim import Asked, Expected, Form, Once, Question, Unknown, Words, repeated
from bakeoff.report.evidence import Evidence
from bakeoff.report.formats import count, duration
from bakeoff.report.measured import Skipped, figure, repeated_figure
from bakeoff.report.models import MF, SOFTMAX, model_label
from bakeoff.report.params import ReportParams

SIDES = (model_label(MF), model_label(SOFTMAX))
WITH_VECTORS = (f"{model_label(MF)}, vectors of known users stored", model_label(SOFTMAX))


def ask(evidence: Evidence, _: ReportParams) -> Asked:
    """One query, batches of queries, users without a stored vector, and the size of what is served."""
    return Asked(
        key="serving_cost",
        title="Cost of serving",
        words="MF is cheaper to serve: the vectors of its users can be computed beforehand, where the DNN runs a "
        "network for each query.",
        section="growth",
        questions=_questions(evidence.measured.serving),
    )


def _questions(serving: Mapping[str, Any] | Skipped) -> list[Question]:
    words = Words("one", "MF answers one known user sooner", "latency (p95) of one query", *WITH_VECTORS)
    if isinstance(serving, Skipped):
        return [Unknown(words, serving.reason, is_cost=True)]
    mf, softmax = (serving.get("models", {}).get(name, {}) for name in (MF, SOFTMAX))
    pair = mf.get("stored", {}), softmax.get("batches", {})
    questions = [_latency(words, *pair, "1", note=_folded_in(mf))]
    for size in sorted((set(pair[0]) & set(pair[1])) - {"1"}, key=int):
        batch = f"latency (median) of a batch of {count(int(size))} known users"
        words = Words(f"batch_{size}", "It answers batches sooner", batch, *WITH_VECTORS)
        # Few calls of many users say little of the slowest in twenty.
        questions.append(_latency(words, *pair, size, "p50_seconds"))
    fold_in = Words(
        "history", "It answers sooner where only a history is known", "latency (p95) of one query by history", *SIDES
    )
    questions.append(_latency(fold_in, mf.get("history", {}), softmax.get("history", {}), "1"))
    size_words = Words("size", "What is served is smaller", "size of the exported model", *SIDES)
    sizes = (figure(mf, "model_bytes"), figure(softmax, "model_bytes"))
    questions.append(Once(size_words, *sizes, Expected.SMALLER, Form.BYTES, repeats="one export each"))
    return questions


def _folded_in(mf: Mapping[str, Any]) -> str:
    """What MF takes as it is exported: so the model follows what a user has done since."""
    row = mf.get("batches", {}).get("1")
    return f"As exported MF folds in known users too, and takes {duration(figure(row, 'p95_seconds'))}." if row else ""


def _latency(
    words: Words,
    mf: Mapping[str, Any],
    softmax: Mapping[str, Any],
    batch: str,
    name: str = "p95_seconds",
    note: str = "",
) -> Question:
    rows = [asked.get(batch, {}) for asked in (mf, softmax)]
    if not all(rows):
        return Unknown(words, "It was not timed for both contenders.", is_cost=True)
    calls = min(int(row["calls"]) for row in rows)
    first, second = (repeated_figure(row, name) for row in rows)
    calls_words = f"at least {count(calls)} calls each"
    return repeated(words, first, second, Expected.SMALLER, Form.SECONDS, calls_words, note)
