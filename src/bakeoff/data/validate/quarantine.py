"""Which rows of a table may be used, and why the others may not: judged, as JSON and in sentences."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bakeoff.core.errors import visible
from bakeoff.data.engine.engine import BLOCK_ROWS, Engine, Partitioned, loaded, part_name
from bakeoff.data.params import DataParams, ValidationParams
from bakeoff.data.validate.csv_reader import RawTable
from bakeoff.data.validate.gx import ROW, Outcome, Runner
from bakeoff.data.validate.suites import Sizes, TypedTable, check_structure, entities, interactions

RAW, TYPED, JUDGED = "raw ", "typed ", "judged "
"""Columns of a stored table are numbered: SQL may not tell the names of a file apart."""
EXAMPLES = 2
TOP_REASONS = 3
SHOWN_CHARACTERS = 120


@dataclass(frozen=True)
class CheckedTable:
    """The rows of a table, valid or in quarantine.

    Attributes:
        num_rows: rows of the file.
        valid: rows that passed.
        quarantined: rows that did not, and `reason`, several joined by "; ".
        valid_columns: columns of the file of valid rows: name → the column of `valid`; of interactions also `row`, the
            line of the raw file.
        quarantine_columns: likewise of quarantine: raw columns as string, then `reason` and `row`, the line of the raw
            file.
        reason_of: the reasons by row.
        outcomes: of every check, structure first.
    """

    num_rows: int
    valid: Partitioned
    quarantined: Partitioned
    valid_columns: dict[str, str]
    quarantine_columns: dict[str, str]
    reason_of: pd.Series
    outcomes: list[Outcome]

    @property
    def num_quarantined(self) -> int:
        """Rows in quarantine."""
        return len(self.reason_of)

    @property
    def share(self) -> float:
        """Share of rows in quarantine, in [0, 1]."""
        return self.num_quarantined / self.num_rows

    @property
    def reasons(self) -> dict[str, int]:
        """Rows per reason, most frequent first."""
        counts = [(each.check.reason, len(each.rows)) for each in self.outcomes if len(each.rows)]
        return dict(sorted(counts, key=lambda pair: -pair[1]))

    def ids(self, column: str) -> ir.Table:
        """One column, known_id: an id of the valid rows."""
        return self.valid.whole.select(known_id=self.valid_columns[column])

    def examples(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """A few rows of quarantine as they are written."""
        quarantined = self.quarantined.whole
        chosen = quarantined.filter(quarantined.row.isin(list(rows))).order_by("row")
        columns = self.quarantine_columns
        table = chosen.select(*columns.values()).to_pyarrow().rename_columns(list(columns))
        return list(table.to_pylist())


def judge_tables(
    blocks: Mapping[str, Iterator[RawTable]], data: DataParams, validation: ValidationParams, engine: Engine
) -> tuple[Runner, dict[str, CheckedTable]]:
    """Judge all tables, users and items before the events that name them.

    Args:
        blocks: of each table, at least one.
        data: which columns are features.
        validation: what an event must look like.
        engine: holds the rows.

    Raises:
        BakeoffError: a table can't be used at all.
    """
    firsts = {name: next(of_table) for name, of_table in blocks.items()}
    structure = {name: check_structure(name, first, data) for name, first in firsts.items()}
    sizes: dict[str, Sizes] = {"users": {}, "items": {}}
    type_blocks: dict[str, Callable[[RawTable], TypedTable]] = {
        "users": lambda raw: entities(raw, "user_id", data.user_features, sizes["users"]),
        "items": lambda raw: entities(raw, "item_id", data.item_features, sizes["items"]),
        "interactions": lambda raw: interactions(raw, validation),
    }
    runner, verdicts, known = Runner(engine.is_spark), dict[str, CheckedTable](), dict[str, ir.Table]()
    for name, type_block in type_blocks.items():
        whole = chain([firsts.pop(name)], blocks[name])
        verdicts[name] = judge(runner, engine, name, whole, type_block, known, structure[name])
        if name != "interactions":
            known[f"{name[:-1]}_id"] = verdicts[name].ids(f"{name[:-1]}_id")
    return runner, {name: verdicts[name] for name in blocks}


def judge(
    runner: Runner,
    engine: Engine,
    name: str,
    blocks: Iterable[RawTable],
    type_block: Callable[[RawTable], TypedTable],
    known: Mapping[str, ir.Table],
    structure: Sequence[Outcome] = (),
) -> CheckedTable:
    """Sort the rows of a table into valid ones and quarantine.

    Of rows that agree, only those are compared that pass all other checks, so that a broken row never takes a sound
    copy of itself along. What comes to this process are the numbers of bad rows.

    Args:
        runner: keeps the run.
        engine: holds the rows and compares them.
        name: of the table, unique within runner and engine.
        blocks: the file, at least one block.
        type_block: types a block.
        known: known_id of the valid rows of other tables, by the column of this one that names them.
        structure: outcomes of the checks of structure.
    """
    rows, num_rows, raw, last = _stored(engine, name, blocks, type_block)
    judged = _judged(rows.whole, last.judged.column_names, last.known, known)
    outcomes = runner.judge(name, [*last.checks, last.unique], engine.groups(judged, ROW, last.key))
    outcomes[-1] = _later_copies(engine, f"{name}-copies", judged, last.key, outcomes)
    named = [pd.Series(outcome.check.reason, outcome.rows, dtype=object) for outcome in outcomes]
    reasons = pd.concat(named).groupby(level=0).agg("; ".join)
    table = pa.table({"row": pa.array(reasons.index), "reason": pa.array(reasons.tolist(), pa.string())})
    out = loaded(engine, f"{name}-reasons", table)
    valid = rows.map(lambda piece: piece.anti_join(out, "row"))
    quarantined = rows.map(lambda piece: piece.inner_join(out, "row"))
    typed_columns = _numbered(TYPED, last.typed.column_names)
    if name == "interactions":
        typed_columns |= {ROW: "line"}  # by which a split can order events of the same time
    raw_columns = _numbered(RAW, _without_ours(raw)) | {"reason": "reason", "row": "line"}
    found = [*structure, *outcomes]
    return CheckedTable(num_rows, valid, quarantined, typed_columns, raw_columns, reasons, found)


def _stored(
    engine: Engine, name: str, blocks: Iterable[RawTable], type_block: Callable[[RawTable], TypedTable]
) -> tuple[Partitioned, int, list[str], TypedTable]:
    """A table typed block by block in the engine's scratch, its rows, the names of its columns, and its last block.

    Its columns are row (int64, from 0, the file's order), line (int64, on which the row starts), then by number the
    columns of the file, the typed ones and those that the suite looks at.
    """
    folder = engine.scratch / f"{name}.parquet"
    folder.mkdir()
    num_rows = 0
    for number, raw in enumerate(blocks):
        block = type_block(raw)
        rows = num_rows + np.arange(len(raw), dtype=np.int64)
        columns = {"row": pa.array(rows), "line": pa.array(raw.lines)}
        for prefix, table in ((RAW, raw.columns), (TYPED, block.typed), (JUDGED, block.judged)):
            columns |= {f"{prefix}{place}": column for place, column in enumerate(table.columns)}
        pq.write_table(pa.table(columns), folder / part_name(number), row_group_size=BLOCK_ROWS)
        num_rows += len(raw)
    return engine.parts(folder), num_rows, raw.names, block


def _numbered(prefix: str, names: Iterable[str]) -> dict[str, str]:
    """Name → the column that holds it in a stored table."""
    return {name: f"{prefix}{place}" for place, name in enumerate(names)}


def _judged(rows: ir.Table, names: list[str], added: Mapping[str, str], known: Mapping[str, ir.Table]) -> ir.Table:
    judged = rows.select("row", **_numbered(JUDGED, names))
    for column, unknown in added.items():
        others = known[column]
        joined = judged.left_join(others, judged[column] == others.known_id)
        stranger = ibis.ifelse(joined.known_id.isnull(), joined[column], ibis.null())
        judged = joined.select(*judged.columns, **{unknown: stranger})
    return judged


def _later_copies(engine: Engine, name: str, judged: ir.Table, key: list[str], outcomes: Sequence[Outcome]) -> Outcome:
    """The last outcome without broken rows and the first sound copy; GX names every copy."""
    *others, unique = outcomes
    rows = np.setdiff1d(unique.rows, np.concatenate([outcome.rows for outcome in others]))
    if len(rows):
        named = judged.semi_join(loaded(engine, name, pa.table({"row": rows})), "row")
        place = ibis.row_number().over(ibis.window(group_by=key, order_by="row"))
        later = named.select("row", place=place).filter(ibis._.place > 0).select("row").to_pyarrow()["row"]
        rows = np.sort(later.to_numpy().astype(np.int64))
    return Outcome(unique.check, not len(rows), rows)


def _without_ours(raw: list[str]) -> list[str]:
    """Names of the columns of a file, changed where they would be `reason` or `row`."""
    taken = {*raw, "reason", "row"}
    names = list(raw)
    for place, name in enumerate(names):
        while names[place] in {"reason", "row"} or (names[place] != name and names[place] in taken):
            names[place] += "_in_file"
    return names


def as_json(verdicts: Mapping[str, CheckedTable], max_share: float) -> dict[str, Any]:
    """The content of validation.json: the same for the same input, of plain values.

    Args:
        verdicts: of each table, by name.
        max_share: largest share of a table's rows that may be in quarantine.
    """
    return {
        "success": not excesses(verdicts, max_share),
        "tables": {name: _table(verdict) for name, verdict in verdicts.items()},
        "messages": [_sentence(name, verdict, max_share) for name, verdict in verdicts.items()],
    }


def excesses(verdicts: Mapping[str, CheckedTable], max_share: float) -> list[str]:
    """A paragraph per table with more than `max_share` in quarantine: share, top reasons, examples."""
    return [
        _sentence(name, verdict, max_share) + "".join(_reason_lines(verdict))
        for name, verdict in verdicts.items()
        if verdict.share > max_share
    ]


def _table(verdict: CheckedTable) -> dict[str, Any]:
    return {
        "rows": verdict.num_rows,
        "valid": verdict.num_rows - verdict.num_quarantined,
        "quarantined": verdict.num_quarantined,
        "share": verdict.share,
        "reasons": verdict.reasons,
        "expectations": [
            {
                "expectation": outcome.check.sentence,
                "severity": outcome.check.severity,
                "success": outcome.success,
                "unexpected": len(outcome.rows),
            }
            for outcome in verdict.outcomes
        ],
    }


def _sentence(name: str, verdict: CheckedTable, max_share: float) -> str:
    rows, bad = verdict.num_rows, verdict.num_quarantined
    if not bad:
        return f"{name}: all {rows:,} rows are valid."
    text = f"{name}: {bad:,} of {rows:,} rows ({verdict.share:.2%}) went to quarantine"
    return text + (f", more than {max_share:.2%}." if verdict.share > max_share else ".")


def _reason_lines(verdict: CheckedTable) -> list[str]:
    reasons = verdict.reason_of
    lines = []
    for reason, count in list(verdict.reasons.items())[:TOP_REASONS]:
        lines.append(f"\n  {count:,} × {reason}, such as")
        of_reason = reasons.index[reasons.str.contains(reason, regex=False)][:EXAMPLES]
        lines += [f"\n    line {_example(row)}" for row in verdict.examples(of_reason.tolist())]
    others = len(verdict.reasons) - TOP_REASONS
    return lines + ([f"\n  and {others} more reasons"] if others > 0 else [])


def _example(row: dict[str, Any]) -> str:
    line = row.pop("row")
    del row["reason"]
    text = visible(", ".join(f"{name}={value}" for name, value in row.items()))
    return f"{line}: {text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + '…'}"
