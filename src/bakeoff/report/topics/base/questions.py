"""How the parts of claims are asked: of models, of variants, of costs, of figures of all lists together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isnan
from typing import Any

from bakeoff.evaluation.stats.timing_intervals import Repeated, minus, ratio
from bakeoff.report import formats
from bakeoff.report.evidence import Evidence
from bakeoff.report.measured import HasVariants, Rerank, figure, paired
from bakeoff.report.models import MF, SOFTMAX
from bakeoff.report.params import ReportParams
from bakeoff.report.topics.base.claims import ClaimOutcome, ClaimPart, Expected, Form, Paired, Question, Words
from bakeoff.report.topics.base.judge import by_ratio, by_sign


def unknown(words: Words, reason: str, is_cost: bool = False) -> ClaimPart:
    """A part that this data can't answer, with the reason."""
    return ClaimPart(words, ClaimOutcome.NONE, is_cost=is_cost, note=reason)


def on_models(
    evidence: Evidence,
    words: Words,
    column: str,
    expected: Expected = Expected.LARGER,
    form: Form = Form.METRIC,
    models: tuple[str, str] = (SOFTMAX, MF),
) -> Paired:
    """Two models by a column of their metrics per warm user."""
    first, second = (evidence.models[name].users.set_index("user_id")[column] for name in models)
    return Paired(words, *paired(first, second), expected, form)


def on_variants(
    measured: HasVariants | Rerank,
    words: Words,
    names: tuple[str, str],
    metric: str,
    expected: Expected = Expected.LARGER,
    form: Form = Form.METRIC,
) -> Paired:
    """Two variants, or systems, on the users that have the metric in both."""
    first, second = (measured.values(name, metric) for name in names)
    return Paired(words, *paired(first, second), expected, form)


def on_costs(
    words: Words,
    sides: Sequence[Repeated],
    form: Form,
    basis: str,
    expected: Expected = Expected.SMALLER,
    note: str = "",
) -> ClaimPart:
    """Two measured costs, judged by their ratio and its interval where both were measured repeatedly."""
    first, second = (side.value for side in sides)
    both = ratio(*sides)
    is_known = not (isnan(first) or isnan(second))
    return ClaimPart(
        words=words,
        outcome=by_ratio(expected, first, second, both.low, both.high),
        first=first,
        second=second,
        difference=_ratio(first, second) if is_known else float("nan"),
        low=both.low,
        high=both.high,
        form=form,
        is_ratio=True,
        is_cost=True,
        basis=basis,
        note=note if is_known else note or "It was not measured.",
    )


def _ratio(first: float, second: float) -> float:
    """First / second; ∞ from 0 on, NaN for 0 of 0."""
    if second > 0:
        return first / second
    return float("inf") if first > 0 else float("nan")


def on_all_lists(
    words: Words, pair: tuple[float, float], half: float, num_users: int, expected: Expected, form: Form
) -> ClaimPart:
    """Two figures of the lists of all users together; `half` is half the width of the interval of their difference."""
    difference = pair[0] - pair[1]
    low, high = difference - half, difference + half
    basis = f"lists of {formats.count(num_users)} users together"
    return ClaimPart(words, by_sign(expected, low, high), *pair, difference, low, high, form=form, basis=basis)


def on_exponents(words: Words, sides: Sequence[Repeated]) -> ClaimPart:
    """Two fitted exponents of growth: held where the first is smaller, by the interval of the difference."""
    first, second = sides
    found = minus(first, second)
    ends = [f"{formats.decimal(each.low, 2)} to {formats.decimal(each.high, 2)}" for each in sides]
    return ClaimPart(
        words=words,
        outcome=by_sign(Expected.SMALLER, found.low, found.high),
        first=first.value,
        second=second.value,
        difference=found.value,
        low=found.low,
        high=found.high,
        form=Form.NUMBER,
        is_cost=True,
        basis="fit over sizes",
        note=f"{formats.level(0.95)} intervals of the exponents: {' and '.join(ends)}.",
    )


def repeated_figure(values: Mapping[str, Any] | None, name: str) -> Repeated:
    """A cost that was measured repeatedly; the ends of its interval are `<name>_low` and `<name>_high`."""
    return Repeated(*(figure(values, key) for key in (name, f"{name}_low", f"{name}_high")))


def of_variants(questions: Sequence[Question], params: ReportParams) -> list[Question]:
    """The questions, those over users with a note on how variants were trained, before a note that they have."""
    note = training_of_variants(params)
    return [replace(q, note=f"{note} {q.note}".strip()) if isinstance(q, Paired) else q for q in questions]


def training_of_variants(params: ReportParams) -> str:
    """How the training of every variant differs from that of the shipped models."""
    share = params.evidence.epoch_share
    epochs = "" if share == 1 else f", networks for {formats.percent(share, 0)} of their epochs"
    return f"Trained on the train part alone{epochs}."
