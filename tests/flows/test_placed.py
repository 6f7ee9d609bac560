"""A placed stage as its worker sees it: the clone, what is sent of it, and what is kept."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from platform import node
from threading import Event
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from flow_project import FLOWS, Project, call
from placed_project import RAW, RAW_MD5, REPORT, new_project
from prefect import flow

import failed_checks
import placed_run
from child import ChildError
from clones import CACHE, CHECKPOINTS, FAILED, UNSENT, clone, forget_failed, has_unsent
from placed import check_environment, placed, run_here
from placed_run import Patience, run_on
from shipment import Shipment

LOCK = {"dvc.lock": "schema: '2.0'\n"}


@dataclass
class Machine:
    """A worker's directory, and what `validate` of the project printed there."""

    home: Path
    project: Path
    said: list[str] = field(default_factory=list)

    @property
    def revision(self) -> str:
        return call("git", "rev-parse", "HEAD", cwd=self.project).strip()

    def clone(self) -> AbstractContextManager[Path]:
        return clone(self.home, str(uuid4()), str(self.project), "HEAD", self.revision, LOCK, print)

    def validate(self) -> None:
        self.said.clear()
        with self.clone() as root:
            run_here("validate", root, self.said.append, 600)


@pytest.fixture
def machine(project: Project, tmp_path: Path) -> Machine:
    """With the stage's input in its cache."""
    cached = tmp_path / "home" / CACHE / "md5" / RAW_MD5[:2] / RAW_MD5[2:]
    cached.parent.mkdir(parents=True)
    cached.write_text(RAW)
    return Machine(tmp_path / "home", new_project(project, tmp_path))


def test_a_result_that_could_not_be_sent_is_sent_by_the_next_run_and_not_made_again(machine: Machine) -> None:
    local = machine.home / ".dvc/config.local"
    local.write_text("['remote \"store\"']\n    url = /dev/null/gone\n")
    with pytest.raises(ChildError, match=r"could not be sent from the worker to DVC's remote.*not repeated"):
        machine.validate()
    local.unlink()
    machine.validate()
    said = "\n".join(machine.said)
    assert "cached - skipping run" in said
    assert "validated in" not in said
    assert not any(path.is_file() for path in (machine.home / UNSENT).rglob("*"))
    # What a training left to go on from is the worker's, not the clone's.
    assert (machine.home / CHECKPOINTS).is_dir()
    # The next one is given nothing of earlier runs.
    with machine.clone() as root:
        assert not has_unsent(root)


@pytest.mark.usefixtures("prefect_server")
def test_what_failed_checks_found_is_here_and_all_that_the_stage_left_stays_there(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at_once(_: str, parameters: dict[str, Any], **__: object) -> SimpleNamespace:
        """What a worker does when it is asked to."""
        return SimpleNamespace(id=placed(**parameters, return_state=True).state_details.flow_run_id)

    @flow
    def parent() -> None:
        shipment = Shipment(str(machine.project), "HEAD", machine.revision, LOCK)
        patience = Patience(600, 600)
        run_on("near", "validate", shipment, machine.project, patience, log=machine.said.append, stop=Event())

    monkeypatch.setenv("VERDICT", '{"success": false}')
    monkeypatch.setattr(placed_run, "run_deployment", at_once)
    monkeypatch.chdir(machine.home)
    with pytest.raises(ChildError, match=r"^failed on near\. Its last lines:(.|\n)*error: too many rows") as error:
        parent()
    assert (machine.project / REPORT).read_text() == '{"success": false}'
    (kept,) = (machine.home / FAILED / "validate").iterdir()
    assert (kept / REPORT).read_text() == '{"success": false}'
    assert error.value.tail[-1] == f"What validate left lies on {node()} in {kept}, until it is placed there again."
    forget_failed(machine.home, "validate")
    assert not kept.exists()


def test_reports_that_do_not_arrive_are_told_beside_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise OSError("the server is gone")

    monkeypatch.setattr(failed_checks, "create_table_artifact", gone)
    report = tmp_path / REPORT
    report.parent.mkdir(parents=True)
    report.write_text("{}")
    said: list[str] = []
    failed_checks.send_checks(tmp_path, said.append)
    asked: Any = SimpleNamespace(read_artifacts=gone)
    failed_checks.take_checks(asked, uuid4(), tmp_path, said.append)
    what = ("could not be sent", "could not be brought here")
    assert said == [f"What its checks found {each}: the server is gone" for each in what]


def test_nothing_is_kept_of_a_stage_that_filled_the_disk(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERDICT", "{}")
    monkeypatch.setenv("ERROR", "OSError: [Errno 28] No space left on device")
    monkeypatch.setattr(failed_checks, "create_table_artifact", lambda *_, **__: None)
    with pytest.raises(ChildError, match="the disk is full"):
        machine.validate()
    assert not (machine.home / FAILED).exists()


def test_other_packages_than_the_revision_pins_are_refused(tmp_path: Path) -> None:
    check_environment(FLOWS.parent / "requirements.lock")
    lock = tmp_path / "requirements.lock"
    lock.write_text("dvc==3.0.0 \\\n    --hash=sha256:0\nno-such-package==1 ; sys_platform == 'none'\n")
    with pytest.raises(ChildError, match=r"pins: dvc 3\.\S+, not ==3\.0\.0\. On the worker: check the revision out"):
        check_environment(lock)
