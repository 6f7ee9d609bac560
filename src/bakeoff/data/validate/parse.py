"""Strings → numbers, ids and missing values, without guessing: what is not plainly a number is none."""

import pyarrow as pa
import pyarrow.compute as pc

# At most two digits of exponent: whatever matches is finite as a float64.
NUMBER = r"^-?([0-9]{1,100}(\.[0-9]{0,100})?|\.[0-9]{1,100})([eE][+-]?[0-9]{1,2})?$"
# 18 digits: whatever matches fits an int64.
INTEGER = r"^-?[0-9]{1,18}$"


def blank(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Bool [n], where a text is empty or only white space."""
    return pc.equal(pc.utf8_trim_whitespace(texts), "")


def texts(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """String [n], exactly as given; null where blank."""
    return pc.if_else(blank(values), pa.scalar(None, pa.string()), values)


def numbers(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """float64 [n], finite; null where a text is no decimal number such as 4, -0.5 or 1e3 (`nan` is none)."""
    return _matching(values, NUMBER).cast(pa.float64())


def integers(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """int64 [n]; null where a text is not a whole number of at most 18 digits."""
    return _matching(values, INTEGER).cast(pa.int64())


def unreadable(values: pa.ChunkedArray, parsed: pa.ChunkedArray, *, may_be_missing: bool) -> pa.ChunkedArray:
    """String [n], the texts that could not be parsed; null where all is well."""
    well = pc.is_valid(parsed)
    if may_be_missing:
        well = pc.or_(well, blank(values))
    return pc.if_else(well, pa.scalar(None, pa.string()), values)


def _matching(values: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
    trimmed = pc.utf8_trim_whitespace(values)
    return pc.if_else(pc.match_substring_regex(trimmed, pattern), trimmed, pa.scalar(None, pa.string()))
