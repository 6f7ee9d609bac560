"""`bakeoff init`: what it shows, asks and refuses; the workspaces that it makes run in tests/pipeline/test_wheel.py."""

import os
import pty
import sqlite3
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bakeoff.cli.app import app
from bakeoff.core.errors import BakeoffError
from bakeoff.params import load_params

pytestmark = pytest.mark.usefixtures("warm_children")

EVENTS = "who;sku;when\n" + "".join(f"u{i % 5};P-{i % 7};17000000{i:02d}\n" for i in range(60))
ITEMS = "code\tname\tcolour\n" + "".join(f"P-{i}\tA fine thing {i}\t{'red' if i % 2 else 'blue'}\n" for i in range(7))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "events.csv").write_text(EVENTS)
    (tmp_path / "products.tsv").write_text(ITEMS)
    return ["--interactions", "events.csv", "--items", "products.tsv"]


def init(*arguments: str) -> str:
    return CliRunner().invoke(app, ["init", *arguments], catch_exceptions=False, env={"COLUMNS": "120"}).output


def test_kinds_of_events_count_alike_until_somebody_says_what_they_count(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    kinds = ["view", "buy"] * 30
    rows = [f"u{row % 5},p{row % 7},{kind},{1_700_000_000 + row}" for row, kind in enumerate(kinds)]
    (tmp_path / "events.csv").write_text("\n".join(["user_id,item_id,action,timestamp", *rows]) + "\n")
    files = ["--interactions", "events.csv"]
    plain = init("plain", *files, "--yes")
    assert any("action" in line and "not used" in line for line in plain.splitlines())
    assert "action may hold the kind of an event (buy, view)" in plain
    assert "--column event=action" in plain
    assert "may hold the kind" not in init("none", *files, "--column", "event=", "--yes")
    printed = init("shop", *files, "--column", "event=action", "--yes")
    assert "may hold the kind" not in printed
    assert any("action" in line and "kind of event" in line for line in printed.splitlines())
    assert "data.event_weights in params.yaml says what it counts" in printed
    assert load_params(Path("shop/params.yaml")).data.event_weights == {"buy": 1, "view": 1}


def test_it_shows_how_each_column_is_read(files: list[str]) -> None:
    printed = init("shop", *files, "--column", "user_id=who", "--yes")
    for line in (
        ["interactions: 60 rows"],
        ["who", "user", "u0, u1, u2"],
        ["sku", "item", "P-0, P-1, P-2"],
        ["when", "time, seconds since 1970", "1700000000, "],
        ["code", "item", "P-0, P-1, P-2"],
        ["name", "title, text feature", "A fine thing 0"],
        ["colour", "categorical feature", "blue, red, blue"],
        ["7 items"],
        ["cd shop"],
    ):
        assert any(all(word in shown for word in line) for shown in printed.splitlines()), (line, printed)
    params = load_params(Path("shop/params.yaml"))
    assert params.data.columns.item_id_in_items == "code"
    assert params.data.item_features == {"title": "text", "colour": "categorical"}
    assert Path("shop/data/interactions.csv").read_text().startswith("user_id,item_id,timestamp\nu0,P-0,1700000000\n")
    assert Path("shop/data.dvc").exists()


def test_the_next_command_can_be_copied_whatever_the_directory_is_called(files: list[str]) -> None:
    assert "\n  cd 'my shop'\n" in init("my shop", *files, "--column", "user_id=who", "--yes")


def test_the_components_of_a_vector_are_one_feature(files: list[str]) -> None:
    names = [f"look_{place}" for place in range(5)]
    rows = [
        [f"P-{i}", *(f"{(i + 1) / (place + 2):.3f}" for place in range(5)), "0.5", "1.5", "0.5", "2.5"]
        for i in range(7)
    ]
    lines = [["code", *names, "size_0", "size_1", "cut_0", "cut_3"], *rows]
    Path("products.tsv").write_text("".join("\t".join(line) + "\n" for line in lines))
    printed = init("shop", *files, "--column", "user_id=who", "--yes").splitlines()
    assert any(all(word in line for word in ("look", "vector feature", "0.500|0.333|0.250")) for line in printed)
    assert not any("look_" in line for line in printed)
    assert load_params(Path("shop/params.yaml")).data.item_features == {"look": "vector"}
    header, first, *_ = Path("shop/data/items.csv").read_text().splitlines()
    assert dict(zip(header.split(","), first.split(","), strict=True))["look"] == "0.500|0.333|0.250|0.200|0.167"


def test_what_is_not_clear_needs_an_answer(files: list[str]) -> None:
    with pytest.raises(BakeoffError, match=r"holds the user is not clear \(who\): --column user_id=NAME says it"):
        init("shop", *files, "--yes")
    assert not Path("shop").exists()


def test_a_file_without_a_column_for_the_items_has_none_to_choose_from(files: list[str]) -> None:
    Path("events.csv").write_text("who\nu1\n")
    with pytest.raises(BakeoffError, match=r"holds the item is not clear \(no column is left\): --column item_id=NAME"):
        init("shop", *files[:2], "--column", "user_id=who")


def test_times_that_cannot_be_read_are_shown_with_what_they_must_be(files: list[str]) -> None:
    Path("events.csv").write_text(EVENTS.replace(";17000000", ";31.12.2024 10:"))
    printed = init("shop", *files, "--column", "user_id=who", "--yes")
    assert "not used: not seconds, ms or ISO 8601" in printed
    assert "No column holds the time of an event: models learn nothing from the order of events." in printed


def test_without_a_terminal_nobody_can_be_asked(files: list[str]) -> None:
    with pytest.raises(BakeoffError, match="Questions need a terminal: --yes accepts how the data is read"):
        init("shop", *files)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--column", "user=who"], r"--column 'user=who' must be ROLE=NAME, with a role of user_id, item_id"),
        (
            ["--column", "user_id=name"],
            r"interactions have no column 'name' for user_id; their columns: 'who', 's",
        ),
        (["--column", "title=who"], r"items have no column 'who' for title"),
        (["--column", "timestamp_unit=us"], r"'timestamp_unit=us': the unit of times must be one of s, ms, iso"),
        (["--query", "."], r"Give the events with --interactions FILE, or with --query DIR"),
    ],
)
def test_what_makes_no_sense_is_refused(files: list[str], arguments: list[str], message: str) -> None:
    with pytest.raises(BakeoffError, match=message):
        init("shop", *files, *arguments, "--yes")


