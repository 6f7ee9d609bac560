"""Promotion: who is asked, what an answer does, and that waiting holds no lock; on one decided commit."""

import json
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any
from uuid import uuid4

import psutil
import pytest
from flow_project import Project, call
from placed_project import Worker, deploy, new_pool
from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
from prefect.client.schemas.objects import FlowRun, State
from prefect.flow_runs import resume_flow_run
from small_project import share
from waiting import until

from bakeoff.flows import promote as module
from bakeoff.flows.dvc_stages import only_run
from bakeoff.flows.promote import promote

DECISION = {
    "outcome": "promote",
    "challenger": {"model": "mf", "md5": "0b37"},
    "champion": None,
    "reasons": ["better"],
}

pytestmark = pytest.mark.usefixtures("prefect_server")
IDENTITY = ("-c", "user.name=Test", "-c", "user.email=test@localhost")


class Team:
    """A workspace whose only commit is decided on; `bakeoff promote --push` is a tag here."""

    def __init__(self, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.workspace, self.remote, self.refuses = workspace, workspace.parent / "remote.git", False
        self.decide("promote")
        share(workspace, self.remote)
        self.commit = call("git", "rev-parse", "HEAD", cwd=workspace).strip()
        monkeypatch.setattr(module, "run_child", self.run_child)
        monkeypatch.setattr(module, "POLL_SECONDS", 1)

    def decide(self, outcome: str) -> None:
        (self.workspace / "reports/decision").mkdir(parents=True, exist_ok=True)
        (self.workspace / "reports/decision/decision.json").write_text(json.dumps(DECISION | {"outcome": outcome}))

    def run_child(self, command: list[str], directory: Path, **_: Any) -> None:
        assert command == ["bakeoff", "promote", "--push"]
        assert call("git", "rev-parse", "HEAD", cwd=directory).strip() == self.commit
        assert not directory.is_relative_to(self.workspace)
        if not self.refuses:
            call("git", *IDENTITY, "tag", "mf#prod#2", "--message", "x", cwd=directory)
            call("git", "push", "--quiet", "origin", "mf#prod#2", cwd=directory)

    def promote(self, **parameters: Any) -> State[Any]:
        return promote(self.commit, self.workspace, return_state=True, **parameters)

    @property
    def in_production(self) -> list[str]:
        return call("git", "tag", cwd=self.remote).split()


@pytest.fixture
def team(project: Project, monkeypatch: pytest.MonkeyPatch) -> Team:
    return Team(project("stages: {}"), monkeypatch)


def answered(runs: list[FlowRun], **answer: object) -> bool:
    """Answer as soon as the run waits for it; it says so a moment before it can be answered."""
    if not (runs and runs[0].state and runs[0].state.is_paused()):
        return False
    try:
        resume_flow_run(runs[0].id, run_input=answer)
    except RuntimeError as refusal:
        if "schema not found" not in str(refusal):
            raise
        return False
    return True


@pytest.mark.parametrize(("agrees", "tags"), [(True, ["mf#prod#2"]), (False, [])])
def test_the_first_promotion_asks_even_without_approval_and_waiting_locks_nothing(
    team: Team, agrees: bool, tags: list[str]
) -> None:
    ended: list[State[Any]] = []
    name = f"asked-{uuid4()}"
    run = promote.with_options(flow_run_name=name)

    def ask() -> None:
        ended.append(run(team.commit, team.workspace, approval=False, return_state=True))

    thread = Thread(target=ask, daemon=True)
    thread.start()
    with get_client(sync_client=True) as client:
        wanted = FlowRunFilter(name=FlowRunFilterName(any_=[name]))
        with only_run(team.workspace, print):  # a night can work meanwhile
            while not answered(client.read_flow_runs(flow_run_filter=wanted), approve=agrees, by="Ada"):
                assert thread.is_alive(), ended
                sleep(0.2)
            thread.join()
    assert ended[0].is_completed(), ended[0].message
    assert ended[0].name == ("Completed" if agrees else "Not approved")
    assert team.in_production == tags


@pytest.mark.parametrize("approval", [False, True])
def test_later_ones_ask_only_where_approval_is_wanted(
    team: Team, monkeypatch: pytest.MonkeyPatch, approval: bool
) -> None:
    call("git", *IDENTITY, "tag", "softmax#prod#1", "--message", "x", cwd=team.workspace)
    call("git", "push", "--quiet", "origin", "softmax#prod#1", cwd=team.workspace)
    asked: list[str] = []
    monkeypatch.setattr(module, "is_approved", lambda model, *_: asked.append(model) or True)
    assert team.promote(approval=approval).is_completed()
    assert asked == (["mf"] if approval else [])
    assert team.in_production == ["mf#prod#2", "softmax#prod#1"]


def test_nobody_answers_and_production_stays_as_it_is(team: Team) -> None:
    state = team.promote(approval_timeout_seconds=1)
    assert state.is_failed()
    assert team.in_production == []


def test_a_promotion_that_changes_nothing_does_not_claim_to(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one of bytes that a rollback has taken out of production meanwhile."""
    monkeypatch.setattr(module, "is_approved", lambda *_: True)
    team.refuses = True
    assert team.promote().name == "Not promoted"


def test_a_commit_that_is_not_to_be_promoted_is_refused(team: Team) -> None:
    team.decide("hold")
    call("git", "commit", "--quiet", "--all", "--message", "held", cwd=team.workspace)
    call("git", "push", "--quiet", "origin", "HEAD", cwd=team.workspace)
    team.commit = call("git", "rev-parse", "HEAD", cwd=team.workspace).strip()
    state = team.promote()
    assert state.is_failed()
    assert "says hold, not promote" in state.message


def test_a_deployed_promotion_is_suspended_while_it_waits_and_goes_on_with_the_answer(
    team: Team, prefect_server: str, tmp_path: Path
) -> None:
    new_pool("nights")
    deploy("nights", "flows/promote.py:promote", "promote")
    worker = Worker(tmp_path / "worker", "nights", prefect_server, team.workspace)
    try:
        told = module.request_promotion(team.commit, Path(), approval=False, timeout=600)
        with get_client(sync_client=True) as client:
            wanted = FlowRunFilter(name=FlowRunFilterName(any_=[f"promote {team.commit}"]))
            found: list[FlowRun] = []
            until(lambda: found.extend(client.read_flow_runs(flow_run_filter=wanted)) or found)
            id = found[0].id
            assert "decides on production" in told
            until(lambda: client.read_flow_run(id).state.name == "Suspended")
            until(lambda: len(psutil.Process(worker.process.pid).children()) == 0)  # it is free for other runs
            resume_flow_run(id, run_input={"approve": True, "by": "Ada"})
            until(lambda: client.read_flow_run(id).state.is_final())
            # `bakeoff promote` was reached; this small project has trained nothing.
            assert "records no models/mf in dvc.lock" in client.read_flow_run(id).state.message
    finally:
        worker.close()
        with get_client(sync_client=True) as client:  # other tests find no such deployment
            client.delete_deployment(client.read_deployment_by_name("promote/promote").id)
