"""The command line: which model is meant, and what is said of one that is not there."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bakeoff.cli.app import app
from bakeoff.cli.arguments import PRODUCTION, STAGES, START
from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.own_sources import Request
from bakeoff.models.base import specs

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with nothing but parameters, as the current directory."""
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", ["train", "evaluate", "recommend"])
def test_help_names_every_model(command: str) -> None:
    printed = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    assert f"{', '.join(specs.names()[:-1])} or {specs.names()[-1]}" in printed


def test_help_begins_with_what_leads_to_a_verdict_and_every_command_stands_under_a_heading() -> None:
    printed = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    places = [printed.index(heading) for heading in (START, PRODUCTION, STAGES)]
    assert places == sorted(places)
    assert " Commands " not in printed


@pytest.mark.parametrize("command", [["train", "als"], ["evaluate", "als"], ["recommend", "--model", "als"]])
def test_a_model_that_is_none_is_refused(folder: Path, command: list[str]) -> None:
    with pytest.raises(BakeoffError, match="'als' is not a model: it must be one of popularity, "):
        CliRunner().invoke(app, command, catch_exceptions=False)


@pytest.mark.parametrize(
    ("options", "budget"),
    [
        ([], (20, 3600)),
        (["--trials", "5"], (5, 3600)),
        (["--timeout", "60"], (None, 60)),
        (["--trials", "5", "--timeout", "60"], (5, 60)),
    ],
)
@pytest.mark.usefixtures("folder")
def test_time_alone_limits_no_number_of_trials(monkeypatch: pytest.MonkeyPatch, options: list[str], budget) -> None:
    found = {}
    monkeypatch.setattr("bakeoff.experiments.tuning.tune.run", lambda *_, **given: found.update(given))
    CliRunner().invoke(app, ["tune", "mf", *options], catch_exceptions=False)
    assert (found["trials"], found["timeout"]) == budget


@pytest.mark.usefixtures("folder")
def test_minutes_are_shared_equally_by_the_contenders(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    monkeypatch.setattr(
        "bakeoff.experiments.tuning.tune.run",
        lambda _workspace, name, *_, **given: found.append((name, given["trials"], given["timeout"], given["apply"])),
    )
    CliRunner().invoke(app, ["tune", "--minutes", "30", "--apply"], catch_exceptions=False)
    assert found == [("mf", None, 900, True), ("softmax", None, 900, True)]


@pytest.mark.usefixtures("folder")
def test_fetch_takes_a_file_for_each_table(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("bakeoff.data.fetch.command.run", lambda *given: asked.append(given[2]))
    CliRunner().invoke(app, ["fetch", "--interactions", "a.tsv", "--items", "b.pq", "--append"], catch_exceptions=False)
    assert asked == [Request(append=True, files={"interactions": Path("a.tsv"), "items": Path("b.pq")})]


def test_a_dry_run_refuses_parameters_that_are_not_valid(folder: Path) -> None:
    (folder / "params.yaml").write_text("mf: {dim: 0}")
    with pytest.raises(BakeoffError, match=r"mf\.dim: Input should be greater than 0"):
        CliRunner().invoke(app, ["run", "--dry"], catch_exceptions=False)


@pytest.mark.parametrize("options", [[], ["mf", "--minutes", "3"], ["--minutes", "3", "--trials", "9"]])
@pytest.mark.usefixtures("folder")
def test_a_search_is_for_a_model_or_for_minutes(options: list[str]) -> None:
    with pytest.raises(BakeoffError, match="Name a model, or give --minutes alone"):
        CliRunner().invoke(app, ["tune", *options], catch_exceptions=False)


@pytest.mark.parametrize("option", ["--minutes", "--timeout"])
@pytest.mark.usefixtures("folder")
def test_a_search_ends(option: str) -> None:
    done = CliRunner().invoke(app, ["tune", option, "inf"], catch_exceptions=False)
    assert (done.exit_code, f"Invalid value for '{option}'" in done.output) == (2, True)


@pytest.mark.usefixtures("folder")
def test_a_check_of_the_verdict_is_explained() -> None:
    printed = CliRunner().invoke(app, ["explain", "bk006"], catch_exceptions=False).output
    assert printed.startswith("BK006: Session")
    with pytest.raises(BakeoffError, match="'BK1' is no check of the verdict: there are BK001, BK002"):
        CliRunner().invoke(app, ["explain", "BK1"], catch_exceptions=False)


def test_a_model_that_was_skipped_can_not_be_asked_and_says_why(folder: Path) -> None:
    note = folder / "artifacts/training/ease.json"
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps({"model": "ease", "skipped": "12 items are too many."}))
    with pytest.raises(BakeoffError, match=r"ease was not trained on this data: 12 items are too many\. Ask another"):
        CliRunner().invoke(app, ["recommend", "--model", "ease", "--user", "1"], catch_exceptions=False)


def test_a_model_that_was_not_trained_yet_says_what_to_run(folder: Path) -> None:
    for command in (["recommend", "--model", "ease", "--user", "1"], ["export", "ease"]):
        with pytest.raises(BakeoffError, match="bakeoff train ease"):
            CliRunner().invoke(app, command, catch_exceptions=False)
    assert [path.name for path in folder.iterdir()] == ["params.yaml"]


@pytest.mark.usefixtures("folder")
def test_filters_and_wishes_reach_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    monkeypatch.setattr("bakeoff.ops.recommend.run", lambda *_, **given: found.update(given))
    options = ["--filter", "genres=Comedy|Drama", "--filter", "year>=1990", "--diversity", "0.2", "--allow", "1,2"]
    CliRunner().invoke(app, ["recommend", "--user", "1", *options], catch_exceptions=False)
    asked = found["options"]
    assert [each.model_dump(exclude_none=True) for each in asked.filters] == [
        {"feature": "genres", "any_of": ["Comedy", "Drama"]},
        {"feature": "year", "min": 1990},
    ]
    assert (asked.diversity, asked.debias, found["allow"]) == (0.2, 0, "1,2")
