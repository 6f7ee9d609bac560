"""The three raw tables: their suites, and what becomes of each column."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from bakeoff.core.sanitize import visible
from bakeoff.data.params import DataParams, ValidationParams
from bakeoff.data.validate import checks
from bakeoff.data.validate.checks import Check
from bakeoff.data.validate.parse import integers, numbers, texts, unreadable
from bakeoff.data.validate.reader import RawTable

SPLIT_LABELS = ("train", "valid", "test")
NUMBER = "a number"
INTEGER = "a whole number of seconds"
EVENT_COLUMNS = ("timestamp", "rating", "split")
"""Optional columns of interactions that have a meaning."""


@dataclass(frozen=True)
class Subject:
    """Rows of a table, ready to be judged. What the rows of other tables or blocks must say is not here.

    Attributes:
        typed: [n] rows, the columns as they are handed on; null where missing or unreadable.
        facts: [n] rows, what the checks look at: ids (null where blank), numbers (null where unreadable), and
            the offending values of columns that cannot be judged by themselves (null where all is well).
        known: facts that come from another table: `unknown user_id` is the user_id (of `facts`) that no valid row of
            it has; by the name of the fact the column.
        checks: what must hold for each row by itself.
        unique: no two rows that pass these checks are the same; the first one is kept.
        unique_columns: what makes two rows the same.
    """

    typed: pa.Table
    facts: pa.Table
    known: dict[str, str]
    checks: list[Check]
    unique: Check
    unique_columns: list[str]


def structure(raw: RawTable, required: Mapping[str, str]) -> tuple[list[Check], pd.DataFrame]:
    """The checks without which nothing can go on, and the frame to check.

    Args:
        raw: the file.
        required: columns that it must have, each with what to do where it is missing.
    """
    present = visible(", ".join(raw.names))
    suite = [
        checks.column_exists(name, f"{raw.file} has no column `{name}` (it has {present}): {remedy}")
        for name, remedy in required.items()
    ]
    suite.append(checks.table_has_rows(f"{raw.file} has a header but no rows: fetch the data again."))
    # Whether there are rows and columns shows in the first row.
    return suite, raw.columns.slice(0, 1).to_pandas()


def required_columns(table: str, data: DataParams) -> dict[str, str]:
    """Columns that a raw table must have, each with what to do where it is missing."""
    own = "rename the column, or name yours under `data.columns` in params.yaml and fetch the data again."
    if table == "interactions":
        return {"user_id": own, "item_id": own}
    ids = {"users": ["user_id"], "items": ["item_id", "title"]}[table]
    key = {"users": "user_features", "items": "item_features"}[table]
    remedy = f"add it, or take it out of `data.{key}` in params.yaml."
    return dict.fromkeys(ids, own) | dict.fromkeys(getattr(data, key), remedy)


def entities(raw: RawTable, id_column: str, features: Mapping[str, str]) -> Subject:
    """Users or items: one row each. A row with a dense feature that is no number goes to quarantine, whole.

    Args:
        raw: the file; has the id and all feature columns.
        id_column: `user_id` or `item_id`.
        features: kind of each feature; dense ones become float64, all others stay text.
    """
    typed: dict[str, pa.ChunkedArray] = {}
    facts = {id_column: texts(raw.columns[id_column])}
    suite = [checks.id_is_given(id_column), checks.id_is_short(id_column)]
    for name in raw.names:
        values = raw.columns[name]
        if name == id_column:
            typed[name] = values
        elif features.get(name) == "dense":
            typed[name] = numbers(values)
            fact = _fact_name(name, facts)
            facts[fact] = unreadable(values, typed[name], may_be_missing=True)
            suite.append(checks.is_readable(name, fact, NUMBER))
        else:
            typed[name] = texts(values)
    unique = checks.rows_are_unique(
        [id_column], f"No {id_column} occurs twice", f"{id_column} occurred before (the first row is kept)"
    )
    return Subject(pa.table(typed), pa.table(facts), {}, suite, unique, [id_column])


def _fact_name(feature: str, taken: Mapping[str, object]) -> str:
    """A name that SQL and Spark take: dots would be paths, and capitals make no difference."""
    name = f"unreadable {feature.replace('.', ' ').replace('`', ' ')}"
    while name.lower() in {other.lower() for other in taken}:
        name += "_"
    return name


def interactions(raw: RawTable, params: ValidationParams) -> Subject:
    """Events. Without a timestamp column all are at second 0, and a pair of user and item may occur once.

    Args:
        raw: the file; has user_id and item_id.
        params: scale of ratings and span of timestamps.
    """
    typed: dict[str, pa.ChunkedArray] = {}
    frame: dict[str, pa.ChunkedArray] = {}
    suite: list[Check] = []
    for column, table in (("user_id", "users"), ("item_id", "items")):
        typed[column] = raw.columns[column]
        frame[column] = texts(raw.columns[column])
        suite += [
            checks.id_is_given(column),
            checks.id_is_short(column),
            checks.id_is_known(column, f"unknown {column}", table),
        ]
    typed["timestamp"] = pa.chunked_array([pa.repeat(pa.scalar(0, pa.int64()), len(raw))])
    for name in raw.names:
        if name in EVENT_COLUMNS:
            suite += _event_column(name, raw.columns[name], params, typed, frame)
        elif name not in typed:
            typed[name] = texts(raw.columns[name])
    key = ["user_id", "item_id", "timestamp"]
    unique = checks.rows_are_unique(
        key,
        "No two events share user, item and timestamp",
        "same user, item and timestamp as an event before (the first one is kept)",
    )
    known = {f"unknown {column}": column for column in ("user_id", "item_id")}
    return Subject(pa.table(typed), pa.table(frame), known, suite, unique, key)


def _event_column(
    name: str,
    values: pa.ChunkedArray,
    params: ValidationParams,
    typed: dict[str, pa.ChunkedArray],
    frame: dict[str, pa.ChunkedArray],
) -> list[Check]:
    """Checks of one of EVENT_COLUMNS; its typed form goes to `typed`, what the checks look at to `frame`."""
    if name == "split":
        typed[name] = frame[name] = values
        return [checks.split_is_named(SPLIT_LABELS)]
    typed[name] = frame[name] = integers(values) if name == "timestamp" else numbers(values)
    frame[f"unreadable {name}"] = unreadable(values, typed[name], may_be_missing=False)
    readable = checks.is_readable(name, f"unreadable {name}", INTEGER if name == "timestamp" else NUMBER)
    if name == "timestamp":
        return [readable, checks.timestamp_is_possible(params)]
    scaled = params.rating_min is not None or params.rating_max is not None
    return [readable, *([checks.rating_is_on_scale(params)] if scaled else [])]
