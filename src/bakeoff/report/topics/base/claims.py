"""Claims: what the textbook says, the figures that test each part, the outcome on this data, and how it is written."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, StrEnum, member
from importlib.resources import files
from math import inf, isinf, isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.models.base import specs
from bakeoff.report import formats
from bakeoff.report.models import model_label

NAN = float("nan")
RULES: Mapping[str, Any] = tomllib.loads(files("bakeoff.report").joinpath("claims.toml").read_text(encoding="utf-8"))
"""Version, margins, families of tests, and what the textbook says."""
FAMILIES: Sequence[Sequence[str]] = RULES["tests"]["families"]
MARGINS: Mapping[str, float] = RULES["margins"]
RATIO = MARGINS["cost"]
"""Costs count as different from this ratio on."""


class ClaimOutcome(StrEnum):
    """What the data says about a claim or a part of it; a part is never held or contradicted in part."""

    HELD = "held"
    IN_PART = "held in part"
    CONTRADICTED_IN_PART = "contradicted in part"
    CONTRADICTED = "contradicted"
    SMALL = "shown to be small"
    TOO_FEW = "not enough data"
    NOT_MEASURED = "not measured"


IN_PART = {
    ClaimOutcome.CONTRADICTED: ClaimOutcome.CONTRADICTED_IN_PART,
    ClaimOutcome.HELD: ClaimOutcome.IN_PART,
}
"""Outcome of some parts, but not of all → outcome of their claim; the first one that is found counts."""


class Expected(StrEnum):
    """How the first figure of a part compares with the second if the claim is true."""

    LARGER = "larger"
    SMALLER = "smaller"
    NOT_LOWER = "hardly lower"
    NOT_HIGHER = "hardly higher"


class Form(Enum):
    """Unit of figures; its value writes one."""

    METRIC = member(formats.decimal)
    SHARE = member(formats.percent)
    COUNT = member(lambda value: formats.decimal(value, 1))
    NUMBER = member(lambda value: formats.decimal(value, 3))
    SECONDS = member(formats.duration)
    BYTES = member(formats.megabytes)
    RATE = member(lambda value: f"{formats.count(round(value))} / s")

    def margin(self, second: float) -> float:
        """The largest difference from a second figure that does not matter, in the unit of the figure, at least 0."""
        if self is Form.COUNT:
            return MARGINS["count"] * abs(second)
        return MARGINS[self.name.lower()]

    def unseen(self, second: float, num_users: int) -> float:
        """How far users of a kind that is not among these can move a mean difference, in the unit of the figure.

        What none of n users shows can still be true of 3/n of all (95 %; Hanley & Lippman-Hand 1983, "If nothing goes
        wrong, is everything all right?"), each of whom may count for 1, or for a count as large as the second figure.
        The bootstrap does not know of them: of equal lists, its interval is a point, however few there are. Without
        users anything can be true: ∞.
        """
        return 3 / num_users * (abs(second) if self is Form.COUNT else 1) if num_users else inf


@dataclass(frozen=True)
class Words:
    """A part of a claim in words.

    Attributes:
        key: its name in evidence.json, unique within the claim.
        says: the part of the claim.
        measured: what was measured.
        first: the system or setting of the first figure.
        second: that of the second.
        decides: whether the outcome of the claim depends on this part; if not, the part is shown for information.
    """

    key: str
    says: str
    measured: str
    first: str = ""
    second: str = ""
    decides: bool = True


@dataclass(frozen=True)
class Paired:
    """A part that is judged by the paired difference over users; all such parts are tested together.

    Attributes:
        words: the part in words.
        first: float64 [num_users].
        second: float64 [num_users], of the same users.
        expected: what the claim says about the first figure.
        form: how the figures are written.
        note: what a reader must know to interpret the row.
        rivals: of how many the second is the best, on these same users.
    """

    words: Words
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    expected: Expected = Expected.LARGER
    form: Form = Form.METRIC
    note: str = ""
    rivals: int = 1


@dataclass(frozen=True)
class ClaimPart:
    """A judged part of a claim; a figure that was not measured is NaN.

    Attributes:
        words: the part in words.
        outcome: held, contradicted, shown to be small, not enough data or not measured.
        first: the first figure.
        second: the second.
        difference: first − second; for measured costs the ratio first / second.
        low: lower end of the interval of the difference, or of the ratio.
        high: its upper end.
        p: adjusted for all tests of the table; NaN where the rule uses no test.
        form: how the figures are written.
        is_ratio: whether `difference` is a ratio.
        is_cost: measured on this machine: differs from run to run.
        basis: the sample behind the figures: `849 users`, `measured once`.
        note: the reason where there is no evidence, or what a reader must know to interpret the row.
    """

    words: Words
    outcome: ClaimOutcome
    first: float = NAN
    second: float = NAN
    difference: float = NAN
    low: float = NAN
    high: float = NAN
    p: float = NAN
    form: Form = Form.METRIC
    is_ratio: bool = False
    is_cost: bool = False
    basis: str = ""
    note: str = ""


Question = Paired | ClaimPart
"""A part before all parts are judged: those over users wait for the correction of p, the others are judged at once."""


@dataclass(frozen=True)
class Claim:
    """What the textbook says about one subject, judged part by part.

    Attributes:
        number: its place in the table of claims, from 1.
        key: its name in evidence.json and in links.
        title: its subject.
        words: the claim in the textbook's words.
        link: to the section with the charts.
        parts: empty until it is judged.
    """

    number: int
    key: str
    title: str
    words: str
    link: str = ""
    parts: Sequence[ClaimPart] = ()

    @property
    def deciding(self) -> Sequence[ClaimPart]:
        """The parts that decide the outcome."""
        return [part for part in self.parts if part.words.decides]

    @property
    def outcome(self) -> ClaimOutcome:
        """Held or contradicted where every deciding part is, in part where some are; else small, else too few data.

        A contradicted part counts before parts that held: a claim with a false part is not true.
        """
        found = {part.outcome for part in self.deciding}
        for outcome, in_part in IN_PART.items():
            if outcome in found:
                return outcome if found == {outcome} else in_part
        others = ClaimOutcome.TOO_FEW, ClaimOutcome.SMALL
        return next((each for each in others if each in found), ClaimOutcome.NOT_MEASURED)

    def wording(self, key: str, *, decides: bool = True, **values: object) -> Words:
        """The words of a part in claims.toml, with these values in the place of names in braces."""
        filled = {name: model_label(name) for name in specs.names()} | values
        texts = [text.format(**filled) for text in (key, *RULES["claims"][self.key]["parts"][key])]
        return replace(Words(*texts), decides=decides)


CLAIMS = {key: Claim(each["number"], key, each["title"], each["words"]) for key, each in RULES["claims"].items()}
"""Claims of the textbook by their keys, not judged yet."""


def figure_text(part: ClaimPart, value: float) -> str:
    """Either figure of a part; an en dash where it was not measured."""
    return formats.NO_VALUE if isnan(value) else part.form.value(value)


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
    """`2 of 5 parts held, 1 contradicted`, of the parts that decide; empty for a claim of one part."""
    if len(claim.parts) == 1:
        return ""
    outcomes = [part.outcome for part in claim.deciding]
    kind = "parts" if len(outcomes) == len(claim.parts) else "deciding parts"
    against = outcomes.count(ClaimOutcome.CONTRADICTED)
    found = f"{outcomes.count(ClaimOutcome.HELD)} of {len(outcomes)} {kind} held"
    return f"{found}, {against} contradicted" if against else found


def without_costs(claim: Claim) -> Claim:
    """The claim without the parts that are measured costs, which differ from run to run."""
    return replace(claim, parts=[part for part in claim.parts if not part.is_cost])


def overview(claims: Sequence[Claim]) -> str:
    """The number of claims with each outcome, as a sentence."""
    found = [claim.outcome for claim in claims]
    counts = [f"{found.count(each)} {each}" for each in ClaimOutcome if each in found]
    return f"Of {len(claims)} claims, on this data: {formats.listing(counts)}."


def _ratio(value: float, of: float) -> str:
    """With as many digits as the ratio `of` is written with."""
    return formats.decimal(value, 2 if of >= 0.1 or of == 0 else 4)


def _change(value: float, form: Form) -> str:
    if form is Form.SHARE:
        return f"{formats.signed(100 * value, 1)} pp"
    return formats.signed(value, {Form.COUNT: 1, Form.NUMBER: 3}.get(form, 4))
