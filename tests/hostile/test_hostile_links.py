"""Links, pipes and devices where files are expected: nothing is waited for, and nothing is written elsewhere."""

import csv
import io
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from csv_bytes import as_csv, read_csv
from hostile_texts import FEATURE, MARKUP, SHELL
from hypothesis import example, given, settings
from hypothesis import strategies as st
from own_tables import read_directory

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import replaced, write_text
from bakeoff.core.workspace import Workspace
from bakeoff.data.fetch import command as fetch
from bakeoff.data.fetch.own_sources import Request
from bakeoff.data.params import ColumnParams, DataParams
from bakeoff.params import parse_params
from bakeoff.stages import validate

PAIRS = "user_id,item_id\nu,i\n"
PLAIN = parse_params({"data": {"user_features": {}, "item_features": {}, "columns": {"rating": None, "title": None}}})
DATA = DataParams(dataset="x", columns=ColumnParams(timestamp=None, title=None))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "from $(touch x) 'there'"
    directory.mkdir()
    (directory / "interactions.csv").write_text(PAIRS)
    return directory


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    directory = tmp_path / 'it\'s "here" $(touch x)'
    directory.mkdir()
    return Workspace(directory)


def run(workspace: Workspace, source: Path) -> None:
    values = {"dataset": "../../escaped", "columns": {"timestamp": None}}
    fetch.run(parse_params({"data": values}).data, workspace, Request(source))


def test_a_data_set_is_not_a_path(workspace: Workspace, source: Path) -> None:
    run(workspace, source)
    assert [path.name for path in workspace.root.iterdir()] == ["data"]
    assert sorted(path.name for path in workspace.root.parent.iterdir()) == sorted([workspace.root.name, source.name])


@pytest.mark.parametrize("name", ["users.csv", "items.csv", "users.parquet"])
def test_a_pipe_among_the_files_is_not_waited_for(source: Path, name: str) -> None:
    os.mkfifo(source / name)
    assert read_directory(source, DATA)["interactions"].num_rows == 1


def test_an_endless_device_is_not_read(source: Path) -> None:
    (source / "interactions.csv").unlink()
    (source / "interactions.csv").symlink_to("/dev/zero")
    with pytest.raises(BakeoffError, match=r"neither interactions\.csv nor"):
        read_directory(source, DATA)


def test_a_file_that_a_link_leads_to_is_read_and_never_written(
    workspace: Workspace, source: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere.csv"
    elsewhere.write_text("user_id\nu\nv\n")
    (source / "users.csv").symlink_to(elsewhere)
    run(workspace, source)
    assert (workspace.data / "users.csv").read_text() == "user_id\nu\nv\n"
    assert not (workspace.data / "users.csv").is_symlink()
    assert elsewhere.read_text() == "user_id\nu\nv\n"


def test_a_link_in_the_data_directory_is_read_and_never_written(workspace: Workspace, tmp_path: Path) -> None:
    """DVC itself puts links there, where `cache.type` says so."""
    workspace.data.mkdir()
    stored = tmp_path / "cache"
    stored.write_text("user_id,item_id,timestamp\n" + "".join(f"u,{item},{10**9 + item}\n" for item in range(1, 9)))
    (workspace.data / "interactions.csv").symlink_to(stored)
    (workspace.data / "users.csv").write_text("user_id\nu\n")
    (workspace.data / "items.csv").write_text("item_id,title\n" + "".join(f"{item},x\n" for item in range(1, 9)))
    before = stored.read_bytes()
    validate.run(PLAIN, workspace)
    assert pq.read_metadata(workspace.validated / "interactions.parquet").num_rows == 8
    assert stored.read_bytes() == before


@pytest.mark.parametrize("leads_to", ["/dev/zero", "/"])
def test_a_link_in_the_data_directory_to_what_is_no_file_is_not_followed(workspace: Workspace, leads_to: str) -> None:
    workspace.data.mkdir()
    (workspace.data / "users.csv").symlink_to(leads_to)
    (workspace.data / "items.csv").write_text("item_id\n1\n")
    (workspace.data / "interactions.csv").write_text("user_id,item_id,timestamp\nu,1,1\n")
    with pytest.raises(BakeoffError, match=r"users\.csv can.t be read: it is not a regular file"):
        validate.run(PLAIN, workspace)


@pytest.mark.parametrize("name", ["report.md", ".report.md.part"])
def test_a_link_in_the_place_of_a_report_or_of_its_half_is_not_followed(tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (tmp_path / name).symlink_to(victim)
    write_text(tmp_path / "report.md", "new")
    assert victim.read_text() == "kept"
    assert (tmp_path / "report.md").read_text() == "new"


def test_a_link_in_the_place_of_an_output_is_replaced_and_not_emptied(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("kept")
    (tmp_path / "artifacts").symlink_to(victim)
    with replaced(tmp_path / "artifacts") as new:
        (new / "file").write_text("new")
    assert (victim / "file").read_text() == "kept"
    assert (tmp_path / "artifacts/file").read_text() == "new"


ODD = [
    *(
        "",
        " ",
        "a",
        "1",
        '"',
        'a"b',
        "a,b",
        "a\nb",
        "\r",
        "\r\n",
        "\t=1",
        "=1+1",
        "\u2028",
        "\x85",
        "\x1f",
        "\ufeff",
        "'",
    ),
    *("\\", "nan", "NULL", "\u0663", "\U0001f600", "\u202egnp", "1e5", "-0", "\uffff", MARKUP, SHELL, FEATURE),
]


@settings(max_examples=12)
@given(st.lists(st.lists(st.sampled_from(ODD), min_size=4, max_size=4), min_size=5, max_size=20))
@example([[""] * 4])
def test_what_a_fetch_writes_is_what_the_files_held(tmp_path_factory, rows) -> None:
    """A canonical table is an input that must stay as it is: nothing is put before an `=`, as in an export."""
    directory = tmp_path_factory.mktemp("own")
    header = ["user_id", "item_id", "timestamp", "rating"]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([header, *rows])
    (directory / "interactions.csv").write_text(text.getvalue(), encoding="utf-8", newline="")
    columns = ColumnParams(timestamp=None, rating="rating", title=None)
    tables = read_directory(directory, DataParams(dataset="x", columns=columns))
    back = read_csv(as_csv(tables["interactions"]).encode(), "x").columns
    assert back["user_id"].to_pylist() == [row[0] for row in rows]
    assert back["rating"].to_pylist() == [row[3] for row in rows]


SOURCES = Path(__file__).parents[2] / "src", Path(__file__).parents[2] / "flows"


def test_no_table_is_exported_to_a_spreadsheet() -> None:
    """The day there is one, cells of text that begin with = + - @ or a tab need an apostrophe before them."""
    writes = ("to_csv", "to_excel", "csv.writer", "csv.DictWriter", "write_csv", "new Blob", "text/csv", "download=")
    found = {
        f"{path.name}: {word}"
        for root in SOURCES
        for path in root.rglob("*")
        if path.suffix in {".py", ".js", ".j2"}
        for word in writes
        if word in path.read_text(encoding="utf-8")
    }
    assert found == set()
