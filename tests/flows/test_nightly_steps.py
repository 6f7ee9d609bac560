"""The order of a night's steps, what a cut between them leaves, and who is asked: on a project of one small stage."""

import json
import logging
import shutil
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any
from uuid import uuid4

import pytest
from flow_project import Project, call
from prefect import get_client, task
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
from prefect.client.schemas.objects import FlowRun, State
from prefect.flow_runs import resume_flow_run
from prefect.states import Cancelled, Crashed
from small_project import share

import deliver
import nightly
from child import ChildError
from deliver import DeliveryError

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
    """A clone in which nights happen; `decide` and `promote` answer as they are told to."""

    def __init__(self, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.workspace, self.monkeypatch, self.outcome = workspace, monkeypatch, "promote"
        self.remote = workspace.parent / "remote.git"
        share(workspace, self.remote)
        for step in ("check_cache", "drift", "take_in"):
            monkeypatch.setattr(nightly, step, lambda *_: None)
        monkeypatch.setattr(nightly, "decide", task(self.decide))
        monkeypatch.setattr(nightly, "promote", task(self.promote))
        monkeypatch.setattr(nightly, "POLL_SECONDS", 1)

    def decide(self, workspace: Path) -> dict[str, Any]:
        decision = {"outcome": self.outcome, "challenger": CHALLENGER, "reasons": ["not better"], "primary": None}
        (workspace / "reports/decision").mkdir(parents=True, exist_ok=True)
        (workspace / "reports/decision/decision.json").write_text(json.dumps(decision))
        return decision

    def promote(self, workspace: Path) -> None:
        call("git", "tag", "--force", "mf#prod#1", cwd=workspace)

    def night(self, **parameters: Any) -> State[Any]:
        return nightly.nightly(self.workspace, return_state=True, **parameters)

    @property
    def sent(self) -> list[str]:
        """Tags at the remote, and the message of its newest commit."""
        tags = call("git", "tag", cwd=self.remote).split()
        return [*tags, call("git", "log", "-1", "--all", "--format=%s", cwd=self.remote).strip()]


@pytest.fixture
def team(project: Project, monkeypatch: pytest.MonkeyPatch) -> Team:
    monkeypatch.delenv("BAKEOFF_NOTIFY", raising=False)
    return Team(project(STAGES, validate=VALIDATE, compare=COMPARE), monkeypatch)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the table of the last nights was given."""
    nights: list[Any] = []
    monkeypatch.setattr(nightly, "publish_history", lambda *night: nights.append(night))
    return nights


def test_a_night_that_is_cut_off_anywhere_is_resumed_by_the_next(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise DeliveryError("the power failed")

    champion = ["softmax#prod#1"]
    call("git", "tag", *champion, cwd=team.workspace)
    call("git", "push", "--quiet", "origin", *champion, cwd=team.workspace)
    for cut in ("push_data", "promote", "push_history"):
        with monkeypatch.context() as night:
            night.setattr(nightly, cut, gone)
            state = team.night()
        assert state.is_failed()
        assert state.message == "the power failed"
        assert call("git", "tag", cwd=team.remote).split() == champion
        assert nightly.has_work(team.workspace)
    assert team.night().is_completed()
    assert team.sent == ["mf#prod#1", *champion, "Nightly run: mf goes into production."]
    assert not nightly.has_work(team.workspace)


def test_a_remote_that_is_gone_for_a_while_is_tried_again(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    def gone_twice(*_: object) -> None:
        tries.append(len(tries))
        if len(tries) < 3:
            raise ChildError("failed", ["ERROR: unable to connect"])

    monkeypatch.setattr(deliver, "push_data", gone_twice)
    monkeypatch.setattr(nightly, "push_data", nightly.push_data.with_options(retry_delay_seconds=0))
    assert team.night().is_completed()
    assert len(tries) == 3
    assert team.sent == ["mf#prod#1", "Nightly run: mf goes into production."]


def test_a_model_that_is_not_better_changes_nothing_in_production(team: Team) -> None:
    team.outcome = "hold"
    state = team.night()
    assert state.message.startswith(
        "2 stages: 2 ran, 0 unchanged, 0 cached. mf does not go into production: not better"
    )
    assert team.sent == ["Nightly run: mf does not go into production: not better"]
    assert team.night().name == "Unchanged"


def test_a_failed_stage_ends_the_night_and_nothing_is_delivered(
    team: Team, told: list[tuple[str, str]], kept: list[Any]
) -> None:
    (team.workspace / "compare.py").write_text("raise SystemExit('the disk is full')")
    call("git", "commit", "--quiet", "--all", "--message", "breaks it", cwd=team.workspace)
    state = team.night()
    assert state.is_failed()
    assert "compare failed" in state.message
    assert team.sent == [""]
    ((title, body),) = told
    assert title.endswith(" ended as Failed")
    assert body.startswith(state.message)
    assert "Production is as it was. What to do: docs/runbook.md" in body
    assert [(workspace, ended) for workspace, ended, _ in kept] == [(team.workspace, "Failed")]


def test_a_run_that_crashed_or_was_cancelled_may_have_delivered_and_says_where_to_look(
    told: list[tuple[str, str]],
) -> None:
    for ended in (Crashed(message="The process was killed."), Cancelled(message="Somebody pressed Cancel.")):
        nightly.tell_of_failure(nightly.nightly, FlowRun(flow_id=uuid4(), name="brave-owl"), ended)
    assert [title for title, _ in told] == [f"Bakeoff: brave-owl ended as {name}" for name in ("Crashed", "Cancelled")]
    assert all("`bakeoff status` says what is in production." in body for _, body in told)


def test_a_table_that_fails_takes_no_night_with_it(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("no such file")

    monkeypatch.setattr(nightly, "publish_history", broken)
    assert team.night().is_completed()
    assert team.sent == ["mf#prod#1", "Nightly run: mf goes into production."]


def test_data_that_have_drifted_too_far_end_the_night_before_anything_is_trained(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_few(_: Path) -> None:
        raise ChildError("failed", ["Drift …", "error: Stop: far too few events."])

    monkeypatch.setattr(nightly, "drift", too_few)
    state = team.night()
    assert state.is_failed()
    assert state.message == "Stop: far too few events."
    assert (team.workspace / "valid").exists()
    assert not (team.workspace / "reports").exists()
    assert team.sent == [""]


def test_a_project_that_is_no_clone_says_so(project: Project) -> None:
    workspace = project(STAGES, validate=VALIDATE, compare=COMPARE)
    shutil.rmtree(workspace / ".git")
    state = nightly.nightly(workspace, return_state=True)
    assert state.is_failed()
    assert "no Git repository" in state.message


def answered(runs: list[FlowRun]) -> bool:
    """Answer as soon as the run waits for it; it says so a moment before it can be answered."""
    if not (runs and runs[0].state and runs[0].state.is_paused()):
        return False
    try:
        resume_flow_run(runs[0].id, run_input={"approve": True, "by": "Ada"})
    except RuntimeError as refusal:
        if "schema not found" not in str(refusal):
            raise
        return False
    return True


def test_a_person_is_asked_and_the_answer_holds(team: Team) -> None:
    ended: list[State[Any]] = []
    run = nightly.nightly.with_options(flow_run_name="asked")
    thread = Thread(target=lambda: ended.append(run(team.workspace, approval=True, return_state=True)), daemon=True)
    thread.start()
    with get_client(sync_client=True) as client:
        wanted = FlowRunFilter(name=FlowRunFilterName(any_=["asked"]))
        while not answered(client.read_flow_runs(flow_run_filter=wanted)):
            assert thread.is_alive(), ended
            sleep(0.2)
    thread.join()
    assert ended[0].is_completed(), ended[0].message
    assert team.sent == ["mf#prod#1", "Nightly run: mf goes into production."]


def test_a_person_who_does_not_agree_is_obeyed(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = nightly.Approval(approve=False, by="Ada")
    monkeypatch.setattr(nightly, "pause_flow_run", lambda **_: answer)
    monkeypatch.setattr(nightly, "get_run_logger", lambda: logging.getLogger("run"))
    assert not nightly.is_approved(team.workspace, {"challenger": CHALLENGER}, 60)
    assert not (team.workspace / nightly.APPROVED).exists()


def test_a_model_that_was_agreed_to_is_not_asked_about_again(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nightly, "pause_flow_run", lambda **_: pytest.fail("asked again"))
    (team.workspace / nightly.APPROVED).write_text(CHALLENGER["md5"])
    assert nightly.is_approved(team.workspace, {"challenger": CHALLENGER}, 60)


def test_nobody_answers_and_production_stays_as_it_is(team: Team) -> None:
    state = team.night(approval=True, approval_timeout_seconds=1)
    assert "was not approved" in state.message
    assert team.sent == ["Nightly run: mf may go into production, and was not approved."]
