"""New data compared with a reference: the figures, and what Great Expectations says of each."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Literal

import pandas as pd

from bakeoff.data.params import DataParams
from bakeoff.ops.drift.distributions import TABLES, Feature, Snapshot, features
from bakeoff.ops.params import DriftParams
from bakeoff.report import formats

RECENT_DAYS = 28
"""Newest days of the reference with which the new ones are compared."""
DIGITS = 6
"""Of figures in files."""

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
        column: of that table; None for a number of rows or events.
        expectation: `subject: what is expected of it`.
        severity: `critical` stops the run, `warning` does not.
        success: whether it holds.
        value: what was found: a ratio of rows, or a divergence in nats.
        limit: the smallest or largest value for which it holds.
        detail: what has moved most, in words.
    """

    table: str
    column: str | None
    expectation: str
    severity: Severity
    success: bool
    value: float
    limit: float
    detail: str = ""

    @property
    def subject(self) -> str:
        """What is compared."""
        return self.expectation.partition(":")[0]


@dataclass(frozen=True)
class Drift:
    """New data compared with a reference.

    Attributes:
        since: the revision that is the reference, as people call it.
        commit: its abbreviated hash.
        findings: of the volume, then of each feature.
        features: each with its finding.
        notes: sentences on what could not be compared.
    """

    since: str
    commit: str
    findings: Sequence[DriftFinding]
    features: Sequence[tuple[Feature, DriftFinding]] = ()
    notes: Sequence[str] = ()

    @property
    def label(self) -> str:
        """The reference for people: `mf#prod#2 (1a2b3c4)`; a hash that was typed as such is not repeated."""
        return self.since if self.since.startswith(self.commit) else f"{self.since} ({self.commit})"

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
        values = asdict(self)
        del values["features"]
        return values | {"outcome": self.outcome.value}


Bound = Literal["min_value", "max_value"]
_Figure = tuple[DriftFinding, Bound]
"""A finding that is not judged yet, and whether its limit is the smallest or the largest value."""


def judge(before: Snapshot, now: Snapshot, data: DataParams, limits: DriftParams, since: str, commit: str) -> Drift:
    """Compare volume and features of two versions.

    Args:
        before: the reference: the data of the version in production.
        now: the new data.
        data: which columns are features.
        limits: how far they may differ.
        since: name of the reference.
        commit: its abbreviated hash.

    Raises:
        RuntimeError: Great Expectations could not check a figure.
    """
    figures: list[_Figure] = []
    checks: Sequence[tuple[Severity, str, float, Bound]] = (
        ("critical", "at least", limits.min_volume, "min_value"),
        ("warning", "at most", limits.max_volume, "max_value"),
    )
    for name in TABLES:
        old, new = before.num_rows(name), now.num_rows(name)
        ratio, detail = new / max(old, 1), f"{old:,} → {new:,}"
        for severity, words, limit, bound in checks:
            sentence = f"{name.capitalize()}: {words} {limit:g} times as many as before"
            figures.append((DriftFinding(name, None, sentence, severity, True, ratio, limit, detail), bound))
    figures += _days(before, now, limits)
    found, notes = features(before, now, data, limits.bins)
    figures += [_of_feature(feature, limits) for feature in found]
    findings = _judged(figures)
    of_features = findings[len(findings) - len(found) :]
    return Drift(since, commit, findings, list(zip(found, of_features, strict=True)), notes)


def _days(before: Snapshot, now: Snapshot, limits: DriftParams) -> list[_Figure]:
    """Events of whole days after the reference compared with its newest ones; nothing where there are no such days."""
    old, new = before.days, now.days
    if old.empty or new.empty:
        return []
    last = int(old.index.max())
    # The last day of either side may not be over yet.
    fresh = new.reindex(range(last + 1, int(new.index.max())), fill_value=0)
    median = float(old.reindex(range(last - RECENT_DAYS, last), fill_value=0).median())
    if fresh.empty or not median:
        return []
    found = float(fresh.median())
    bound: Bound = "min_value" if found < median else "max_value"
    limit = limits.min_volume if found < median else limits.max_volume
    sentence = f"Events per new day: {limits.min_volume:g} to {limits.max_volume:g} times as many as before"
    detail = f"median of {len(fresh):,} new days {found:,g}, of the {RECENT_DAYS} days before {median:,g}"
    finding = DriftFinding("interactions", None, sentence, "warning", True, found / median, limit, detail)
    return [(finding, bound)]


def _of_feature(feature: Feature, limits: DriftParams) -> _Figure:
    sentence = f"{formats.sentence(feature.label)}: distributed as before"
    limit = round(limits.max_divergence + feature.chance, DIGITS)  # few rows differ by chance alone
    value, detail = feature.divergence, feature.moved_most
    return DriftFinding(feature.table, feature.column, sentence, "warning", True, value, limit, detail), "max_value"


def _judged(figures: Sequence[_Figure]) -> list[DriftFinding]:
    """The findings, judged by Great Expectations as one row with a column per figure."""
    from bakeoff.data.validate.gx import Runner, gxe  # takes seconds to load

    expectations = [
        gxe.ExpectColumnValuesToBeBetween(
            column=str(number), description=finding.expectation, severity=finding.severity, **{bound: finding.limit}
        )
        for number, (finding, bound) in enumerate(figures)
    ]
    row = pd.DataFrame([[finding.value for finding, _ in figures]]).rename(columns=str)
    judged = []
    for (finding, _), result in zip(figures, Runner().run("drift", expectations, row), strict=True):
        if result.result.get("missing_count") != 0:  # what was not checked must not pass as success
            raise RuntimeError(f"Great Expectations could not check {finding.expectation!r}: {result.exception_info}")
        judged.append(replace(finding, success=bool(result.success), value=round(finding.value, DIGITS)))
    return judged
