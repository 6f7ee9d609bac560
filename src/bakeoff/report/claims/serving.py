"""Claim 6: MF is cheaper to serve."""

from collections.abc import Mapping
from typing import Any

from bakeoff.params import Params
from bakeoff.report.claims.claim import Asked, Expected, Form, Once, Question, Unknown, Words, repeated
from bakeoff.report.evidence import Evidence
from bakeoff.report.formats import count
from bakeoff.report.measured import Skipped, figure, repeated_figure
from bakeoff.report.models import MF, SOFTMAX, model_label

FOLDED_IN = "MF folds in here as well: stored vectors of known users would save it that."
SIDES = (model_label(MF), model_label(SOFTMAX))


def ask(evidence: Evidence, _: Params) -> Asked:
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
    words = Words("one", "MF answers one known user sooner", "latency (p95) of one query", *SIDES)
    if isinstance(serving, Skipped):
        return [Unknown(words, serving.reason, is_cost=True)]
    mf, softmax = (serving.get("models", {}).get(name, {}) for name in (MF, SOFTMAX))
    questions = [_latency(words, mf, softmax, "batches", "1")]
    for size in sorted((set(mf.get("batches", {})) & set(softmax.get("batches", {}))) - {"1"}, key=int):
        batch = f"latency (median) of a batch of {count(int(size))} known users"
        words = Words(f"batch_{size}", "It answers batches sooner", batch, *SIDES)
        # Few calls of many users say little of the slowest in twenty.
        questions.append(_latency(words, mf, softmax, "batches", size, "p50_seconds"))
    fold_in = Words(
        "history", "It answers sooner where only a history is known", "latency (p95) of one query by history", *SIDES
    )
    questions.append(_latency(fold_in, mf, softmax, "history", "1"))
    size_words = Words("size", "What is served is smaller", "size of the exported model", *SIDES)
    sizes = (figure(mf, "model_bytes"), figure(softmax, "model_bytes"))
    questions.append(Once(size_words, *sizes, Expected.SMALLER, Form.BYTES, repeats="one export each"))
    return questions


def _latency(
    words: Words,
    mf: Mapping[str, Any],
    softmax: Mapping[str, Any],
    kind: str,
    batch: str,
    name: str = "p95_seconds",
) -> Question:
    rows = [model.get(kind, {}).get(batch) for model in (mf, softmax)]
    if not all(rows):
        return Unknown(words, "It was not timed for both contenders.", is_cost=True)
    calls = min(int(row["calls"]) for row in rows)
    first, second = (repeated_figure(row, name) for row in rows)
    calls_words = f"at least {count(calls)} calls each"
    note = FOLDED_IN if kind == "batches" else ""
    return repeated(words, first, second, Expected.SMALLER, Form.SECONDS, calls_words, note)
