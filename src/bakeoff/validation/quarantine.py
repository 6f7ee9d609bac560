"""Which rows of a table may be used, and why the others may not."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.errors import BakeoffError
from bakeoff.validation.inspector import Inspector, Outcome
from bakeoff.validation.reader import RawTable
from bakeoff.validation.tables import Subject, structure


@dataclass(frozen=True)
class Verdict:
    """What became of a table.

    Attributes:
        raw: the file, [n] rows.
        valid: typed rows that passed, in the file's order.
        quarantined: the rows that did not, in the file's order: raw columns as string, then `reason` (several
            joined by "; ") and `row`, the line of the file on which the row starts.
        outcomes: of every check, structure first.
        reasons: rows per reason, most frequent first.
    """

    raw: RawTable
    valid: pa.Table
    quarantined: pa.Table
    outcomes: list[Outcome]
    reasons: dict[str, int]

    @property
    def share(self) -> float:
        """Share of rows in quarantine, in [0, 1]."""
        return len(self.quarantined) / len(self.raw)


def require_structure(inspector: Inspector, name: str, raw: RawTable, required: Mapping[str, str]) -> list[Outcome]:
    """Check that the table has the required columns and at least one row.

    Raises:
        BakeoffError: it has not; says what is missing and what to do.
    """
    suite, frame = structure(raw, required)
    outcomes = inspector.run(f"{name}-structure", suite, frame)
    failures = [outcome.check.reason for outcome in outcomes if not outcome.success]
    if failures:
        raise BakeoffError("\n".join(failures))
    return outcomes


def judge(inspector: Inspector, name: str, subject: Subject, structural: list[Outcome]) -> Verdict:
    """Sort the rows of a table into valid ones and quarantine.

    Rows are compared with each other only after those that fail by themselves are out, so that a broken row
    never takes a sound copy of itself along.
    """
    outcomes = inspector.run(f"{name}-rows", subject.checks, subject.frame)
    passed = np.ones(len(subject.raw), np.bool_)
    for outcome in outcomes:
        passed[outcome.rows] = False
    copies = _copies(inspector, name, subject, passed)
    passed[copies.rows] = False
    outcomes.append(copies)
    bad = np.flatnonzero(~passed)
    return Verdict(
        subject.raw,
        subject.typed.filter(pa.array(passed)),
        _quarantined(subject.raw, bad, _reasons(outcomes, bad)),
        structural + outcomes,
        _counts(outcomes),
    )


def _copies(inspector: Inspector, name: str, subject: Subject, passed: NDArray[np.bool_]) -> Outcome:
    key = subject.typed.select(subject.unique_columns).filter(pa.array(passed)).to_pandas()
    key.index = pd.Index(np.flatnonzero(passed))
    (outcome,) = inspector.run(f"{name}-uniqueness", [subject.unique], key)
    again = key.loc[outcome.rows].duplicated(keep="first").to_numpy()
    return Outcome(outcome.check, outcome.success, outcome.rows[again])


def _reasons(outcomes: list[Outcome], bad: NDArray[np.int64]) -> pd.Series:
    reasons = pd.Series("", index=bad, dtype="str")
    for outcome in outcomes:
        before = reasons.loc[outcome.rows]
        reasons.loc[outcome.rows] = before.where(before == "", before + "; ") + outcome.check.reason
    return reasons


def _quarantined(raw: RawTable, bad: NDArray[np.int64], reasons: pd.Series) -> pa.Table:
    taken = raw.columns.take(pa.array(bad))
    taken_names = {*raw.names, "reason", "row"}
    names = list(raw.names)
    for place, name in enumerate(names):
        while names[place] in {"reason", "row"} or (names[place] != name and names[place] in taken_names):
            names[place] += "_in_file"
    return (
        taken.rename_columns(names)
        .append_column("reason", pa.array(reasons.tolist(), pa.string()))
        .append_column("row", pa.array(raw.lines[bad], pa.int64()))
    )


def _counts(outcomes: list[Outcome]) -> dict[str, int]:
    counts = [(o.check.reason, len(o.rows)) for o in outcomes if len(o.rows)]
    return dict(sorted(counts, key=lambda pair: -pair[1]))
