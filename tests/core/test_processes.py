import os
import subprocess
import sys
import time
from pathlib import Path

import lone_tasks
import pytest
from waiting import is_running

from bakeoff.core.errors import BakeoffError
from bakeoff.core.processes import process_pool, run_alone
from bakeoff.core.subprocesses import run_command

PARENT = "import lone_tasks; from bakeoff.core.processes import process_pool, run_alone; run_alone([lone_tasks.sleep])"


def test_tasks_share_one_process_that_is_not_this_one_and_is_gone_afterwards():
    first, second = run_alone([lone_tasks.pid, lone_tasks.pid])
    assert first == second != os.getpid()
    assert not is_running(first)


def test_an_error_in_a_task_is_raised_here():
    with pytest.raises(BakeoffError, match="Too large"):
        run_alone([lone_tasks.pid, lone_tasks.refuse, lone_tasks.pid])


def test_a_process_that_dies_is_reported():
    with pytest.raises(BakeoffError, match=r"A process that runs alone was ended: .*Its own output is above"):
        run_alone([lone_tasks.die])


def test_the_process_ends_with_a_parent_that_is_killed(tmp_path):
    said = tmp_path / "pid"
    environment = os.environ | {"SLEEPER": str(said), "PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen([sys.executable, "-c", PARENT], env=environment) as parent:
        while parent.poll() is None and not (said.exists() and said.read_text()):
            time.sleep(0.05)
        child = int(said.read_text())
        assert is_running(child)
        parent.kill()
    while is_running(child):  # hangs if it does not end
        time.sleep(0.05)


def test_a_pool_gives_results_in_order_and_in_processes_with_so_many_threads():
    with process_pool(2, 3, "computes", "Do less.") as pool:
        found = list(pool.results(lone_tasks.number_and_threads, range(9)))
        assert [number for number, _, _ in found] == list(range(9))
        assert {threads for _, threads, _ in found} == {"3"}
        others = {pid for _, _, pid in found}
        assert os.getpid() not in others
        assert 1 <= len(others) <= 2
    assert os.environ.get("OMP_NUM_THREADS") != "3"
    assert not any(is_running(pid) for pid in others)


def fail_while_it_sleeps(seen):
    with process_pool(1, 1, "sleeps", "Do less.") as pool:
        seen.append(next(pool.results(lone_tasks.sleep_from_one, range(2))))
        raise BakeoffError("Enough.")


def test_an_error_while_a_pool_is_at_work_ends_it_at_once():
    seen = []
    with pytest.raises(BakeoffError, match="Enough"):
        fail_while_it_sleeps(seen)
    assert not is_running(seen[0])


def test_a_process_of_a_pool_that_dies_is_told():
    with (
        pytest.raises(BakeoffError, match=r"A process that falls over was ended: .* Do less at once"),
        process_pool(2, 1, "falls over", "Do less at once.") as pool,
    ):
        list(pool.results(lone_tasks.fall_over, range(3)))


def test_a_command_that_takes_too_long_ends_with_the_processes_that_it_started(tmp_path):
    said = tmp_path / "pid"
    command = ["sh", "-c", f"sleep 60 & echo $! > {said}; wait"]
    with pytest.raises(subprocess.TimeoutExpired):
        run_command(command, timeout=1)
    assert not is_running(int(said.read_text()))


def test_a_command_gives_back_what_it_printed_whatever_its_status(tmp_path):
    done = run_command(["sh", "-c", "pwd; echo $WORD >&2; exit 3"], tmp_path, variables={"WORD": "hello"})
    assert (done.returncode, done.stdout, done.stderr) == (3, f"{tmp_path}\n", "hello\n")
