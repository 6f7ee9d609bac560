import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.data.validate.suites import integers, numbers, texts


def column(*values):
    return pa.chunked_array([pa.array(values, pa.string())])


@pytest.mark.parametrize(
    ("text", "number"),
    [("4", 4), ("-0.5", -0.5), ("4.", 4), (".5", 0.5), ("1e3", 1000), (" 4 ", 4), ("007", 7), ("2E-1", 0.2)],
)
def test_a_decimal_number_is_one(text, number):
    assert numbers(column(text)).to_pylist() == [number]


@pytest.mark.parametrize(
    "text",
    ["", "nan", "inf", "-inf", "four", "1,5", "1_0", "0x1F", "1e999", "--1", "-", ".", "٤", "4\n5", "4 5"],
)
def test_what_is_not_plainly_a_number_is_none(text):
    assert numbers(column(text)).to_pylist() == [None]


@given(st.floats(-1e90, 1e90).map(lambda x: float(f"{x:.12f}")))
def test_numbers_written_out_are_read_back_exactly(number):
    assert numbers(column(f"{number:.12f}")).to_pylist() == [number]


@pytest.mark.parametrize(("text", "integer"), [("0", 0), ("-5", -5), ("881250949", 881250949), ("9" * 18, 10**18 - 1)])
def test_a_whole_number_is_an_integer(text, integer):
    assert integers(column(text)).to_pylist() == [integer]


@pytest.mark.parametrize("text", ["", "1.0", "1e3", "2020-01-01", "9" * 19, "+-1", "nan"])
def test_what_is_not_plainly_whole_is_no_integer(text):
    assert integers(column(text)).to_pylist() == [None]


def test_texts_stay_as_they_are_unless_blank():
    assert texts(column(" a ", "", " \t", "NA")).to_pylist() == [" a ", None, None, "NA"]
