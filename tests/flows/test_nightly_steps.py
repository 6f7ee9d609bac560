"""The order of a night's steps, and what a cut between them leaves: on a project of two small stages."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
from flow_project import Project, call
from prefect import task
from prefect.client.schemas.objects import State
from prefect.states import Failed
from small_project import share

from bakeoff.core.errors import BakeoffError
from bakeoff.core.subprocesses import ChildError
from bakeoff.flows import nightly

STAGES = """
stages:
  validate:
    cmd: python validate.py
    deps: [validate.py]
    outs: [valid]
  compare:
    cmd: python compare.py
    deps: [compare.py, valid]
    outs: [reports/result.json: {cache: false}]
"""
VALIDATE = "open('valid', 'w').write('1')"
COMPARE = """
from pathlib import Path
Path("reports").mkdir(exist_ok=True)
Path("reports/result.json").write_text("{}")
"""
CHALLENGER = {"model": "mf", "md5": "0b37"}

pytestmark = pytest.mark.usefixtures("prefect_server")


class Team:
    """A project with nights in a clone of its own; `decide` answers what `outcome` says, requests go into a list."""

    def __init__(self, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.workspace, self.outcome = workspace, "promote"
        self.remote, self.clone = workspace.parent / "remote.git", workspace / ".bakeoff/nightly"
        self.asked: list[tuple[str, bool]] = []
        (workspace / ".gitignore").write_text(".bakeoff/\n")
        share(workspace, self.remote)
        for step in ("drift", "fetch"):
            monkeypatch.setattr(nightly, step, lambda *_: None)
        monkeypatch.setattr(nightly, "decide", task(self.decide))
        monkeypatch.setattr(nightly, "request_promotion", self.ask)

    def decide(self, clone: Path) -> dict[str, Any]:
        decision = {"outcome": self.outcome, "challenger": CHALLENGER, "reasons": ["not better"], "primary": None}
        (clone / "reports/decision").mkdir(parents=True, exist_ok=True)
        (clone / "reports/decision/decision.json").write_text(json.dumps(decision))
        return decision

    def ask(self, commit: str, workspace: Path, approval: bool, timeout: int) -> str:
        assert commit == call("git", "rev-parse", "HEAD", cwd=self.remote).strip()
        self.asked.append((commit, approval))
        return "Asked."

    def night(self, **parameters: Any) -> State[Any]:
        return nightly.nightly(self.workspace, return_state=True, **parameters)

    @property
    def sent(self) -> str:
        """Message of the newest commit at the remote."""
        return call("git", "log", "-1", "--all", "--format=%s", cwd=self.remote).strip()


@pytest.fixture
def team(project: Project, monkeypatch: pytest.MonkeyPatch) -> Team:
    return Team(project(STAGES, validate=VALIDATE, compare=COMPARE), monkeypatch)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Rows of the table of the last nights."""
    nights: list[Any] = []
    monkeypatch.setattr(nightly, "publish_night", lambda *night: nights.append(night))
    return nights


