import os
import selectors
import sys
import time
from pathlib import Path
from threading import Event, Timer

import pytest
from waiting import is_running

from bakeoff.core import subprocesses
from bakeoff.core.subprocesses import ChildError, environment, read_output, run_child


def run(code: str, tmp_path: Path, timeout: float = 20, **options: object) -> list[str]:
    lines: list[str] = []
    run_child([sys.executable, "-c", code], tmp_path, log=lines.append, timeout=timeout, **options)
    return lines


GRANDCHILD = "sleep 60 & echo $! > pid"
"""Of a shell, which is there at once; a signal that it ignores is ignored by what it starts."""


def run_shell(code: str, tmp_path: Path, timeout: float = 20) -> None:
    run_child(["sh", "-c", code], tmp_path, log=print, timeout=timeout)


def test_a_line_comes_while_the_child_still_runs(tmp_path: Path) -> None:
    times: list[float] = []
    code = "import time; print('first'); time.sleep(1); print('second')"
    run_child([sys.executable, "-c", code], tmp_path, log=lambda _: times.append(time.monotonic()), timeout=20)
    assert times[1] - times[0] > 0.8


def test_stdout_and_stderr_come_in_the_order_in_which_they_were_printed(tmp_path: Path) -> None:
    assert run("import sys; print(1); print(2, file=sys.stderr); print(3)", tmp_path) == ["1", "2", "3"]


def test_a_last_line_without_line_end_comes_too(tmp_path: Path) -> None:
    assert run("print('end', end='')", tmp_path) == ["end"]


def test_what_a_child_prints_while_nobody_looks_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(selectors.DefaultSelector):
        """Returns with nothing when the child has printed its last line and has ended, as on a busy machine."""

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if (tmp_path / "go").exists():
                return super().select(timeout)
            (tmp_path / "go").touch()
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
            return []

    monkeypatch.setattr(selectors, "DefaultSelector", Late)
    code = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('last')"
    assert run(code, tmp_path) == ["last"]


def test_colours_are_removed(tmp_path: Path) -> None:
    assert run(r"print('\x1b[31mred\x1b[0m \x1b]8;;x\x07link')", tmp_path) == ["red link"]


def test_a_progress_bar_leaves_its_last_state(tmp_path: Path) -> None:
    code = r"print(*(f'\r{n} %' for n in range(0, 101, 10)), sep='', end='\n'); print('done\r')"
    assert run(code, tmp_path) == ["100 %", "done"]


def test_bytes_that_are_not_utf_8_do_not_stop_the_log(tmp_path: Path) -> None:
    assert run(r"import sys; sys.stdout.buffer.write(b'\xff ok\n')", tmp_path) == ["\ufffd ok"]


def test_a_failure_quotes_the_last_twenty_lines(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match=r"^failed\. Its last lines:") as caught:
        run("import sys; [print(n) for n in range(30)]; sys.exit(3)", tmp_path)
    assert caught.value.tail == tuple(str(n) for n in range(10, 30))


def test_a_child_that_was_killed_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match="ended by signal 9"):
        run("import os; os.kill(os.getpid(), 9)", tmp_path)


def test_bytes_that_are_not_text_reach_another_command_as_they_were(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt")).write_text("found")
    name = read_output(["ls"], tmp_path)
    assert read_output(["cat", name], tmp_path) == "found"
    with pytest.raises(ChildError) as caught:
        read_output(["cat", f"{name}.old"], tmp_path)
    assert r"caf\udce9.txt.old" in str(caught.value)
    str(caught.value).encode()  # can be printed, logged and sent


def test_a_timeout_ends_what_the_child_started_too(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match=r"longer than 1 s"):
        run_shell(f"{GRANDCHILD}; wait", tmp_path, timeout=1)
    assert not is_running(int((tmp_path / "pid").read_text()))


def test_processes_that_ignore_sigterm_are_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocesses, "GRACE_SECONDS", 0.5)
    with pytest.raises(ChildError, match=r"longer than 1 s"):
        run_shell(f"trap '' TERM; {GRANDCHILD}; wait", tmp_path, timeout=1)
    assert not is_running(int((tmp_path / "pid").read_text()))


def test_a_child_that_closes_its_output_is_still_ended_in_time(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match="longer than 1 s"):
        run("import os, time; os.close(1); os.close(2); time.sleep(60)", tmp_path, timeout=1)


def test_a_process_left_behind_does_not_outlive_the_child(tmp_path: Path) -> None:
    run_shell(GRANDCHILD, tmp_path)
    assert not is_running(int((tmp_path / "pid").read_text()))


def test_someone_else_can_stop_the_child(tmp_path: Path) -> None:
    stop = Event()
    Timer(0.5, stop.set).start()
    with pytest.raises(ChildError, match="was stopped"):
        run("import time; time.sleep(60)", tmp_path, stop=stop)


def test_children_find_this_pythons_commands_first(tmp_path: Path) -> None:
    assert environment(tmp_path)["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)


def test_a_short_command_that_fails_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match=r"(?s)`git rev-parse HEAD` failed in .*not a git repository"):
        read_output(["git", "rev-parse", "HEAD"], tmp_path)
