"""Two runs at once, stages that hang, processes that get away, and clocks that jump."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Thread

import pytest
from tiny_project import dvc, new_project
from waiting import is_running, until

from bakeoff.core import subprocesses
from bakeoff.core.subprocesses import ChildError, run_child
from bakeoff.flows.dvc_stages import only_run, run_stage
from bakeoff.ops.registry.history import enter, production, read_events

FLOWS = Path(__file__).parents[2] / "flows"
RUN = """
import sys
from pathlib import Path
from bakeoff.flows.dvc_stages import only_run
from bakeoff.flows.dvc_stages import run_stage
def say(line): print(line, flush=True)
with only_run(Path(), say):
    say('begins')
    say(run_stage('first', Path(), log=say, timeout=60))
say('ends')
"""
STUBBORN = """
import signal, subprocess, sys, time
from pathlib import Path
signal.signal(signal.SIGTERM, signal.SIG_IGN)
ignore = 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)'
children = [subprocess.Popen([sys.executable, '-c', ignore], start_new_session=away) for away in (False, True)]
Path('pids').write_text(' '.join(str(child.pid) for child in children))
Path(sys.argv[1]).write_text('half')
time.sleep(600)
"""
HANGING = "stages: {hang: {cmd: python stubborn.py out, deps: [stubborn.py], outs: [out]}}"


def test_of_two_runs_at_once_the_second_waits_and_both_end_well(tmp_path: Path) -> None:
    project = new_project(tmp_path / "project")
    (project / "wait").touch()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(FLOWS), str(FLOWS.parent / "src")])}

    def begin() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", RUN], cwd=project, env=environment, stdout=subprocess.PIPE, text=True
        )

    with begin() as first:
        until((project / "begun").exists)
        with begin() as second:
            assert second.stdout is not None
            assert second.stdout.readline() == f"Another run is at work in {project}: waiting for its end.\n"
            assert first.poll() is None
            (project / "wait").unlink()
            assert first.communicate()[0].splitlines()[-2:] == ["Ran", "ends"]
            said = second.communicate()[0].splitlines()
    assert first.returncode == second.returncode == 0
    assert said[0] == "begins"
    assert said[-2:] == ["Unchanged", "ends"]
    assert "second" in dvc("status", cwd=project)  # and nothing else: `first` is up to date
    assert "first:" not in dvc("status", cwd=project)


def test_a_stage_that_hangs_is_ended_with_its_group_but_not_with_who_left_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = new_project(tmp_path / "project", HANGING, commit=False)
    (project / "stubborn.py").write_text(STUBBORN)
    monkeypatch.setattr(subprocesses, "GRACE_SECONDS", 0.5)
    stop = Event()

    def when_it_hangs() -> None:
        until((project / "out").exists)
        stop.set()

    Thread(target=when_it_hangs).start()
    with only_run(project, print), pytest.raises(ChildError, match="was stopped"):
        run_stage("hang", project, log=print, timeout=600, stop=stop)
    within, away = map(int, (project / "pids").read_text().split())
    try:
        until(lambda: not is_running(within))  # DVC runs in a fork, which ends when the command that asked for it has
        assert is_running(away)
    finally:
        os.kill(away, signal.SIGKILL)
    assert not (project / "dvc.lock").exists()
    assert "hang" in dvc("status", cwd=project)


@pytest.mark.parametrize("hours", [-24, 24])
def test_a_clock_that_jumps_neither_ends_a_stage_nor_keeps_it_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    wall = time.time
    jump = [0.0]
    monkeypatch.setattr(time, "time", lambda: wall() + jump[0])

    def log(line: str) -> None:
        jump[0] = 3600.0 * hours

    run_child([sys.executable, "-c", "print('jump', flush=True)"], tmp_path, log=log, timeout=600)
    with pytest.raises(ChildError, match=r"longer than 0\.5 s"):
        run_child([sys.executable, "-c", "import time; time.sleep(600)"], tmp_path, log=log, timeout=0.5)


def test_what_is_in_production_does_not_depend_on_a_clock_that_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = new_project(tmp_path / "project")
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=project, capture_output=True, text=True).stdout.strip()
    for model, now in (("mf", 1_700_000_000), ("softmax", 1_600_000_000), ("ease", 1_600_000_000)):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        enter(project, model, head, "Action: promote", push=False)
        standing = production(read_events(project))
        assert standing is not None
        assert standing.version.model == model