def test_a_place_that_is_taken_is_refused_before_anything_is_read(files: list[str], tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_bytes(b"\0")
    with pytest.raises(BakeoffError, match="is there already"):
        init(".", *files, "--yes")


def test_questions_in_a_terminal(files: list[str], tmp_path: Path, warm: str) -> None:
    ours, theirs = pty.openpty()
    command = [f"{warm}/bakeoff", "init", "shop", *files]
    os.write(ours, b"nobody\nwho\ny\n")  # an answer that is no column is asked for again
    done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Which column holds the user? [who]") == 2
    assert load_params(tmp_path / "shop/params.yaml").data.columns.user_id == "who"


def test_a_no_leaves_nothing(files: list[str], tmp_path: Path, warm: str) -> None:
    ours, theirs = pty.openpty()
    command = [f"{warm}/bakeoff", "init", "shop", *files, "--column", "user_id=who"]
    os.write(ours, b"n\n")
    done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert (done.returncode, "Nothing was written" in done.stderr) == (1, True), done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.csv", "products.tsv"]


def test_a_database_is_read_by_queries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("CREATE TABLE orders (customer TEXT, product TEXT, at INTEGER)")
        rows = [(f"c{i % 4}", f"p{i % 9}", 1_700_000_000 + i) for i in range(50)]
        database.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries/interactions.sql").write_text("SELECT customer, product, at AS ordered_at FROM orders")
    monkeypatch.setenv("BAKEOFF_DATABASE_URL", f"sqlite:///{tmp_path}/shop.db")
    assert "50 interactions, 4 users, 9 items" in init("shop", "--query", "queries", "--yes")
    columns = load_params(tmp_path / "shop/params.yaml").data.columns
    assert (columns.user_id, columns.item_id, columns.timestamp) == ("customer", "product", "ordered_at")
