"""Claims: what the textbook says, which figures test each part of it, and the outcome on this data."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

NAN = float("nan")


class ClaimOutcome(StrEnum):
    """What the data says about a claim or a part of it."""

    HELD = "held"
    IN_PART = "held in part"
    NOT = "did not hold"
    NONE = "no evidence"


class Expected(StrEnum):
    """How the first figure of a part compares with the second if the claim is true."""

    LARGER = "larger"
    SMALLER = "smaller"
    NOT_LOWER = "hardly lower"
    NOT_HIGHER = "hardly higher"


class Form(StrEnum):
    """Unit in which figures are written."""

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
    """

    words: Words
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    expected: Expected = Expected.LARGER
    form: Form = Form.METRIC
    note: str = ""


@dataclass(frozen=True)
class ClaimPart:
    """A judged part of a claim; a figure that was not measured is NaN.

    Attributes:
        words: the part in words.
        outcome: held, did not hold or no evidence.
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

    @property
    def is_tested(self) -> bool:
        """Whether it has a p."""
        return not np.isnan(self.p)

    @property
    def has_figures(self) -> bool:
        """Whether either figure was measured."""
        return not np.isnan([self.first, self.second]).all()


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
        """Held where every deciding part held; in part where some did; else `did not hold` where one did not hold."""
        found = [part.outcome for part in self.deciding]
        if self.num_held:
            return ClaimOutcome.HELD if self.num_held == len(found) else ClaimOutcome.IN_PART
        return ClaimOutcome.NOT if ClaimOutcome.NOT in found else ClaimOutcome.NONE

    @property
    def num_held(self) -> int:
        """Number of deciding parts that held."""
        return sum(part.outcome is ClaimOutcome.HELD for part in self.deciding)
