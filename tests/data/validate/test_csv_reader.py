import csv
import io

import pytest
from csv_bytes import read_csv
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.core.errors import BakeoffError
from bakeoff.data.validate.csv_reader import delimiter_of

FILE = "data/users.csv"


def read(data):
    table = read_csv(data, FILE)
    return [tuple(row.values()) for row in table.columns.to_pylist()]


def refusal(data):
    with pytest.raises(BakeoffError) as error:
        read_csv(data, FILE)
    assert str(error.value).startswith(FILE)
    return str(error.value)


@pytest.mark.parametrize(
    "value",
    [
        "007",
        " 7",
        "7 ",
        "a b",
        "é中🎬",
        "NA",
        "null",
        "nan",
        "1e5",
        "True",
        "1.0",
        "",
        "0x1F",
        "2020-01-01",
        "'",
    ],
)
def test_values_come_through_exactly(value):
    assert read(f"user_id,age\n{value},1\n".encode()) == [(value, "1")]


def test_quoted_values_may_hold_commas_quotes_and_line_breaks():
    assert read(b'user_id,age\n"a,b","say ""hi""\nthere"\n') == [("a,b", 'say "hi"\nthere')]


def test_a_byte_order_mark_is_no_part_of_the_first_name():
    assert read_csv(b"\xef\xbb\xbfuser_id\n1\n", FILE).names == ["user_id"]


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b""])
def test_any_line_end_will_do(ending):
    data = b"user_id,age" + (ending or b"\n") + b"1,2" + ending
    assert read(data) == [("1", "2")]


def test_lines_count_from_the_header():
    assert read_csv(b"user_id\na\nb\n", FILE).lines.tolist() == [2, 3]


def test_lines_count_line_breaks_inside_values():
    # row a spans lines 2 and 3, row b lines 4 to 6, so c is on line 7
    data = b'user_id,age\na,"1\n"\nb,"\n\n"\nc,3\n'
    assert read_csv(data, FILE).lines.tolist() == [2, 4, 7]


def test_an_empty_line_is_a_row_without_values():
    table = read_csv(b"user_id,age\n1,2\n\n3,4\n", FILE)
    assert table.columns["user_id"].to_pylist() == ["1", "", "3"]
    assert table.lines.tolist() == [2, 3, 4]


def test_empty_lines_at_the_end_are_no_rows():
    assert read(b"user_id,age\n1,2\n\n\n") == [("1", "2")]


def test_a_header_alone_gives_no_rows():
    assert len(read_csv(b"user_id,age", FILE)) == 0


@pytest.mark.parametrize("data", [b"", b"\n", b" \r\n ", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(data):
    assert "is empty" in refusal(data)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"PK\x03\x04rest", "a zip or Excel file"),
        (b"\x1f\x8b\x08rest", "a gzip file"),
        (b"PAR1rest", "a Parquet file"),
        ("user_id\n1\n".encode("utf-16"), "UTF-16"),
        (b"user_id\n1\n\x00\n", "holds a NUL byte on line 3"),
    ],
)
def test_a_binary_file_is_refused_by_what_it_is(data, kind):
    assert kind in refusal(data)


def test_a_latin_1_file_is_refused_with_the_line_and_its_text():
    message = refusal("user_id,name\n1,a\n2,Misérables\n".encode("latin-1"))
    assert "line 3" in message
    assert "0xe9" in message
    assert "Misérables" in message


def test_mixed_encodings_are_refused_with_the_first_line_that_is_not_utf_8():
    message = refusal("user_id,name\n1,é\n".encode() + "2,è\n".encode("latin-1") + "3,ê\n".encode())
    assert "line 3" in message
    assert "mixes encodings" in message


@pytest.mark.parametrize(("delimiter", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")])
def test_a_wrong_delimiter_is_refused_by_name(delimiter, name):
    assert f"separated by {name}" in refusal(f"user_id{delimiter}age\n1{delimiter}2,5\n".encode())


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [
        ("a,b", ","),
        ("a\tb\tc,d", "\t"),
        ("a;b;c\r\n", ";"),
        ("a|b", "|"),
        ('"a;b;c",d', ","),  # in quotation marks
        ('a,"b;c;d"', ","),
        ("a,b;c", ","),  # a tie
        ("a;b|c", ";"),
        ("a", ","),
        ("", ","),
        ('"a\nb";c\nd,e,f', ";"),
        ("a::b", ","),
        ("x" * 2**18 + ";y", ","),
    ],
)
def test_the_delimiter_is_the_one_that_gives_the_most_fields(header, delimiter):
    assert delimiter_of(header) == delimiter


@pytest.mark.parametrize("header", [b"user_id,,age", b",user_id", b"user_id, ,age"])
def test_a_column_without_a_name_is_refused(header):
    assert "without a name" in refusal(header + b"\n1,2,3\n")


def test_a_column_that_occurs_twice_is_refused():
    assert "`age` more than once" in refusal(b"user_id,age,age\n1,2,3\n")


@pytest.mark.parametrize(("row", "fields"), [(b"3,4,5", 3), (b"3", 1)])
def test_a_line_with_the_wrong_number_of_fields_is_refused_with_its_number(row, fields):
    message = refusal(b"user_id,age\n1,2\n" + row + b"\n4,5\n")
    assert f"line 3 has {fields} fields" in message
    assert repr(row.decode()) in message


def test_the_line_of_a_bad_row_counts_line_breaks_inside_values():
    assert "line 4 has 3 fields" in refusal(b'user_id,age\n"a\nb",2\n3,4,5\n')


def test_further_bad_lines_are_counted():
    assert "2 more lines" in refusal(b"user_id,age\n1\n2\n3\n4,5\n")


@pytest.mark.parametrize(
    "data",
    [
        b'user_id\n1\n"2\n3\n',
        b'user_id,age\n1,2\n3,"4\n5,6\n',  # the rest is swallowed by a last value: still two fields
        b'user_id,age\n1,2\n"3,4\n5,6\n',  # by a first value: one field
        b'user_id,age\n1\n3,"4\n5,6\n',  # after a line that is too short
    ],
)
def test_a_quote_that_is_never_closed_is_refused_with_the_line_where_it_opens(data):
    message = refusal(data)
    assert "never closed" in message
    assert "starts on line 3." in message


@pytest.mark.parametrize("header", [b'"user_id,age', b'"user"_id,age'])
def test_misplaced_quotes_in_the_header_are_refused(header):
    assert "quotation marks in its header" in refusal(header + b"\n1,2\n")


VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(VALUES, min_size=n, max_size=n), min_size=1, max_size=6)))
def test_whatever_a_csv_writer_writes_is_read_back(rows):
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow([f"column {i}" for i in range(len(rows[0]))])
    writer.writerows(rows)
    assert read(buffer.getvalue().encode()) == [tuple(row) for row in rows]


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data):
    _is_read_or_refused(data)


PIECES = st.sampled_from([b"a", b"user_id", b",", b",", b'"', b"\n", b"\n", b"\r", b"\xe9", b" ", b";", "é".encode()])


@given(st.lists(PIECES, max_size=30).map(b"".join))
def test_anything_that_looks_like_csv_is_read_or_refused(data):
    _is_read_or_refused(data)


def _is_read_or_refused(data):
    try:
        table = read_csv(data, FILE)
    except BakeoffError:
        return
    assert len(table.lines) == len(table)
    assert sorted(set(table.lines.tolist())) == table.lines.tolist()
