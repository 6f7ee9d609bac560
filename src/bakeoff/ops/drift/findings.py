"""What was expected of new data, what was found, and what follows from it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal

import numpy as np

from bakeoff.ops.drift.distributions import Feature

Severity = Literal["critical", "warning"]


class DriftOutcome(StrEnum):
    """What follows from the findings."""

    NONE = "no drift"
    WARNING = "warning"
    STOP = "stop"


@dataclass(frozen=True)
class DriftFinding:
    """One expectation and whether it holds.

    Attributes:
        table: interactions, users or items.
        column: of that table; None for what is counted.
        expectation: `subject: what is expected of it`.
        severity: `critical` stops the run, `warning` does not.
        success: whether it holds.
        value: what was found: a ratio of rows, or a divergence in nats.
        limit: what it is held against.
        detail: what has moved most, in words.
    """

    table: str
    column: str | None
    expectation: str
    severity: Severity
    success: bool
    value: float | None
    limit: float | None
    detail: str = ""

    @property
    def subject(self) -> str:
        """What is looked at."""
        return self.expectation.partition(":")[0]


@dataclass(frozen=True)
class Drift:
    """New data beside those of a reference.

    Attributes:
        since: the revision that is the reference, as people call it.
        commit: its abbreviated hash.
        findings: of the volume, then of each feature.
        volume: table → rows `before` and `now`, and their `ratio`; `days`: see `daily`.
        features: with `findings` of the same order after those of the volume.
        notes: sentences on what could not be compared.
    """

    since: str
    commit: str
    findings: Sequence[DriftFinding]
    volume: dict[str, Any]
    features: Sequence[tuple[Feature, DriftFinding]] = ()
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def outcome(self) -> DriftOutcome:
        """Stop where a critical finding fails, warning where another one does."""
        failed = {finding.severity for finding in self.failed}
        return DriftOutcome.STOP if "critical" in failed else DriftOutcome.WARNING if failed else DriftOutcome.NONE

    @property
    def failed(self) -> list[DriftFinding]:
        """Findings that do not hold, critical ones first."""
        return sorted((each for each in self.findings if not each.success), key=lambda each: each.severity)

    def as_json(self) -> dict[str, Any]:
        """The content of reports/drift/drift.json."""
        return {
            "since": self.since,
            "commit": self.commit,
            "outcome": self.outcome.value,
            "findings": [asdict(finding) for finding in self.findings],
            "volume": self.volume,
            "notes": list(self.notes),
        }


def moved_most(feature: Feature) -> str:
    """The bin whose share has changed most, in words."""
    change = feature.now - feature.before
    place = int(np.abs(change).argmax())
    return f"{feature.bins[place]}: {100 * feature.before[place]:.1f} % → {100 * feature.now[place]:.1f} %"
