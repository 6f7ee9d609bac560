"""The figures of a claim as text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import isinf, isnan

from bakeoff.report import formats
from bakeoff.report.topics.base.claims import Claim, ClaimOutcome, ClaimPart, Form
from bakeoff.report.topics.base.judge import MARGIN, RATIO, SHARE_MARGIN

FORMS: Mapping[Form, Callable[[float], str]] = {
    Form.METRIC: formats.decimal,
    Form.NUMBER: lambda value: formats.decimal(value, 3),
    Form.SHARE: formats.percent,
    Form.COUNT: lambda value: formats.decimal(value, 1),
    Form.SECONDS: formats.duration,
    Form.BYTES: formats.megabytes,
    Form.RATE: lambda value: f"{formats.count(round(value))} / s",
}
"""How a figure is written in each form."""
CSS_CLASSES = {
    ClaimOutcome.HELD: "held",
    ClaimOutcome.IN_PART: "in-part",
    ClaimOutcome.NOT: "not-held",
    ClaimOutcome.NONE: "no-evidence",
}


def figure_text(part: ClaimPart, value: float) -> str:
    """Either figure of a part; an en dash where it was not measured."""
    return formats.NO_VALUE if isnan(value) else FORMS[part.form](value)


def css_class(outcome: ClaimOutcome) -> str:
    """The class of the page's style for an outcome."""
    return CSS_CLASSES[outcome]


def difference(part: ClaimPart) -> str:
    """`+0.0307`, in points for a share; `× 2.3` for a ratio."""
    if isnan(part.difference):
        return formats.NO_VALUE
    if isinf(part.difference):
        return "from 0"
    if part.is_ratio:
        return f"× {_ratio(part.difference, part.difference)}"
    return _change(part.difference, part.form)


def interval(part: ClaimPart) -> str:
    """`+0.0199 to +0.0415`, `× 0.21 to 0.26`; empty where there is none."""
    if isnan(part.low) and isnan(part.high):
        return ""
    if not part.is_ratio:
        return f"{_change(part.low, part.form)} to {_change(part.high, part.form)}"
    low, high = (_ratio(end, part.difference) for end in (part.low, part.high))
    return f"× {low} at least" if isnan(part.high) else f"× {high} at most" if isnan(part.low) else f"× {low} to {high}"


def tally(claim: Claim) -> str:
    """`2 of 5 parts`: those that held among those that decide; empty for a claim of one part."""
    if len(claim.parts) == 1:
        return ""
    kind = "parts" if len(claim.deciding) == len(claim.parts) else "deciding parts"
    return f"{claim.num_held} of {len(claim.deciding)} {kind}"


def without_costs(claim: Claim) -> Claim:
    """The claim without the parts that are measured costs, which differ from run to run."""
    return replace(claim, parts=[part for part in claim.parts if not part.is_cost])


def is_cost(claim: Claim) -> bool:
    """Whether all parts are measured costs."""
    return all(part.is_cost for part in claim.parts)


def overview(claims: Sequence[Claim]) -> str:
    """The number of claims with each outcome, as a sentence."""
    found = [claim.outcome for claim in claims]
    counts = [
        f"{found.count(outcome)} {outcome}"
        for outcome in ClaimOutcome
        if outcome in found and outcome != ClaimOutcome.NONE
    ]
    unknown = found.count(ClaimOutcome.NONE)
    counts += [f"for {unknown} there is no evidence"] if unknown else []
    return f"Of {len(claims)} claims {formats.listing(counts)} on this data."


def rules(level: str) -> list[str]:
    """How each kind of row is judged, a sentence or two each."""
    return [
        f"A difference over users held if its {level} interval lies on the side that the claim names and the "
        "permutation test agrees; it did not hold if the interval lies on the other side; otherwise there is no "
        "evidence. p is adjusted (Holm) for every test of this table, so the table is stricter than the verdict on "
        "one metric.",
        f"Hardly lower: held if the whole interval lies above −{MARGIN:.0%} of the second figure (for shares, above "
        f"−{100 * SHARE_MARGIN:.0f} point in any case); did not hold if it lies below. Hardly higher is the mirror "
        "image.",
        "Coverage and Gini coefficient describe all lists together: they are judged by the interval of the "
        "difference, from a jackknife over groups of users.",
        f"Costs count as different from a ratio of {RATIO:g} on, unless the 95 % interval of the ratio contains 1. "
        "The interval shows how epochs, steps or calls of one run differ; it says nothing about another machine.",
        "Exponents are judged by the interval of their difference, which follows from the intervals of both.",
        "A claim held if all its parts held, held in part if some did, and did not hold if none held and at least one "
        "did not; otherwise there is no evidence. The claim about taste is decided by what holds beyond the session "
        "alone.",
    ]


def _ratio(value: float, of: float) -> str:
    """With as many digits as the ratio `of` is written with."""
    return formats.decimal(value, 2 if of >= 0.1 or of == 0 else 4)


def _change(value: float, form: Form) -> str:
    if form is Form.SHARE:
        return f"{formats.signed(100 * value, 1)} pp"
    return formats.signed(value, {Form.COUNT: 1, Form.NUMBER: 3}.get(form, 4))
