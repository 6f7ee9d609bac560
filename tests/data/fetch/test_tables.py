import csv
import io

import pyarrow as pa
import pytest
from csv_bytes import as_csv
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.data.fetch.canonical_tables import id_order, text_column, text_table


def in_order(ids):
    return [ids[position] for position in id_order(text_column(pa.array(ids, pa.string()))).to_pylist()]


def test_numbers_sort_by_value_and_come_before_words():
    assert in_order(["b", "10", "9", "a", "-1", ""]) == ["9", "10", "", "-1", "a", "b"]


def test_numbers_of_equal_value_sort_by_their_text():
    assert in_order(["1", "01", "001", "0", "00"]) == ["0", "00", "001", "01", "1"]


def test_numbers_longer_than_any_integer_sort_by_value():
    assert in_order(["1" + "0" * 30, "9" * 30]) == ["9" * 30, "1" + "0" * 30]


def test_equal_ids_keep_their_rows():
    assert id_order(text_column(pa.array(["2", "1", "2", "1"]))).to_pylist() == [1, 3, 0, 2]


def test_only_fields_that_need_quotes_get_them():
    table = text_table({"a,b": pa.array(["x", 'say "hi"', " y "]), "c": pa.array(["1,2", None, "two\nlines"])})
    assert as_csv(table) == '"a,b",c\nx,"1,2"\n"say ""hi""",\n y ,"two\nlines"\n'


def test_names_that_differ_in_case_and_signs_of_comments_are_written_as_they_are():
    table = text_table({name: pa.array([value]) for name, value in {"age": "#1", "Age": "a#b", "#": "\x1e"}.items()})
    assert as_csv(table) == "age,Age,#\n#1,a#b,\x1e\n"


def test_an_empty_table_is_its_header():
    assert as_csv(text_table({"a": pa.array([], pa.string())})) == "a\n"


@given(st.lists(st.lists(st.text(), min_size=2, max_size=2), min_size=1))
def test_any_text_comes_back_from_the_csv(rows):
    columns = {name: pa.array([row[i] for row in rows], pa.string()) for i, name in enumerate("ab")}
    text = as_csv(text_table(columns))
    assert list(csv.reader(io.StringIO(text, newline="")))[1:] == rows


@pytest.mark.parametrize("value", ["", "x"])
def test_a_single_column_keeps_its_empty_rows(value):
    text = as_csv(text_table({"a": pa.array([value, "z"])}))
    assert list(csv.reader(io.StringIO(text))) == [["a"], [value], ["z"]]
