"""Data files full of hostile text: every row is accounted for, every value stays what it was, nothing runs."""

import csv
import io
import json

import pyarrow.parquet as pq
import pytest
from csv_bytes import read_csv
from hostile_texts import FEATURE, IDS, MARKUP, NAMES, SHELL
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bakeoff.core.errors import BakeoffError, visible
from bakeoff.core.workspace import Workspace
from bakeoff.data.engine import engine as engines
from bakeoff.data.validate.gx import Runner
from bakeoff.data.validate.quarantine import judge
from bakeoff.data.validate.suites import entities
from bakeoff.params import parse_params
from bakeoff.stages import validate

ODD = [
    *("", " ", "a", "1", '"', 'a"b', "a,b", "a\nb", "\r", "a\r\nb", "\t=1", "=1+1", "\u2028", "\x85", "\x0b", "\x1f"),
    *("\ufeff", "'", "\\", '\\"', "#", "nan", "NULL", "\u0663", "\uff11", "\U0001f600", "\u202egnp", "1e5", "-0"),
    *("\uffff", "x" * 300),
]
CELLS = st.sampled_from(ODD) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
TABLES = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=5))
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
DAMAGE = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.sampled_from([b'"', b",", b"\n", b"\r", b"\r\n", b'"\n', b"\xff", b"\x00", b"\xed\xa0\x80", b""]),
        st.integers(0, 2),
    ),
    max_size=2,
)


def written(rows: list[list[str]], end: str, quoting: int = csv.QUOTE_MINIMAL) -> bytes:
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator=end, quoting=quoting).writerows(rows)
    return stream.getvalue().encode()


@given(TABLES, ENDS, DAMAGE)
@example([], "\n", [(0.25, b"\n", 1), (0.25, b'"\n', 0)])  # what is left of the header is narrower
def test_what_is_read_is_what_a_strict_reader_of_csv_reads(rows, end, damage) -> None:
    width = len(rows[0]) if rows else 2
    content = written([[f"c{place}" for place in range(width)], *rows], end, csv.QUOTE_ALL)
    for share, put, taken in damage:
        place = int(share * len(content))
        content = content[:place] + put + content[place + taken :]
    try:
        table = read_csv(content, "data/x.csv")
    except BakeoffError:
        return
    expected = list(csv.reader(io.StringIO(content.decode(), newline="")))
    got = [list(row.values()) for row in table.columns.to_pylist()]
    nothing = [""] * len(expected[0])
    assert got == [row or nothing for row in expected[1 : len(got) + 1]]
    assert not any(any(row) for row in expected[len(got) + 1 :])  # blank lines at the end are no rows


def test_long_and_large_values_are_read() -> None:
    value = "x" * 1_000_000
    assert read_csv(f"user_id,age\n{value},1\n".encode(), "x").columns["user_id"].to_pylist() == [value]


@pytest.fixture(scope="module")
def runner() -> Runner:
    return Runner()


NUMBER = iter(range(10**9))


@settings(max_examples=5)  # Great Expectations takes long for a table, and no longer for one of more rows
@given(rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=8, max_size=30))
@example(rows=[["a", "1", ""]])
@example(rows=[["", "a", "b"]])
def test_every_row_is_valid_or_in_quarantine_with_its_reason(runner, rows) -> None:
    raw = read_csv(written([["user_id", "age", "reason"], *rows], "\n", csv.QUOTE_ALL), "data/users.csv")
    with engines.opened() as engine:
        name = f"t{next(NUMBER)}"
        verdict = judge(
            runner, engine, name, [raw], lambda block: entities(block, "user_id", {"age": "dense"}, {}), known={}
        )
        quarantined = verdict.examples(verdict.reason_of.index.tolist())
        valid = (
            verdict.valid.whole.order_by("row")
            .select(verdict.valid_columns["user_id"])
            .to_pyarrow()
            .column(0)
            .to_pylist()
        )
    assert len(valid) + len(quarantined) == len(raw)
    lines = dict(zip(raw.lines.tolist(), raw.columns.to_pylist(), strict=True))
    for bad in quarantined:
        assert bad["reason"]
        kept = lines.pop(bad["row"])
        assert (kept["user_id"], kept["age"], kept["reason"]) == (bad["user_id"], bad["age"], bad["reason_in_file"])
    assert [row["user_id"] for row in lines.values()] == valid


@pytest.fixture(scope="module")
def validated(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace of hostile files, with one bad row per table, validated."""
    root = tmp_path_factory.mktemp('$(touch x) it\'s "v"')
    (root / "data").mkdir()
    users = [["user_id", "age", *NAMES], *([one, "30", *NAMES] for one in IDS), [f"\x1b[31m{MARKUP}", MARKUP, *NAMES]]
    items = [["item_id", "title"], *([one, MARKUP] for one in IDS), ["", MARKUP]]
    events = [["user_id", "item_id", "timestamp"], *([one, one, "880000000"] for one in IDS), [MARKUP, SHELL, MARKUP]]
    for name, rows in (("users", users), ("items", items), ("interactions", events)):
        (root / f"data/{name}.csv").write_bytes(written(rows, "\n", csv.QUOTE_ALL))
    features = {"age": "dense", FEATURE: "categorical"}
    data = {"dataset": FEATURE, "user_features": features}
    validate.run(parse_params({"data": data, "validation": {"max_quarantine_share": 0.5}}), Workspace(root))
    return Workspace(root)


def test_hostile_values_come_through_exactly_and_run_nothing(validated: Workspace) -> None:
    users = pq.read_table(validated.validated / "users.parquet")
    assert users["user_id"].to_pylist() == IDS
    assert [users[name].to_pylist()[0] for name in NAMES] == NAMES
    assert sorted(path.name for path in validated.root.iterdir()) == ["artifacts", "data", "reports"]


def test_columns_that_have_the_names_of_the_quarantine_are_told_apart(validated: Workspace) -> None:
    table = pq.read_table(validated.quarantine / "users.parquet")
    assert len(set(table.column_names)) == len(table.column_names)
    row = table.to_pylist()[0]
    assert row["reason_in_file_in_file"] == "reason"
    assert row["reason_in_file"] == "reason_in_file"
    assert row["row_in_file"] == "row"
    assert "age is not a number" in row["reason"]


def test_a_refusal_obeys_no_file_on_the_terminal(validated: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validate, "_write_docs", lambda *_: None)
    with pytest.raises(BakeoffError) as refusal:
        validate.run(parse_params({"data": {"user_features": {"age": "dense"}}}), validated)
    assert r"\x1b[31m" in str(refusal.value)
    assert str(refusal.value).replace("\n", "").isprintable()


@pytest.mark.parametrize("name", ["\x1b[31mred", "a\rb", "\u202egnp", "zero\u200bwidth"])
def test_a_name_in_a_message_is_visible(name: str) -> None:
    for file in (f'"{name}","{name}"\n1,2\n',):
        with pytest.raises(BakeoffError) as refusal:
            read_csv(file.encode(), "data/x.csv")
        assert str(refusal.value).isprintable()
    assert visible("Été, 50 % \U0001f600") == "Été, 50 % \U0001f600"


def test_the_verdict_is_json_whatever_the_files_hold(validated: Workspace) -> None:
    verdict = json.loads(validated.validation_report.read_text(encoding="utf-8"))
    assert {name: table["quarantined"] for name, table in verdict["tables"].items()} == {
        "interactions": 1,
        "users": 1,
        "items": 1,
    }