def test_a_night_that_is_cut_off_anywhere_is_resumed_by_the_next(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise BakeoffError("the power failed")

    for cut in ("push_data", "push_history", "request_promotion"):
        with monkeypatch.context() as night:
            night.setattr(nightly, cut, gone)
            state = team.night()
        assert state.is_failed()
        assert state.message == "the power failed"
        assert team.asked == []
    assert team.sent == "Nightly run: mf may go into production."
    state = team.night()
    assert state.is_completed()
    assert len(team.asked) == 1
    assert not nightly.stale_stages(team.clone)
    assert not nightly.is_undelivered(team.clone)
    assert team.night().name == "Unchanged"
    assert len(team.asked) == 1


def change_code(team: Team) -> None:
    """A commit at the remote after which the next night runs `compare` again."""
    (team.workspace / "compare.py").write_text(COMPARE + "# Written otherwise.")
    call("git", "commit", "--quiet", "--all", "--message", "compare", cwd=team.workspace)
    call("git", "pull", "--quiet", "--rebase", "origin", "HEAD", cwd=team.workspace)
    call("git", "push", "--quiet", "origin", "HEAD", cwd=team.workspace)


def test_a_newer_decision_replaces_a_promotion_that_was_not_answered(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unanswered(*_: object) -> None:
        raise BakeoffError("Nobody has answered")

    with monkeypatch.context() as night:
        night.setattr(nightly, "request_promotion", unanswered)
        assert team.night().message == "Nobody has answered"
    change_code(team)
    team.outcome = "hold"
    assert team.night().is_completed()
    assert team.night().name == "Unchanged"
    assert team.asked == []


@pytest.mark.parametrize("later", ["a newer commit", None])
def test_what_a_later_night_decided_while_a_promotion_waited_stays(
    team: Team, monkeypatch: pytest.MonkeyPatch, later: str | None
) -> None:
    pending = team.clone / nightly.PENDING

    def answered_late(*_: object) -> str:
        pending.unlink()
        if later:
            pending.write_text(later)
        return "Agreed."

    monkeypatch.setattr(nightly, "request_promotion", answered_late)
    assert team.night().is_completed()
    assert pending.exists() == bool(later)


def test_a_promotion_of_a_commit_that_was_dropped_is_not_requested(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise BakeoffError("the network is gone")

    with monkeypatch.context() as night:
        night.setattr(nightly, "push_history", gone)
        assert team.night().is_failed()
    call("git", "reset", "--quiet", "--hard", "HEAD~", cwd=team.clone)  # as the runbook says where results clash
    call("git", "clean", "--quiet", "-d", "--force", cwd=team.clone)
    monkeypatch.setattr(nightly, "stale_stages", lambda _: frozenset())
    assert team.night().name == "Unchanged"
    assert team.asked == []


TRAINING = """
  train:
    foreach: [mf]
    do:
      cmd: python train.py
      deps: [train.py, valid]
      outs: [model]
"""


def test_what_training_starts_from_is_copied_in_if_there_is_anything_to_train(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"validate": VALIDATE, "compare": COMPARE, "train": "open('model', 'w').write('1')"}
    stages = STAGES.replace("deps: [compare.py, valid]", "deps: [compare.py, model]")
    team = Team(project(stages + TRAINING, **files), monkeypatch)
    copied: list[Path] = []
    monkeypatch.setattr(nightly, "parents", copied.append)
    assert team.night().is_completed()
    assert copied == [team.clone.resolve()]
    change_code(team)
    assert team.night().is_completed()
    assert len(copied) == 1  # a night that trains nothing takes up no promotion


def test_a_remote_that_is_gone_for_a_while_is_tried_again(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    def gone_twice(*_: object) -> None:
        tries.append(len(tries))
        if len(tries) < 3:
            raise ChildError("failed", ["ERROR: unable to connect"])

    settings = nightly.CROSSING | {"retry_delay_seconds": 0}
    assert nightly.push_data.retries == settings["retries"] == 5
    monkeypatch.setattr(nightly, "push_data", task(gone_twice, **settings))
    assert team.night().is_completed()
    assert len(tries) == 3


def test_what_a_person_must_mend_is_not_tried_again() -> None:
    assert nightly.may_help(None, None, Failed(data=ChildError("the network is gone")))
    assert not nightly.may_help(None, None, Failed(data=BakeoffError("somebody's work")))


def test_only_a_database_that_cannot_be_reached_is_asked_again() -> None:
    assert nightly.is_unreachable(None, None, Failed(data=ChildError("failed", [], 75)))
    assert not nightly.is_unreachable(None, None, Failed(data=ChildError("failed", ["error: wrong password"], 1)))
    assert nightly.fetch.retry_delay_seconds == [15, 30, 60]


def test_a_model_that_is_not_better_is_delivered_and_nobody_is_asked(team: Team) -> None:
    team.outcome = "hold"
    state = team.night()
    assert state.message.startswith(
        "2 stages: 2 ran, 0 unchanged, 0 cached. mf does not go into production: not better Commit "
    )
    assert team.sent == "Nightly run: mf does not go into production: not better"
    assert team.asked == []
    assert call("git", "status", "--porcelain", cwd=team.clone) == ""
    assert team.night().name == "Unchanged"


def test_the_workspace_stays_as_it_is_with_all_that_somebody_does_there(team: Team) -> None:
    (team.workspace / "compare.py").write_text("tried out")
    (team.workspace / "private.txt").write_text("private")
    before = call("git", "status", "--porcelain", cwd=team.workspace)
    assert team.night().is_completed()
    assert call("git", "status", "--porcelain", cwd=team.workspace) == before
    assert not (team.workspace / "reports").exists()
    assert "private.txt" not in call("git", "ls-tree", "-r", "--name-only", "HEAD", cwd=team.remote)


def test_a_failed_stage_ends_the_night_and_nothing_is_delivered(team: Team, kept: list[Any]) -> None:
    (team.workspace / "compare.py").write_text("raise SystemExit('the disk is full')")
    call("git", "commit", "--quiet", "--all", "--message", "breaks it", cwd=team.workspace)
    call("git", "push", "--quiet", "origin", "HEAD", cwd=team.workspace)
    state = team.night()
    assert state.is_failed()
    assert "compare failed" in state.message
    assert team.sent == "breaks it"
    assert [(clone, ended) for clone, ended, _ in kept] == [(team.clone, "Failed")]


def test_packages_that_a_merged_lock_changes_stop_the_night_with_the_fix(team: Team) -> None:
    (team.workspace / "requirements.lock").write_text("pandas==0.1\n")
    call("git", "add", "requirements.lock", cwd=team.workspace)
    call("git", "commit", "--quiet", "--message", "new packages", cwd=team.workspace)
    call("git", "push", "--quiet", "origin", "HEAD", cwd=team.workspace)
    state = team.night()
    assert state.is_failed()
    assert "instead of ==0.1" in state.message
    assert "make .venv/.ready" in state.message
    assert not (team.clone / "valid").exists()


def test_without_an_identity_nothing_is_begun(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    call("git", "config", "--unset", "user.name", cwd=team.workspace)
    call("git", "config", "--unset", "user.email", cwd=team.workspace)
    call("git", "config", "user.useConfigOnly", "true", cwd=team.workspace)
    state = team.night()
    assert state.is_failed()
    assert "git config --global user.name" in state.message
    assert not team.clone.exists()


def test_data_that_have_drifted_too_far_end_the_night_before_anything_is_trained(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_few(_: Path) -> None:
        raise ChildError("`bakeoff drift` failed", ["Drift …", "error: Stop: far too few events."])

    monkeypatch.setattr(nightly, "drift", too_few)
    before = team.sent
    state = team.night()
    assert state.is_failed()
    assert state.message == "`bakeoff drift` failed: error: Stop: far too few events."
    assert (team.clone / "valid").exists()
    assert not (team.clone / "reports").exists()
    assert team.sent == before


def test_a_project_that_is_no_clone_says_so(project: Project) -> None:
    workspace = project(STAGES, validate=VALIDATE, compare=COMPARE)
    shutil.rmtree(workspace / ".git")
    state = nightly.nightly(workspace, return_state=True)
    assert state.is_failed()
    assert "no Git remote" in state.message


def test_sources_that_do_not_go_together_are_left_for_fetch_to_refuse(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[list[str]] = []
    monkeypatch.setattr(nightly, "take_steps", lambda _, options, *__: given.append(options) or Failed())
    team.night(inbox=tmp_path, queries=tmp_path)
    team.night(append=True)
    team.night(queries=tmp_path, append=True)
    query = ["--query", str(tmp_path)]
    assert given == [["--inbox", str(tmp_path), *query], ["--append"], [*query, "--append"]]


def test_the_password_of_the_database_reaches_the_child_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr(nightly, "run_child", lambda command, _, **options: given.append((command, options)))
    monkeypatch.setattr(nightly, "read_secret", lambda name, block: f"{name} or {block}")
    monkeypatch.setattr(nightly, "get_run_logger", logging.getLogger)
    nightly.fetch.fn(tmp_path, ["--query", "queries"])
    nightly.fetch.fn(tmp_path, ["--inbox", "inbox"])
    assert [command for command, _ in given] == [
        ["bakeoff", "fetch", "--query", "queries"],
        ["bakeoff", "fetch", "--inbox", "inbox"],
    ]
    secret = {"BAKEOFF_DATABASE_URL": "BAKEOFF_DATABASE_URL or bakeoff-database"}
    assert [options["variables"] for _, options in given] == [secret, None]


def test_an_error_that_people_can_act_on_is_the_nights_message(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise BakeoffError("The Prefect variable names no stage.")

    monkeypatch.setattr(nightly, "read_placement", refuse)
    assert team.night().message == "The Prefect variable names no stage."
