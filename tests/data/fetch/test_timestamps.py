import pyarrow as pa
import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.table_files import unix_seconds


def seconds(values, unit):
    return unix_seconds(pa.array(values), unit, "column t of a.csv").to_pylist()


def test_seconds_stay_and_lose_their_fraction():
    assert seconds(["881250949", "881250949.9", "-1.5"], "s") == ["881250949", "881250949", "-2"]


def test_milliseconds_become_seconds():
    assert seconds(["1717171200999", "1717171200000"], "ms") == ["1717171200", "1717171200"]


def test_iso_times_are_utc_unless_they_name_an_offset():
    # 2024-05-31 is day 19874 since 1970: 19874 · 86400 = 1717113600
    texts = ["2024-05-31", "2024-05-31T16:00:00", "2024-05-31 18:00:00.75+02:00", "2024-05-31T16:00:00Z"]
    assert seconds(texts, "iso") == ["1717113600", "1717171200", "1717171200", "1717171200"]


@pytest.mark.parametrize("unit", ["s", "ms", "iso"])
def test_what_is_no_time_stays_for_validation_to_judge(unit):
    good = {"s": "7", "ms": "7000", "iso": "1970-01-01T00:00:07Z"}[unit]
    assert seconds([good, "soon", "", "inf"], unit) == ["7", "soon", "", "inf"]


def test_missing_times_stay_empty():
    assert seconds(["", ""], "s") == ["", ""]


@pytest.mark.parametrize(("value", "unit"), [("2024-05-31", "s"), ("2024-05-31", "ms"), ("1717171200", "iso")])
def test_a_column_in_another_unit_is_refused(value, unit):
    with pytest.raises(BakeoffError, match=f"column t of a.csv.*'{value}' is not a.*timestamp_unit"):
        seconds([value], unit)


def test_milliseconds_taken_for_seconds_are_noticed():
    with pytest.raises(BakeoffError, match="timestamp_unit: ms"):
        seconds(["1717171200999"], "s")


def test_dates_count_from_midnight_utc():
    assert unix_seconds(pa.array([19874], pa.date32()), "ms", "t").to_pylist() == ["1717113600"]


def test_times_before_1970_are_rounded_down():
    assert unix_seconds(pa.array([-1500], pa.timestamp("ms")), "s", "t").to_pylist() == ["-2"]


def test_the_hour_that_is_there_twice_in_a_zone_is_two_hours():
    # Clocks of New York went back at 06:00 UTC: both times are half past one there.
    utc = pa.array([1_762_061_400_999, 1_762_065_000_000], pa.timestamp("ms", "UTC"))
    local = utc.cast(pa.timestamp("ms", "America/New_York"))
    assert unix_seconds(local, "s", "t").to_pylist() == ["1762061400", "1762065000"]
