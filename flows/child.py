"""A command as a child process that can be watched line by line and ended as a whole."""

import codecs
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event

Log = Callable[[str], None]

NEVER = Event()
"""The default of `stop`: nobody sets it."""

TAIL_LINES = 20
"""Lines of output that a failure quotes."""

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
_POLL_SECONDS = 0.2
_GRACE_SECONDS = 10.0


class ChildError(Exception):
    """A child process that did not succeed: why, the last lines that it printed, and its exit status if it has one."""

    def __init__(self, reason: str, tail: Sequence[str] = (), status: int | None = None) -> None:
        super().__init__(reason, tuple(tail), status)  # all, so that it can be pickled
        self.reason = reason
        self.tail = tuple(tail)
        self.status = status

    @property
    def told(self) -> str:
        """The sentence for people that the command ended with, `error: …`; the reason where there is none."""
        found = [line.partition(": ")[2] for line in self.tail if line.lower().startswith("error: ")]
        return found[-1] if found else self.reason

    def __str__(self) -> str:
        """The reason, then the last lines, indented."""
        return "\n  ".join([self.reason + (". Its last lines:" if self.tail else "."), *self.tail])


def environment() -> dict[str, str]:
    """This process's environment, with this Python's commands first on PATH and unbuffered output.

    Stages call `python` and `bakeoff` by name. Without PYTHONUNBUFFERED lines would come in blocks of 8 KiB.
    """
    commands = str(Path(sys.executable).parent)
    path = os.pathsep.join([commands, os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"}


def run_child(
    command: Sequence[str],
    directory: Path,
    *,
    log: Log,
    timeout: float,
    stop: Event = NEVER,
    grace: float = _GRACE_SECONDS,
    secrets: Mapping[str, str] | None = None,
) -> None:
    """Run a command to its end, passing each line that it prints to `log` as it comes.

    The child leads a process group of its own. However this function is left, the whole group is gone then.

    Args:
        command: Program and arguments; no shell.
        directory: Where it runs.
        log: Gets each line of stdout and stderr, without colours and without a progress bar's earlier states.
        timeout: Seconds after which the group is ended.
        stop: Ends the group when someone sets it.
        grace: Seconds between SIGTERM and SIGKILL.
        secrets: Further variables of the child's environment.

    Raises:
        ChildError: the command failed, took longer than `timeout`, or was stopped.
    """
    deadline = time.monotonic() + timeout
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    process = subprocess.Popen(
        command,
        cwd=directory,
        env={**environment(), **(secrets or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        for line in _lines(process, deadline, stop):
            tail.append(line)
            log(line)
        status = process.wait(max(0.0, deadline - time.monotonic()))
    except (TimeoutError, subprocess.TimeoutExpired):
        raise ChildError(f"took longer than {timeout:g} s and was ended", tail) from None
    except InterruptedError:
        raise ChildError("was stopped", tail) from None
    finally:
        _end_group(process, grace)
    if status:
        raise ChildError("failed" if status > 0 else f"was ended by signal {-status}", tail, status)


def read_output(command: Sequence[str], directory: Path) -> str:
    """What a short command prints on stdout, stripped.

    Raises:
        ChildError: the command failed; quotes its stderr.
    """
    answer = subprocess.run(
        command,
        cwd=directory,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        tail = answer.stderr.strip().splitlines()[-TAIL_LINES:]
        raise ChildError(f"`{' '.join(command)}` failed in {directory.resolve()}", tail)
    return answer.stdout.strip()


def _lines(process: subprocess.Popen[bytes], deadline: float, stop: Event) -> Iterator[str]:
    """Yield what is printed, until it ends; TimeoutError after the deadline, InterruptedError on `stop`."""
    if process.stdout is None:
        return
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if stop.is_set():
                raise InterruptedError
            if time.monotonic() > deadline:
                raise TimeoutError
            ended = process.poll() is not None  # asked before the pipe is: then all that it printed is in there
            if selector.select(0 if ended else _POLL_SECONDS):
                chunk = os.read(process.stdout.fileno(), 65536)
                if not chunk:
                    break
                *lines, rest = (rest + decoder.decode(chunk)).split("\n")
                yield from filter(None, map(_clean, lines))
                rest = rest[rest.rfind("\r", 0, -1) + 1 :]  # only a progress bar's last state is kept
            elif ended:
                break  # a process that left the group still holds the pipe: not waited for
    yield from filter(None, [_clean(rest)])


def _clean(line: str) -> str:
    """Remove colours, and all but the last state of a progress bar that redraws itself."""
    states = [state for state in _ANSI.sub("", line).split("\r") if state.strip()]
    return states[-1].rstrip() if states else ""


def _end_group(process: subprocess.Popen[bytes], grace: float) -> None:
    """End every process that is left in the group: SIGTERM, after `grace` seconds SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        until = time.monotonic() + grace
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
            while time.monotonic() < until:
                process.poll()  # reaps the leader, which would keep the group alive as a zombie
                os.killpg(process.pid, 0)
                time.sleep(0.02)
            continue
        break
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
