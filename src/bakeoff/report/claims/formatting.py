"""The figures of a claim as people read them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isinf, isnan

from bakeoff.report import formats
from bakeoff.report.claims.claim import Claim, Form, Outcome, Part
from bakeoff.report.claims.judge import MARGIN, RATIO, SHARE_MARGIN


@dataclass(frozen=True)
class ShownPart:
    """A part as people read it."""

    says: str
    measured: str
    first: str
    first_label: str
    second: str
    second_label: str
    difference: str
    interval: str
    p: str
    basis: str
    outcome: Outcome
    note: str
    is_cost: bool


@dataclass(frozen=True)
class ShownClaim:
    """A claim as people read it."""

    key: str
    title: str
    words: str
    section: str
    outcome: Outcome
    tally: str
    parts: Sequence[ShownPart]


def shown(claim: Claim) -> ShownClaim:
    """The claim with every figure as text."""
    parts = [_shown_part(part) for part in claim.parts]
    return ShownClaim(claim.key, claim.title, claim.words, claim.section, claim.outcome, tally(claim), parts)


def _shown_part(part: Part) -> ShownPart:
    has_figures = not (isnan(part.first) and isnan(part.second))
    return ShownPart(
        says=formats.sentence(part.words.says),
        measured=formats.sentence(part.words.measured),
        first=figure(part.first, part.form),
        first_label=part.words.first if has_figures else "",
        second=figure(part.second, part.form),
        second_label=part.words.second if has_figures else "",
        difference=difference(part),
        interval=interval(part),
        p="" if isnan(part.p) else formats.p_value(part.p),
        basis=part.basis,
        outcome=part.outcome,
        note=part.note,
        is_cost=part.is_cost,
    )


def css_class(outcome: Outcome) -> str:
    """How the page shows an outcome."""
    return {Outcome.HELD: "held", Outcome.IN_PART: "in-part", Outcome.NOT: "not-held", Outcome.NONE: "no-evidence"}[
        outcome
    ]


def figure(value: float, form: Form) -> str:
    """A figure in its form."""
    if isnan(value):
        return formats.NO_VALUE
    written = {
        Form.METRIC: lambda: formats.decimal(value),
        Form.NUMBER: lambda: formats.decimal(value, 3),
        Form.SHARE: lambda: formats.percent(value),
        Form.COUNT: lambda: formats.decimal(value, 1),
        Form.SECONDS: lambda: formats.duration(value),
        Form.BYTES: lambda: formats.megabytes(value),
        Form.RATE: lambda: f"{formats.count(round(value))} / s",
    }
    return written[form]()


def difference(part: Part) -> str:
    """`+0.0307`, in points for a share; `× 2.3` for a ratio."""
    if isnan(part.difference):
        return formats.NO_VALUE
    if isinf(part.difference):
        return "from 0"
    if part.is_ratio:
        return f"× {_ratio(part.difference, part.difference)}"
    return _change(part.difference, part.form)


def interval(part: Part) -> str:
    """`+0.0199 to +0.0415`, `× 0.21 to 0.26`; empty where there is none."""
    if isnan(part.low) and isnan(part.high):
        return ""
    if isnan(part.high):
        return f"× {_ratio(part.low, part.difference)} at least"
    if isnan(part.low):
        return f"× {_ratio(part.high, part.difference)} at most"
    if part.is_ratio:
        return f"× {_ratio(part.low, part.difference)} to {_ratio(part.high, part.difference)}"
    return f"{_change(part.low, part.form)} to {_change(part.high, part.form)}"


def tally(claim: Claim) -> str:
    """`2 of 5 parts`, those that held among those that decide; empty for a claim of one part."""
    if len(claim.parts) == 1:
        return ""
    kind = "deciding parts" if claim.decided_by else "parts"
    return f"{claim.num_held} of {len(claim.deciding)} {kind}"


def without_costs(claim: Claim) -> Claim:
    """The claim with those parts alone that do not differ from run to run."""
    return replace(claim, parts=[part for part in claim.parts if not part.is_cost])


def is_cost(claim: Claim) -> bool:
    """Whether all of it is measured cost."""
    return all(part.is_cost for part in claim.parts)


def overview(claims: Sequence[Claim]) -> str:
    """How many claims of the table came out how."""
    found = [claim.outcome for claim in claims]
    counts = [
        f"{found.count(outcome)} {outcome}" for outcome in Outcome if outcome in found and outcome != Outcome.NONE
    ]
    unknown = found.count(Outcome.NONE)
    counts += [f"for {unknown} there is no evidence"] if unknown else []
    return f"Of {len(claims)} claims {formats.listing(counts)} on this data."


def rules(level: str) -> list[str]:
    """How each kind of row is judged."""
    return [
        f"A difference over users: held where its {level} interval lies on the side that the claim says and the "
        "permutation test agrees, did not hold where it lies on the other; else no evidence. p is adjusted (Holm) for "
        "every test of this table, which makes it stricter than the verdict on one metric.",
        f"Hardly lower: held where the whole interval lies above −{MARGIN:.0%} of the second figure (of shares above "
        f"−{100 * SHARE_MARGIN:.0f} point in any case), did not hold where it lies below. Hardly higher: the mirror "
        "image.",
        "Coverage and Gini coefficient, which all lists have together: by the interval of the difference, from a "
        "jackknife over groups of users.",
        f"Costs: they count as different from a ratio of {RATIO:g} on, unless its 95 % interval holds 1. "
        "The interval says how epochs, steps or calls of one run differ, and nothing of another machine.",
        "Exponents: by the interval of their difference, which follows from those of both.",
        "A claim held where all its parts held, held in part where some did, did not hold where none held and one "
        "did not; else there is no evidence. The claim of taste is decided by what holds beyond the session alone.",
    ]


def _ratio(value: float, of: float) -> str:
    """With as many digits as the ratio `of` is written with."""
    return formats.decimal(value, 2 if of >= 0.1 or of == 0 else 4)


def _change(value: float, form: Form) -> str:
    if form is Form.SHARE:
        return f"{formats.signed(100 * value, 1)} pp"
    return formats.signed(value, {Form.COUNT: 1, Form.NUMBER: 3}.get(form, 4))
