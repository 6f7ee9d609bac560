"""Times of events in a team's own files → UTC seconds."""

from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.canonical_tables import text_column

Unit = Literal["s", "ms", "iso"]

_PER_SECOND = {"s": 1, "ms": 1000}
_LARGEST_EXACT = 2.0**53  # of the whole numbers that float64 holds
_YEAR_5000 = 1e11  # in seconds; in milliseconds it is March 1973


def unix_seconds(values: Any, unit: Unit, where: str) -> pa.Array:
    """Times as whole UTC seconds, fractions cut off, written as text.

    A value that is no time stays as it is, so that validation can put its row aside with a reason.

    Args:
        values: [n] strings, numbers, dates or timestamps (of a Parquet file: their own unit counts, not
            `unit`).
        unit: seconds or milliseconds since 1970, or ISO 8601 text (UTC unless it names an offset).
        where: file and column, for messages.

    Returns:
        [n] strings.

    Raises:
        BakeoffError: not one value can be read in that unit, or seconds are evidently milliseconds.
    """
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        return text_column(_whole_seconds(values))
    if pa.types.is_nested(values.type) or pa.types.is_temporal(values.type):
        raise BakeoffError(
            f"{where} holds {values.type} values: a time must be a number, a text or a timestamp. Store it as "
            "one, or set data.columns.timestamp: null in params.yaml."
        )
    text = text_column(values)
    seconds = _from_iso(text) if unit == "iso" else _from_numbers(text, _PER_SECOND[unit])
    is_time = np.isfinite(seconds)
    if len(text) and not is_time.any() and pc.any(pc.not_equal(text, "")).as_py():
        example = text.filter(pc.not_equal(text, ""))[0].as_py()
        raise BakeoffError(
            f"{where} holds no time that can be read: {example!r} is not {_MEANING[unit]}. "
            "Set data.columns.timestamp_unit in params.yaml to s, ms or iso."
        )
    if unit == "s" and is_time.any() and np.median(seconds[is_time]) >= _YEAR_5000:
        raise BakeoffError(
            f"{where} lies beyond the year 5000 when read as seconds (such as "
            f"{text[int(is_time.argmax())]}): if these are milliseconds, set data.columns.timestamp_unit: ms "
            "in params.yaml."
        )
    whole = np.where(is_time, seconds, 0).astype(np.int64)
    return pc.if_else(pa.array(is_time), text_column(pa.array(whole)), text)


_MEANING = {
    "s": "a number of seconds since 1970",
    "ms": "a number of milliseconds since 1970",
    "iso": "a date or time as ISO 8601 writes it (2024-05-31T18:00:00Z)",
}


def _whole_seconds(values: Any) -> Any:
    if not pa.types.is_timestamp(values.type):
        values = values.cast(pa.timestamp("ms"))  # a date
    whole = pc.floor_temporal(values, unit="second")
    return whole.cast(pa.timestamp("s", values.type.tz)).cast(pa.int64())


def _from_numbers(text: pa.Array, per_second: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    numbers = np.asarray(pd.to_numeric(text.to_pandas(), errors="coerce"), np.float64)
    seconds = np.floor(numbers / per_second)
    return np.where(np.abs(seconds) < _LARGEST_EXACT, seconds, np.nan)


def _from_iso(text: pa.Array) -> np.ndarray[Any, np.dtype[np.float64]]:
    times = pd.to_datetime(text.to_pandas(), format="ISO8601", utc=True, errors="coerce")
    microseconds = times.dt.as_unit("us").to_numpy("datetime64[us]").view(np.int64)
    return np.where(times.isna(), np.nan, microseconds // 1_000_000)
