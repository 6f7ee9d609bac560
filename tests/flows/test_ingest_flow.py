import os
import shutil
import sys
from pathlib import Path

import pytest
from flow_project import call
from prefect.client.schemas.objects import State
from ruamel.yaml import YAML
from small_project import small_params

import ingest as module
from child import ChildError
from ingest import Source, fetch, ingest, take_in

# A `bakeoff` that says what it is told to, and in the end fails as it is told to.
FAKE = """#!{python}
import os, pathlib, sys
pathlib.Path("calls").open("a").write(" ".join(sys.argv[1:]) + "\\n")
pathlib.Path("url").write_text(os.environ.get("BAKEOFF_DATABASE_URL", "none"))
answers = pathlib.Path("answers").read_text().splitlines()
status, _, text = answers.pop(0).partition(" ")
pathlib.Path("answers").write_text("\\n".join(answers))
print(text)
sys.exit(int(status))
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a fake `bakeoff` first on the path, whose answers are the lines of the file `answers`."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "inbox").mkdir()
    program = tmp_path / "bakeoff"
    program.write_text(FAKE.format(python=sys.executable))
    program.chmod(0o755)
    original = module.run_child

    def run(command: list[str], directory: Path, **options: object) -> None:
        original([str(program), *command[1:]], directory, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "run_child", run)
    monkeypatch.delenv("BAKEOFF_DATABASE_URL", raising=False)
    return tmp_path


def answers(workspace: Path, *lines: str) -> None:
    (workspace / "answers").write_text("\n".join(lines))


def calls(workspace: Path) -> list[str]:
    return (workspace / "calls").read_text().splitlines()


def test_a_source_is_the_options_of_the_command(tmp_path: Path) -> None:
    assert Source().command() == ["bakeoff", "fetch"]
    assert Source(inbox=tmp_path, append=True).command() == ["bakeoff", "fetch", "--inbox", str(tmp_path)]
    assert Source(queries=tmp_path, append=True).command()[2:] == ["--query", str(tmp_path), "--append"]


def test_new_data_and_unchanged_data_are_told_apart_by_what_is_printed(workspace: Path) -> None:
    source, said = Source(inbox=workspace / "inbox"), []
    answers(workspace, "0 data/ holds shop from delivery 1: 1 → 2 interactions.", "0 data/ is unchanged: nothing.")
    first = fetch(workspace, source, said.append)
    assert first
    assert first.message == "data/ holds shop from delivery 1: 1 → 2 interactions."
    assert not fetch(workspace, source, said.append)
    assert len(said) == 2


def test_what_an_earlier_run_had_begun_and_this_one_records_is_new(workspace: Path) -> None:
    answers(workspace, "0 An earlier fetch was cut off when data/ had been replaced: recording it now.")
    assert fetch(workspace, Source(inbox=workspace / "inbox"), print)


def test_the_connection_string_goes_to_the_child_alone_from_the_worker_or_from_a_block(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored: dict[str, str] = {"bakeoff-database": "postgresql://from-a-block"}
    monkeypatch.setattr(module, "read_secret", lambda name, block: os.environ.get(name) or stored.get(block))
    answers(workspace, *["0 data/ is unchanged"] * 3)
    fetch(workspace, Source(queries=workspace), print)
    assert (workspace / "url").read_text() == "postgresql://from-a-block"
    assert "BAKEOFF_DATABASE_URL" not in os.environ
    monkeypatch.setenv("BAKEOFF_DATABASE_URL", "postgresql://from-the-worker")
    fetch(workspace, Source(queries=workspace), print)
    assert (workspace / "url").read_text() == "postgresql://from-the-worker"


@pytest.mark.usefixtures("prefect_server")
def test_the_flow_ends_as_new_data_or_unchanged_with_what_was_printed(workspace: Path) -> None:
    answers(workspace, "0 data/ holds shop: 1 → 2 interactions.", "0 data/ is unchanged: no delivery.")
    told: list[tuple[str, str | None]] = []
    for _ in range(2):
        state: State[object] = ingest(workspace, workspace / "inbox", return_state=True)
        told.append((state.name or "", state.message))
    assert told == [
        ("New data", "data/ holds shop: 1 → 2 interactions."),
        ("Unchanged", "data/ is unchanged: no delivery."),
    ]


@pytest.mark.usefixtures("prefect_server")
def test_only_a_database_that_cannot_be_reached_is_asked_again(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "take_in", take_in.with_options(retry_delay_seconds=0))
    answers(workspace, "75 error: not there", "75 error: not there", "0 data/ holds shop: 2 interactions.")
    assert ingest(workspace, workspace / "inbox", return_state=True).name == "New data"
    assert len(calls(workspace)) == 3
    answers(workspace, "1 error: wrong password", "0 data/ is unchanged")
    state = ingest(workspace, workspace / "inbox", return_state=True)
    assert state.is_failed()
    assert state.message == "wrong password"
    assert isinstance(state.result(raise_on_failure=False), ChildError)
    assert len(calls(workspace)) == 4


def test_the_waits_between_attempts_double() -> None:
    assert take_in.retries == 3
    assert take_in.retry_delay_seconds == [15, 30, 60]


EVENTS = """SELECT who, what, to_timestamp(at) AS "when", stars FROM (VALUES
    ('u1', 'i1', 1600000000, 4), ('u1', 'i2', 1600000060, 5), ('u2', 'i1', 1600000120, 3)
) AS events (who, what, at, stars){more}"""


@pytest.mark.usefixtures("prefect_server")
def test_rows_of_a_database_become_a_version_of_the_data(
    empty_project: Path, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAKEOFF_DATABASE_URL", database)
    root, queries = tmp_path / "project", tmp_path / "queries"
    shutil.copytree(empty_project, root)
    params = small_params()
    params["data"] |= {"user_features": {}, "item_features": {}}
    YAML().dump(params, root / "params.yaml")
    queries.mkdir()
    ended = []
    for more in ("", "", " UNION ALL SELECT 'u2', 'i3', to_timestamp(1600000180), 1"):
        (queries / "interactions.sql").write_text(EVENTS.format(more=more))
        ended.append(ingest(root, queries=queries, return_state=True))
    assert [state.name for state in ended] == ["New data", "Unchanged", "New data"], ended
    rows = (root / "data/interactions.csv").read_text().splitlines()
    assert rows[:2] == ["user_id,item_id,timestamp,rating", "u1,i1,1600000000,4"]
    assert rows[-1] == "u2,i3,1600000180,1"
    assert call(sys.executable, "-m", "dvc", "status", cwd=root) == "Data and pipelines are up to date.\n"
    kept = [path for path in root.rglob("*") if path.is_file() and database in path.read_text(errors="ignore")]
    assert kept == []
