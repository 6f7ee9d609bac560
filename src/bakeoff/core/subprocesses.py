"""Commands as child processes: read line by line, and ended with their whole process group."""

import codecs
import os
import re
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Any

from bakeoff.core.errors import BakeoffError, visible
from bakeoff.core.processes import end_group

Log = Callable[[str], None]

Env = Mapping[str, str] | None
"""Further variables of the environment of a child process."""

NEVER = Event()
"""Default of `stop`: an event that is never set."""

GRACE_SECONDS = 10.0
"""Between SIGTERM and SIGKILL."""

TAIL_LINES = 20
"""Lines of output that an error quotes."""

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
_POLL_SECONDS = 0.2


class ChildError(BakeoffError):
    """A child process that failed: the reason, the last lines that it printed, and its exit status if it has one."""

    def __init__(self, reason: str, tail: Sequence[str] = (), status: int | None = None) -> None:
        super().__init__(reason, tuple(tail), status)  # all three, so that it can be pickled
        self.reason = reason
        self.tail = tuple(tail)
        self.status = status

    @property
    def summary(self) -> str:
        """The reason and the last line, for the state of a run."""
        return ": ".join([self.reason, *self.tail[-1:]])

    def __str__(self) -> str:
        """The reason, then the last lines, indented."""
        return "\n  ".join([self.reason + (". Its last lines:" if self.tail else "."), *self.tail])


def environment(directory: Path) -> dict[str, str]:
    """Environment of a child process that works in a directory.

    - PATH begins with this Python's commands, since stages call `python` and `bakeoff` by name.
    - PYTHONPATH begins with the directory's own `src`, where it has one, so that the code that runs is the code that
      DVC hashes, whatever directory the environment was installed from.
    - Without PYTHONUNBUFFERED lines would come in blocks of 8 KiB.
    - Git never asks for a password.
    """
    commands, source = str(Path(sys.executable).parent), directory.resolve() / "src"
    settings = {**os.environ, "PYTHONUNBUFFERED": "1", "GIT_TERMINAL_PROMPT": "0"}
    settings["PATH"] = os.pathsep.join([commands, os.environ.get("PATH", os.defpath)])
    if (source / "bakeoff").is_dir():
        settings["PYTHONPATH"] = os.pathsep.join([str(source), *filter(None, [os.environ.get("PYTHONPATH")])])
    return settings


def run_child(
    command: Sequence[str], directory: Path, *, log: Log, timeout: float, stop: Event = NEVER, variables: Env = None
) -> None:
    """Run a command to its end, passing each line that it prints to `log` as it comes.

    The child leads a process group of its own, which has ended when this function returns or raises. It inherits file
    descriptors that are inheritable, such as the lock of a workspace: if this process is killed, the lock is held
    until the child has ended too.

    Args:
        command: Program and arguments; no shell.
        directory: Where it runs.
        log: Gets each line of stdout and stderr, without colours and without a progress bar's earlier states.
        timeout: Seconds after which the group is ended.
        stop: Ends the group when someone sets it.
        variables: Further variables of the child's environment.

    Raises:
        ChildError: the command failed, took longer than `timeout`, or was stopped.
    """
    deadline = time.monotonic() + timeout
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    settings = {**environment(directory), **(variables or {})}
    # What may be inherited is.
    process = _started(command, directory, settings, stderr=subprocess.STDOUT, close_fds=False)
    with process:
        try:
            for line in _lines(process, deadline, stop):
                tail.append(line)
                log(line)
            status = process.wait(max(0.0, deadline - time.monotonic()))
        except (TimeoutError, subprocess.TimeoutExpired):
            raise ChildError(_overdue(timeout), tail) from None
        except InterruptedError:
            raise ChildError("was stopped", tail) from None
        finally:
            end_group(process, GRACE_SECONDS)
    if status:
        raise ChildError("failed" if status > 0 else f"was ended by signal {-status}", tail, status)


def run_command(
    command: Sequence[str], directory: Path | None = None, *, variables: Env = None, timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return what it printed; whatever its exit status is.

    Bytes that are not text, such as those of a file's name, come as lone surrogates and can be passed to another
    command. A message shows them by `visible`.

    The child leads a process group of its own, which ends as a whole if this call is interrupted or times out.

    Args:
        command: program and arguments; no shell, and nothing on stdin.
        directory: where it runs; None: the current one.
        variables: further variables of its environment.
        timeout: seconds.

    Raises:
        FileNotFoundError: there is no such program.
        subprocess.TimeoutExpired: it took longer than `timeout`.
    """
    settings, decoding = {**os.environ, **(variables or {})}, {"text": True, "errors": "surrogateescape"}
    with _started(command, directory, settings, stderr=subprocess.PIPE, **decoding) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except BaseException:
            end_group(process)
            raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def read_output(command: Sequence[str], directory: Path, variables: Env = None, *, timeout: float | None = None) -> str:
    """What a short command prints on stdout, without white space at the end.

    Raises:
        ChildError: the command failed, and its stderr is quoted; or it took longer than `timeout` seconds.
    """
    settings = {**environment(directory), **(variables or {})}
    failed = f"`{visible(' '.join(command))}` failed in {directory.resolve()}"
    try:
        answer = run_command(command, directory, variables=settings, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise ChildError(failed, [_overdue(timeout)]) from None
    if answer.returncode:
        tail = answer.stderr.expandtabs().strip().splitlines()[-TAIL_LINES:]
        raise ChildError(failed, [*map(visible, tail)])
    return answer.stdout.rstrip()


def _overdue(timeout: float | None) -> str:
    return f"took longer than {timeout:g} s and was ended"


def succeeds(directory: Path, *command: str) -> bool:
    """Whether a command ends with status 0."""
    return run_command(command, directory, variables=environment(directory)).returncode == 0


def _started(
    command: Sequence[str], directory: Path | None, settings: Mapping[str, str], **options: Any
) -> subprocess.Popen[Any]:
    """A process that leads a group of its own, reads nothing, and whose output is read here."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, **options}
    return subprocess.Popen(command, cwd=directory, env=settings, start_new_session=True, **streams)


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
            ended = process.poll() is not None  # before the look at the pipe, which then holds all that it printed
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
