"""New data against a reference, judged by Great Expectations."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.data.params import DataParams
from bakeoff.data.validate.gx import Runner, gxe
from bakeoff.ops.drift.distributions import Feature, features
from bakeoff.ops.drift.findings import Drift, DriftFinding, Severity, moved_most
from bakeoff.ops.drift.snapshot import TABLES, Snapshot
from bakeoff.ops.params import DriftParams

RECENT_DAYS = 28
"""Newest days of the reference, beside which the new ones are set."""
DIGITS = 6
"""Of figures in files."""
_TINY = 1e-9


@dataclass(frozen=True)
class _Expected:
    """An expectation before it is judged; what it observes is divided by `unit`, so that it is a share."""

    finding: DriftFinding
    expectation: Any
    unit: float = 1.0


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
        RuntimeError: Great Expectations could not compute an expectation.
    """
    runner = Runner()
    volume: dict[str, Any] = {}
    findings: list[DriftFinding] = []
    for name in TABLES:
        rows = before.num_rows(name), now.num_rows(name)
        volume[name] = {"before": rows[0], "now": rows[1], "ratio": round(rows[1] / max(rows[0], 1), DIGITS)}
        # What is counted are rows, whatever they hold.
        findings += _run(runner, name, _of_rows(name, *rows, limits), pd.DataFrame(index=pd.RangeIndex(rows[1])))
    volume["days"], expected, frame = _of_days(before, now, limits)
    findings += _run(runner, "days", expected, frame)
    found, notes = features(before, now, data, limits.bins)
    judged = []
    for number, feature in enumerate(found):
        # A byte for each value: Great Expectations counts them itself.
        column = pd.DataFrame({feature.label: np.repeat(np.arange(len(feature.bins), dtype=np.int8), feature.times)})
        judged.append((feature, _run(runner, f"feature {number}", [_of_feature(feature, limits)], column)[0]))
    return Drift(since, commit, [*findings, *(finding for _, finding in judged)], volume, judged, notes)


def _of_rows(name: str, before: int, now: int, limits: DriftParams) -> list[_Expected]:
    low = math.ceil(limits.min_volume * before - _TINY)
    high = math.floor(limits.max_volume * before + _TINY)
    at_least = f"{name.capitalize()}: at least {limits.min_volume:g} times as many as before"
    at_most = f"{name.capitalize()}: at most {limits.max_volume:g} times as many as before"
    kind, unit, detail = gxe.ExpectTableRowCountToBeBetween, max(before, 1), f"{before:,} → {now:,}"
    return [
        _expected(kind, (name, None), at_least, "critical", limits.min_volume, detail, unit, min_value=low),
        _expected(kind, (name, None), at_most, "warning", limits.max_volume, detail, unit, max_value=high),
    ]


def _of_days(
    before: Snapshot, now: Snapshot, limits: DriftParams
) -> tuple[dict[str, Any] | None, list[_Expected], pd.DataFrame]:
    """Events of whole days after the reference beside its newest ones; nothing where there are no such days."""
    old, new = before.days, now.days
    nothing: tuple[None, list[_Expected], pd.DataFrame] = (None, [], pd.DataFrame())
    if old.empty or new.empty:
        return nothing
    last = int(old.index.max())
    # The last day of either side may not be over yet.
    fresh = new.reindex(range(last + 1, int(new.index.max())), fill_value=0)
    median = float(old.reindex(range(last - RECENT_DAYS, last), fill_value=0).median())
    if fresh.empty or not median:
        return nothing
    found = float(fresh.median())
    ratio = found / median
    limit = limits.min_volume if ratio < 1 else limits.max_volume
    sentence = f"Events per new day: {limits.min_volume:g} to {limits.max_volume:g} times as many as before"
    detail = f"median of {len(fresh):,} new days {found:,g}, of the {RECENT_DAYS} days before {median:,g}"
    low, high = limits.min_volume * median - _TINY, limits.max_volume * median + _TINY
    expected = _expected(
        gxe.ExpectColumnMedianToBeBetween,
        ("interactions", None),
        sentence,
        "warning",
        limit,
        detail,
        median,
        column="events",
        min_value=low,
        max_value=high,
    )
    figures = {"new_days": len(fresh), "median_before": median, "median_now": found}
    return figures, [expected], pd.DataFrame({"events": fresh.to_numpy()})


def _of_feature(feature: Feature, limits: DriftParams) -> _Expected:
    limit = round(limits.max_divergence + feature.chance, DIGITS)  # few rows differ by chance alone
    return _expected(
        gxe.ExpectColumnKLDivergenceToBeLessThan,
        (feature.table, feature.column),
        f"{feature.label[:1].upper()}{feature.label[1:]}: distributed as before",
        "warning",
        limit,
        moved_most(feature),
        column=feature.label,
        partition_object={"values": list(range(len(feature.bins))), "weights": feature.weights.tolist()},
        threshold=limit,
    )


def _expected(
    kind: Any,
    place: tuple[str, str | None],
    sentence: str,
    severity: Severity,
    limit: float,
    detail: str,
    unit: float = 1.0,
    **settings: Any,
) -> _Expected:
    """`place`: table and column of the finding; `settings` are the expectation's own."""
    finding = DriftFinding(*place, sentence, severity, success=True, value=None, limit=limit, detail=detail)
    return _Expected(finding, kind(description=sentence, severity=severity, **settings), unit)


def _run(runner: Runner, name: str, expected: Sequence[_Expected], frame: pd.DataFrame) -> list[DriftFinding]:
    """Judge a table; the findings in the order of what was expected, with what was observed."""
    if not expected:
        return []
    results = runner.run(name, [each.expectation for each in expected], frame)
    return [_found(each, result) for each, result in zip(expected, results, strict=True)]


def _found(expected: _Expected, result: Any) -> DriftFinding:
    observed = result.result.get("observed_value")
    if observed is None:
        # What did not run must not pass for what held.
        sentence = expected.finding.expectation
        raise RuntimeError(f"Great Expectations could not check {sentence!r}: {result.exception_info}")
    value = round(float(observed) / expected.unit, DIGITS)
    return replace(expected.finding, success=bool(result.success), value=value)
