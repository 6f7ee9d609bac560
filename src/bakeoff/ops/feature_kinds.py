"""How a column of users or items can serve as a feature, from its values."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bakeoff.data.features.encoding import TAG_SEPARATOR
from bakeoff.data.fetch.parts import joined_vectors
from bakeoff.data.fetch.table_files import as_numbers

Columns = Mapping[str, Any]
"""[n] strings by column name, "" or null where missing."""

Kind = Literal["dense", "categorical", "tags", "text", "vector"]

_MOST_CODES = 25
"""A column with at most this many different whole numbers may hold codes of categories."""
_MOST_CATEGORIES = 5_000
_LEAST_TAGGED = 0.05
"""Share of the values that must hold several, separated by `|`."""
_SAMPLED = 1_000
"""Texts that are looked at: all must have equally many numbers, and some must not be whole, as ids and counts are."""
_LEAST_WORDS = 1.5
"""On average, in a text."""
_LEAST_COMPONENTS = 4
"""Of a vector whose components have a column each: fewer numbers may be anything."""


def with_vectors(columns: Columns) -> Columns:
    """The columns of a table, in which `v_0`, `v_1`, … are one column `v` where together they look like a vector."""
    for stem in [name.removesuffix("_0") for name in columns if name.endswith("_0")]:
        parts = {f"{stem}_{place}" for place in range(_LEAST_COMPONENTS)}
        if stem not in columns and parts <= columns.keys():
            table = joined_vectors(pa.table(dict(columns)), {stem: "vector"})
            if feature_kind(table[stem], is_item=True)[0] == "vector":
                columns = dict(zip(table.column_names, table.columns, strict=True))
    return columns


def feature_kind(values: Any, is_item: bool) -> tuple[Kind | None, str]:
    """How a column can serve as a feature; None, and why, where it can't.

    Args:
        values: [n] strings.
        is_item: items may have texts and tags, users may not.
    """
    text = filled(values)
    distinct = pc.count_distinct(text).as_py()
    if 2 * len(text) < len(values):
        return None, "mostly empty"
    if distinct < 2:
        return None, "always the same"
    numbers = as_numbers(text)
    if np.isfinite(numbers).all():
        return _number_kind(numbers, distinct)
    is_vector = _are_vectors(text.slice(0, _SAMPLED).to_pylist())
    if is_vector or (is_item and pc.mean(pc.match_substring(text, "|").cast(pa.float64())).as_py() > _LEAST_TAGGED):
        return "vector" if is_vector else "tags", ""
    if distinct <= min(_MOST_CATEGORIES, max(2, len(text) // 4)):
        return "categorical", ""
    words = pc.mean(pc.list_value_length(pc.utf8_split_whitespace(text))).as_py()
    return ("text", "") if is_item and words >= _LEAST_WORDS else (None, "nearly each row has a value of its own")


def _are_vectors(texts: list[str]) -> bool:
    size = len(texts[0].split(TAG_SEPARATOR))
    if size < 2 or any(text.count(TAG_SEPARATOR) != size - 1 for text in texts):
        return False
    numbers = as_numbers(pa.array(TAG_SEPARATOR.join(texts).split(TAG_SEPARATOR)))
    return bool(np.isfinite(numbers).all() and (numbers != np.floor(numbers)).any())


def _number_kind(numbers: np.ndarray[Any, np.dtype[np.float64]], distinct: int) -> tuple[Kind | None, str]:
    is_whole = bool((numbers == np.floor(numbers)).all())
    if is_whole and distinct > _MOST_CODES and distinct == len(numbers):
        return None, "a number of its own in each row, as ids have"
    return ("categorical" if is_whole and distinct <= _MOST_CODES else "dense"), ""


def filled(values: Any) -> Any:
    """The values of a string column that are neither empty nor null."""
    return values.filter(pc.not_equal(pc.fill_null(values, ""), ""))
