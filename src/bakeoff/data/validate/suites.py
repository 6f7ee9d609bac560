"""The suites of the three raw tables: how columns are typed, and what is expected of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bakeoff.core.errors import BakeoffError, visible
from bakeoff.data.features.encoding import TAG_SEPARATOR
from bakeoff.data.params import MAX_WEIGHT, PARTS, DataParams, ValidationParams
from bakeoff.data.validate.csv_reader import RawTable
from bakeoff.data.validate.gx import Check, Outcome, check, gxe

MAX_ID_LENGTH = 256
"""Longest id in characters; what is longer is a broken row rather than an id."""
MIN_WEIGHT = 1e-6
"""Lowest weight of an event."""
MAX_COMPONENTS = 4096
"""Longest vector of a feature."""
# At most two digits of exponent: whatever matches is finite as a float64.
NUMBER = r"^-?([0-9]{1,100}(\.[0-9]{0,100})?|\.[0-9]{1,100})([eE][+-]?[0-9]{1,2})?$"
# 18 digits: whatever matches fits an int64.
INTEGER = r"^-?[0-9]{1,18}$"

_is_given = partial(check, gxe.ExpectColumnValuesToNotBeNull)
_is_missing = partial(check, gxe.ExpectColumnValuesToBeNull)
_is_between = partial(check, gxe.ExpectColumnValuesToBeBetween)

Parse = Callable[[pa.ChunkedArray], pa.ChunkedArray]
"""Texts → values; null where there is none."""

Sizes = dict[str, tuple[str, int]]
"""Vector feature → an id, and the length of its vector."""


@dataclass(frozen=True)
class TypedTable:
    """Rows of a table, ready to be judged, and the suite of what is expected of them.

    Attributes:
        typed: [n] rows, the columns as they are handed on; null where missing or unreadable.
        judged: [n] rows, the columns that the suite looks at: ids (null where blank), numbers (null where unreadable),
            and for an optional number the texts that are none (else null).
        checks: of each row by itself.
        unique: no two rows that pass these checks agree in the columns `key`; the first one is kept.
        key: columns that identify a row.
        known: column of ids → the column that is added for it, with the ids that no valid row of another table has.
    """

    typed: pa.Table
    judged: pa.Table
    checks: list[Check]
    unique: Check
    key: list[str]
    known: Mapping[str, str]


def check_structure(table: str, raw: RawTable, data: DataParams) -> list[Outcome]:
    """Check that a table has the required columns and at least one row, without which nothing can go on.

    Args:
        table: `interactions`, `users` or `items`.
        raw: its first rows.
        data: which columns are features.

    Raises:
        BakeoffError: it has not; says what is missing and what to do.
    """
    required, present = _required_columns(table, data), visible(", ".join(raw.names))
    faults = [
        f"{raw.file} has no column `{name}` (it has {present}): {remedy}"
        for name, remedy in required.items()
        if name not in raw.names
    ]
    if not len(raw):
        faults.append(f"{raw.file} has a header but no rows: fetch the data again.")
    if faults:
        raise BakeoffError("\n".join(faults))
    sentences = [*(f"There is a column {name}" for name in required), "There are rows"]
    return [Outcome(Check(each, "", "critical", None), True, np.zeros(0, np.int64)) for each in sentences]


def _required_columns(table: str, data: DataParams) -> dict[str, str]:
    """Columns that a raw table must have, each with what to do where it is missing."""
    own = "rename the column, or name yours under `data.columns` in params.yaml and fetch the data again."
    if table == "interactions":
        return {"user_id": own, "item_id": own}
    ids = {"users": ["user_id"], "items": ["item_id", "title"]}[table]
    remedy = f"add it, or take it out of `data.{table[:-1]}_features` in params.yaml."
    return dict.fromkeys(ids, own) | dict.fromkeys(data.features[table], remedy)


def entities(raw: RawTable, id_column: str, features: Mapping[str, str], sizes: Sizes) -> TypedTable:
    """Users or items: one row each.

    A row with a dense feature that is no number, or with a vector of anything but finite numbers, goes to quarantine.

    Args:
        raw: the file; has the id and all feature columns.
        id_column: `user_id` or `item_id`.
        features: kind of each feature; dense ones become float64, vectors list<float32>, all others stay text.
        sizes: of each vector feature that a block before had, an id and the length of its vector; those of this block
            are added.

    Raises:
        BakeoffError: vectors of a feature differ in length, or are longer than MAX_COMPONENTS.
    """
    parse = {"dense": (numbers, "a number"), "vector": (vectors, "a vector of finite numbers joined by |")}
    typed: dict[str, pa.ChunkedArray] = {}
    judged = {id_column: texts(raw.columns[id_column])}
    checks = _id_checks(id_column)
    for name in raw.names:
        values = raw.columns[name]
        typed[name] = values if name == id_column else texts(values)
        if features.get(name) in parse and name != id_column:
            read, what = parse[features[name]]
            typed[name] = read(values)
            # Null is right where the value is missing, so the texts that are no numbers need a column of their own.
            column = _free_name(name, judged)
            judged[column] = pc.if_else(pc.is_valid(typed[name]), pa.scalar(None, pa.string()), texts(values))
            checks.append(_is_missing(*_every(name, what), column=column))
            if features[name] == "vector":
                _check_sizes(raw, name, id_column, typed[name], sizes)
    once = f"No {id_column} occurs twice", f"{id_column} occurred before (the first row is kept)"
    unique = check(gxe.ExpectColumnValuesToBeUnique, *once, column=id_column)
    return TypedTable(pa.table(typed), pa.table(judged), checks, unique, [id_column], {})


def interactions(raw: RawTable, params: ValidationParams) -> TypedTable:
    """Events. Without a timestamp column all are at second 0, and a pair of user and item may occur once of each kind.

    Args:
        raw: the file; has user_id and item_id.
        params: scale of ratings and span of timestamps.
    """
    typed = {name: raw.columns[name] for name in ("user_id", "item_id")}
    judged = {name: texts(values) for name, values in typed.items()}
    known = {name: f"unknown {name}" for name in typed}
    checks = [each for name in typed for each in (*_id_checks(name), _is_known(name, known[name]))]
    typed["timestamp"] = pa.chunked_array([pa.repeat(pa.scalar(0, pa.int64()), len(raw))])
    optional = _optional_columns(params)
    for name in raw.names:
        if name in optional:
            parse, of_column = optional[name]
            typed[name] = judged[name] = parse(raw.columns[name])
            checks += of_column
        elif name not in typed:
            typed[name] = texts(raw.columns[name])
    key: list[str] = [name for name in ("user_id", "item_id", "timestamp", "event") if name in judged]
    shared = "user, item, timestamp and kind" if "event" in judged else "user, item and timestamp"
    once = f"No two events share {shared}", f"same {shared} as an event before (the first one is kept)"
    unique = check(gxe.ExpectCompoundColumnsToBeUnique, *once, column_list=key)
    return TypedTable(pa.table(typed), pa.table(judged), checks, unique, key, known)


def _id_checks(column: str) -> list[Check]:
    given = f"The {column} of every row is given", f"{column} is empty"
    excess = f"longer than {MAX_ID_LENGTH} characters"
    short = f"No {column} is {excess}", f"{column} is {excess}"
    return [
        _is_given(*given, column=column),
        check(gxe.ExpectColumnValueLengthsToBeBetween, *short, column=column, max_value=MAX_ID_LENGTH),
    ]


def _is_known(column: str, unknown: str) -> Check:
    table = f"{column.removesuffix('_id')}s"
    sentence = f"Every {column} is that of a valid row of {table}"
    return _is_missing(sentence, f"{column} is not among the valid {table}", column=unknown)


def _every(column: str, what: str = "a number") -> tuple[str, str]:
    """What must be true of a column, and what is wrong with a row for which it is not."""
    return f"Every {column} is {what}", f"{column} is not {what}"


def _optional_columns(params: ValidationParams) -> dict[str, tuple[Parse, list[Check]]]:
    """Columns that events may have: how each is typed, and what is expected of it."""
    first, last = params.earliest, params.latest
    low, high = (int(datetime.fromisoformat(f"{day}T00:00:00Z").timestamp()) for day in (first, last))
    span = f"Events lie on or after {first} and before {last} (UTC)", f"timestamp is not between {first} and {last}"
    timestamps = [
        _is_given(*_every("timestamp", "a whole number of seconds"), column="timestamp"),
        _is_between(*span, column="timestamp", min_value=low, max_value=high, strict_max=True),
    ]
    ratings = [_is_given(*_every("rating"), column="rating")]
    least, most = params.rating_min, params.rating_max
    if least is not None or most is not None:
        lowest, highest = "-∞" if least is None else f"{least:g}", "∞" if most is None else f"{most:g}"
        scale = f"the scale from {lowest} to {highest}"
        on_scale = f"Ratings are on {scale}", f"rating is off {scale}"
        ratings.append(_is_between(*on_scale, column="rating", min_value=least, max_value=most))
    kinds = [_is_given("The kind (event) of every row is given", "event is empty", column="event")]
    limits = _every("weight", f"a number from {MIN_WEIGHT:f} to {MAX_WEIGHT:,.0f}")
    weights = [
        _is_given(*_every("weight"), column="weight"),
        _is_between(*limits, column="weight", min_value=MIN_WEIGHT, max_value=MAX_WEIGHT),
    ]
    named = _every("split", f"one of {', '.join(PARTS)}")
    parts = [check(gxe.ExpectColumnValuesToBeInSet, *named, column="split", value_set=list(PARTS))]
    return {
        "timestamp": (integers, timestamps),
        "rating": (numbers, ratings),
        "event": (texts, kinds),
        "weight": (numbers, weights),
        "split": (lambda values: values, parts),
    }


def _free_name(feature: str, taken: Mapping[str, object]) -> str:
    """A name that SQL and Spark take: dots would be paths, and capitals make no difference."""
    name = f"unreadable {feature.replace('.', ' ').replace('`', ' ')}"
    while name.lower() in {other.lower() for other in taken}:
        name += "_"
    return name


def texts(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """String [n], exactly as given; null where empty or only white space."""
    is_blank = pc.equal(pc.utf8_trim_whitespace(values), "")
    return pc.if_else(is_blank, pa.scalar(None, pa.string()), values)


def numbers(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """float64 [n], finite; null where a text is no decimal number such as 4, -0.5 or 1e3 (`nan` is none)."""
    return _matching(values, NUMBER).cast(pa.float64())


def vectors(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """list<float32> [n]; null where a text is not finite numbers joined by `|`."""
    lists = pc.split_pattern(texts(values), TAG_SEPARATOR).combine_chunks()
    parts = numbers(pa.chunked_array([lists.flatten()])).cast(pa.float32(), safe=False).combine_chunks()
    is_bad = ~np.isfinite(parts.to_numpy(zero_copy_only=False))  # null is NaN
    bad_rows = np.bincount(pc.list_parent_indices(lists).to_numpy()[is_bad], minlength=len(lists)) > 0
    found = pa.ListArray.from_arrays(lists.offsets, parts, mask=pc.or_(pc.is_null(lists), pa.array(bad_rows)))
    return pa.chunked_array([found])


def _check_sizes(raw: RawTable, name: str, id_column: str, lists: pa.ChunkedArray, sizes: Sizes) -> None:
    lengths = pc.list_value_length(lists).to_pandas().dropna()
    if len(lengths):
        ids = raw.columns[id_column]
        first, size = sizes.setdefault(name, (visible(ids[int(lengths.index[0])].as_py()), int(lengths.iloc[0])))
        if size > MAX_COMPONENTS:
            raise BakeoffError(
                f"{name} of {raw.file} has {size:,} numbers, more than {MAX_COMPONENTS:,}: bring it to fewer "
                "first, with PCA or truncated SVD for instance."
            )
        if (others := lengths[lengths != size]).size:
            other = visible(ids[int(others.index[0])].as_py())
            raise BakeoffError(
                f"{name} of {raw.file} has {size:,} numbers for {id_column} {first} and {int(others.iloc[0]):,} for "
                f"{other}: all vectors of a feature must come from one model, with one length. Make those of another "
                "length anew, or leave them empty, which is unknown."
            )


def integers(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """int64 [n]; null where a text is not a whole number of at most 18 digits."""
    return _matching(values, INTEGER).cast(pa.int64())


def _matching(values: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
    trimmed = pc.utf8_trim_whitespace(values)
    return pc.if_else(pc.match_substring_regex(trimmed, pattern), trimmed, pa.scalar(None, pa.string()))
