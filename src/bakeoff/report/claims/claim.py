"""What a claim is, what is asked of the data for it, and what was found."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from bakeoff.evaluation.stats.timing_intervals import Repeated, ratio


class Outcome(StrEnum):
    """What may be said of a claim on this data."""

    HELD = "held"
    IN_PART = "held in part"
    NOT = "did not hold"
    NONE = "no evidence"


class Expected(StrEnum):
    """What a part of a claim says of its first figure beside its second."""

    LARGER = "larger"
    SMALLER = "smaller"
    NOT_LOWER = "hardly lower"
    NOT_HIGHER = "hardly higher"


class Form(StrEnum):
    """How figures are written."""

    METRIC = "metric"
    SHARE = "share"
    COUNT = "count"
    NUMBER = "number"
    SECONDS = "seconds"
    BYTES = "bytes"
    RATE = "rate"


@dataclass(frozen=True)
class Words:
    """A part of a claim in words.

    Attributes:
        key: its name in metrics.json, unique within the claim.
        says: the part of the claim.
        measured: what was measured.
        first: what the first figure is of.
        second: what the second is of.
    """

    key: str
    says: str
    measured: str
    first: str
    second: str


@dataclass(frozen=True)
class Paired:
    """A question that users answer: two values of each, judged by interval and test.

    Attributes:
        words: the part in words.
        first: float64 [num_users].
        second: float64 [num_users], of the same users.
        expected: what the claim says of the first.
        form: how the figures are written.
        note: what must be known to read the row.
    """

    words: Words
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    expected: Expected
    form: Form = Form.METRIC
    note: str = ""


@dataclass(frozen=True)
class Once:
    """A question that two measured costs answer: judged by their ratio, and its interval if there is one.

    Attributes:
        words: the part in words.
        first: the first figure, at least 0.
        second: the second.
        expected: what the claim says of the first.
        form: how the figures are written.
        repeats: how often they were measured, such as `measured once`.
        low: lower end of the interval of first / second; NaN where there is none.
        high: its upper end.
        note: what must be known to read the row.
    """

    words: Words
    first: float
    second: float
    expected: Expected
    form: Form
    repeats: str = "one figure each"
    note: str = ""
    low: float = float("nan")
    high: float = float("nan")


def repeated(
    words: Words, first: Repeated, second: Repeated, expected: Expected, form: Form, repeats: str, note: str = ""
) -> Once:
    """What two costs answer that were measured again and again, with the interval of their ratio."""
    of_both = ratio(first, second)
    return Once(
        words,
        first.value,
        second.value,
        expected,
        form,
        repeats,
        note=note,
        low=of_both.low,
        high=of_both.high,
    )


@dataclass(frozen=True)
class Pooled:
    """A question that two figures of all users together answer, judged by the interval of their difference.

    Attributes:
        words: the part in words.
        first: the first figure.
        second: the second.
        half: half the width of the interval of first − second; NaN where there is none.
        num_users: on whom the figures rest.
        expected: what the claim says of the first.
        form: how the figures are written.
    """

    words: Words
    first: float
    second: float
    half: float
    num_users: int
    expected: Expected
    form: Form


@dataclass(frozen=True)
class Slope:
    """An exponent with the ends of its interval."""

    exponent: float
    low: float
    high: float


@dataclass(frozen=True)
class Slopes:
    """A question that two fitted exponents answer: is the first smaller?"""

    words: Words
    first: Slope
    second: Slope


@dataclass(frozen=True)
class Unknown:
    """A part that this data says nothing about, and why."""

    words: Words
    reason: str
    is_cost: bool = False


Question = Paired | Once | Pooled | Slopes | Unknown


@dataclass(frozen=True)
class Asked:
    """A claim before it is judged.

    Attributes:
        key: its name in metrics.json and in links.
        title: what it is about.
        words: the claim in the textbook's words.
        section: anchor of the section with the pictures.
        questions: its parts.
        decided_by: keys of the parts that decide; all of them where it is empty.
    """

    key: str
    title: str
    words: str
    section: str
    questions: Sequence[Question]
    decided_by: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Part:
    """A part of a claim with what was found; figures that do not exist are NaN.

    Attributes:
        words: the part in words.
        first: the first figure.
        second: the second.
        difference: first − second; of figures without an interval over users their ratio, first / second.
        low: lower end of the interval of the difference, or of the ratio.
        high: its upper end.
        p: adjusted for all tests of the table; NaN where the rule needs none.
        outcome: held, did not hold or no evidence.
        form: how the figures are written.
        is_ratio: whether `difference` is a ratio.
        is_cost: measured on this machine: differs from run to run.
        basis: what it rests on: `849 users`, `measured once`.
        note: the reason where there is no evidence, or what must be known to read the row.
    """

    words: Words
    outcome: Outcome
    first: float = float("nan")
    second: float = float("nan")
    difference: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    p: float = float("nan")
    form: Form = Form.METRIC
    is_ratio: bool = False
    is_cost: bool = False
    basis: str = ""
    note: str = ""


@dataclass(frozen=True)
class Claim:
    """A claim, judged part by part."""

    key: str
    title: str
    words: str
    section: str
    parts: Sequence[Part]
    decided_by: frozenset[str] = frozenset()

    @property
    def deciding(self) -> Sequence[Part]:
        """The parts that decide."""
        return [part for part in self.parts if not self.decided_by or part.words.key in self.decided_by]

    @property
    def outcome(self) -> Outcome:
        """Held where every deciding part held; in part where some did; else `did not hold` where one did not hold."""
        found = [part.outcome for part in self.deciding]
        held = found.count(Outcome.HELD)
        if held:
            return Outcome.HELD if held == len(found) else Outcome.IN_PART
        return Outcome.NOT if Outcome.NOT in found else Outcome.NONE

    @property
    def num_held(self) -> int:
        """Deciding parts that held."""
        return sum(part.outcome is Outcome.HELD for part in self.deciding)
