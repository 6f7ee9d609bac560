"""Which rows of a table may be used, and why the others may not."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.data.engine.engine import Partitioned
from bakeoff.data.validate.checks import Check
from bakeoff.data.validate.gx_runner import Inspector, Outcome
from bakeoff.data.validate.reader import RawTable
from bakeoff.data.validate.tables import structure

RAW, TYPED, FACT = "raw ", "typed ", "fact "
"""Columns of a stored table are numbered: SQL may not tell the names of a file apart."""


class Hands(Protocol):
    """How an engine hands rows to Great Expectations, see `stages.engine.Engine`."""

    def frames(self, table: ir.Table, key: str) -> Iterator[Any]:
        """All rows."""

    def groups(self, table: ir.Table, key: str, columns: Sequence[str]) -> Iterator[Any]:
        """All rows, those that agree in the columns together."""


@dataclass(frozen=True)
class Stored:
    """A table with all that is known of each row by itself, where the engine reads it.

    Attributes:
        file: how messages call it.
        rows: row (int64, from 0, the file's order), line (int64, on which the row starts), then by number the columns
            of the file as they are, of the table as it is handed on, and what the checks look at; pieces in the order
            of the file.
        num_rows: how many rows.
        raw: names of the columns of the file.
        typed: names of the columns that are handed on.
        facts: names of what the checks look at.
        known: see `Subject`; likewise the others.
    """

    file: str
    rows: Partitioned
    num_rows: int
    raw: list[str]
    typed: list[str]
    facts: list[str]
    known: dict[str, str]
    checks: list[Check]
    unique: Check
    unique_columns: list[str]


@dataclass(frozen=True)
class CheckedTable:
    """What became of a table.

    Attributes:
        stored: the table.
        valid: rows of it that passed.
        quarantined: rows of it that did not, and `reason`, several joined by "; ".
        reason_of: the reasons by row.
        outcomes: of every check, structure first.
        reasons: rows per reason, most frequent first.
    """

    stored: Stored
    valid: Partitioned
    quarantined: Partitioned
    reason_of: pd.Series
    outcomes: list[Outcome]
    reasons: dict[str, int]

    @property
    def num_rows(self) -> int:
        """Rows of the file."""
        return self.stored.num_rows

    @property
    def num_quarantined(self) -> int:
        """Rows in quarantine."""
        return len(self.reason_of)

    @property
    def share(self) -> float:
        """Share of rows in quarantine, in [0, 1]."""
        return self.num_quarantined / self.num_rows

    @property
    def valid_columns(self) -> dict[str, str]:
        """Columns of the file of valid rows, by name the column of `valid`."""
        return {name: f"{TYPED}{place}" for place, name in enumerate(self.stored.typed)}

    @property
    def quarantine_columns(self) -> dict[str, str]:
        """Likewise of quarantine: raw columns as string, then `reason` and `row`, the line of the raw file."""
        names = _beside_ours(self.stored.raw)
        raw = {name: f"{RAW}{place}" for place, name in enumerate(names)}
        return raw | {"reason": "reason", "row": "line"}

    def ids(self, column: str) -> ir.Table:
        """One column, known_id: an id of the valid rows."""
        return self.valid.whole.select(known_id=self.valid_columns[column])

    def examples(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """A few rows of quarantine as they are written."""
        quarantined = self.quarantined.whole
        taken = quarantined.filter(quarantined.row.isin(list(rows))).order_by("row")
        columns = self.quarantine_columns
        table = taken.select(*columns.values()).to_pyarrow().rename_columns(list(columns))
        lines: list[dict[str, Any]] = table.to_pylist()
        return lines


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


def judge(
    inspector: Inspector,
    name: str,
    stored: Stored,
    structural: list[Outcome],
    hands: Hands,
    load: Callable[[str, pa.Table], ir.Table],
    known: Mapping[str, ir.Table],
) -> CheckedTable:
    """Sort the rows of a table into valid ones and quarantine.

    Rows are compared with each other only after those that fail by themselves are out, so that a broken row
    never takes a sound copy of itself along. What comes to this process are the numbers of bad rows.

    Args:
        inspector: keeps the runs.
        name: of the table, unique within the inspector.
        stored: the table.
        structural: outcomes of the checks of structure.
        hands: how rows come to Great Expectations.
        load: makes a small table one of the engine, under a name.
        known: known_id of the valid rows of other tables, by the column of this one that names them.
    """
    facts = _facts(stored, known)
    outcomes = inspector.judge(f"{name}-rows", stored.checks, hands.frames(facts, "row"))
    rejected = load(f"{name}-rejected", _numbers(outcomes))
    sound = stored.rows.whole.anti_join(rejected, "row")
    outcomes.append(_copies(inspector, name, stored, sound, hands, load))
    bad = np.unique(np.concatenate([outcome.rows for outcome in outcomes]))
    reasons = _reasons(outcomes, bad)
    table = pa.table({"row": pa.array(bad), "reason": pa.array(reasons.tolist(), pa.string())})
    out = load(f"{name}-reasons", table)
    valid = stored.rows.map(lambda rows: rows.anti_join(out, "row"))
    quarantined = stored.rows.map(lambda rows: rows.inner_join(out, "row"))
    return CheckedTable(stored, valid, quarantined, reasons, structural + outcomes, _counts(outcomes))


def _facts(stored: Stored, known: Mapping[str, ir.Table]) -> ir.Table:
    facts = stored.rows.whole.select("row", **{name: f"{FACT}{place}" for place, name in enumerate(stored.facts)})
    for fact, column in stored.known.items():
        others = known[column]
        joined = facts.left_join(others, facts[column] == others.known_id)
        unknown = ibis.ifelse(joined.known_id.isnull(), joined[column], ibis.null())
        facts = joined.select(*facts.columns, **{fact: unknown})
    return facts


def _copies(
    inspector: Inspector,
    name: str,
    stored: Stored,
    sound: ir.Table,
    hands: Hands,
    load: Callable[[str, pa.Table], ir.Table],
) -> Outcome:
    columns = {column: f"{TYPED}{stored.typed.index(column)}" for column in stored.unique_columns}
    keys = sound.select("row", **columns)
    groups = hands.groups(keys, "row", stored.unique_columns)
    (outcome,) = inspector.judge(f"{name}-uniqueness", [stored.unique], groups)
    if not len(outcome.rows):
        return outcome
    named = keys.semi_join(load(f"{name}-copies", _numbers([outcome])), "row")
    place = ibis.row_number().over(ibis.window(group_by=stored.unique_columns, order_by="row"))
    again = named.mutate(place=place).filter(ibis._.place > 0).select("row").to_pyarrow()["row"]
    return Outcome(outcome.check, outcome.success, np.sort(again.to_numpy().astype(np.int64)))


def _numbers(outcomes: list[Outcome]) -> pa.Table:
    return pa.table({"row": pa.array(np.unique(np.concatenate([outcome.rows for outcome in outcomes])))})


def _reasons(outcomes: list[Outcome], bad: NDArray[np.int64]) -> pd.Series:
    reasons = pd.Series("", index=bad, dtype="str")
    for outcome in outcomes:
        before = reasons.loc[outcome.rows]
        reasons.loc[outcome.rows] = before.where(before == "", before + "; ") + outcome.check.reason
    return reasons


def _beside_ours(raw: list[str]) -> list[str]:
    """Names of the columns of a file beside `reason` and `row`."""
    taken = {*raw, "reason", "row"}
    names = list(raw)
    for place, name in enumerate(names):
        while names[place] in {"reason", "row"} or (names[place] != name and names[place] in taken):
            names[place] += "_in_file"
    return names


def _counts(outcomes: list[Outcome]) -> dict[str, int]:
    counts = [(o.check.reason, len(o.rows)) for o in outcomes if len(o.rows)]
    return dict(sorted(counts, key=lambda pair: -pair[1]))
