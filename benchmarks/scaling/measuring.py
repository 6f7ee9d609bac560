"""One stage as a process of its own: wall and CPU seconds, and the peak memory of all its processes."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from bakeoff.core.processes import THREAD_VARIABLES
from bakeoff.data.engine.settings import variable
from scaling.pipeline import Stage

POLL_SECONDS = 0.1
PR_SET_PDEATHSIG = 1
WORDS = 300
"""Characters that are kept of what a failed stage said last."""
DUCKDB_SHARE = 0.8
"""Of a stage's memory, what DuckDB may take: what it takes by itself of a machine that has no more."""


@dataclass(frozen=True)
class Limits:
    """What a stage may take before it is ended: bytes of all its processes, seconds, and threads."""

    memory: int
    seconds: float
    threads: int


@dataclass(frozen=True)
class Measured:
    """What a stage cost.

    Attributes:
        wall: seconds.
        cpu: seconds, of all processes that it waited for.
        memory: bytes, the largest resident memory of all its processes together.
        note: why there is no result, or what the stage says it left out; empty where all went well.
        failed: whether there is no result.
    """

    wall: float
    cpu: float
    memory: int
    note: str = ""
    failed: bool = False

    def as_json(self) -> dict[str, Any]:
        """For measured.json."""
        return asdict(self)


def run_stage(stage: Stage, workspace: Path, limits: Limits) -> Measured:
    """Run the stage's command in the workspace; what it prints goes to logs/<stage>.txt."""
    log = workspace / "logs" / f"{stage.name}.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [str(Path(sys.executable).parent / stage.command[0]), *stage.command[1:]]
    with log.open("w", encoding="utf-8") as said:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=workspace,
            env=_environment(limits),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
        watch = _Watch(process.pid, limits)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        finally:
            watch.stop()
        wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    memory = max(watch.peak, usage.ru_maxrss * unit)
    cpu = usage.ru_utime + usage.ru_stime
    if watch.reason or process.returncode:
        return Measured(wall, cpu, memory, watch.reason or _last_words(log, process.returncode), failed=True)
    return Measured(wall, cpu, memory, _left_out(stage, workspace))


def _end_with_parent() -> None:
    """A run that is killed leaves no stage at work on files that the next run makes; Linux alone has this."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class _Watch:
    """Looks at the memory of a process and its children, and ends them where they take too much of it or too long."""

    def __init__(self, pid: int, limits: Limits) -> None:
        self.peak, self.reason = 0, ""
        self._pid, self._limits, self._ended = pid, limits, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        start = time.monotonic()
        while not self._ended.wait(POLL_SECONDS):
            memory = _memory(self._pid)
            self.peak = max(self.peak, memory)
            if memory > self._limits.memory:
                self.reason = f"ended: more than {self._limits.memory / 2**30:g} GiB of memory"
            elif time.monotonic() - start > self._limits.seconds:
                self.reason = f"ended: after {self._limits.seconds:,.0f} s"
            if self.reason:
                os.killpg(self._pid, signal.SIGKILL)
                return


def _memory(pid: int) -> int:
    """Resident bytes of a process and its children; 0 where it has just ended."""
    total = 0
    try:
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            try:
                total += each.memory_info().rss
            except psutil.Error:
                continue
    except psutil.Error:
        return total
    return total


def _environment(limits: Limits) -> dict[str, str]:
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONHASHSEED": "0"}
    # As on a machine of this memory: DuckDB takes most of what it finds.
    tables = {variable("memory_limit"): f"{int(DUCKDB_SHARE * limits.memory) >> 20}MiB"}
    return {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(limits.threads)), **quiet, **tables}


def _last_words(log: Path, status: int) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    ending = f"signal {-status}" if status < 0 else f"status {status}"
    return f"failed with {ending}: {(lines[-1].strip() if lines else 'nothing was said')[:WORDS]}"


def _left_out(stage: Stage, workspace: Path) -> str:
    """What the stage's own files say of work that it did not do."""
    reasons = []
    for output in stage.outputs:
        path = workspace / output
        for file in sorted(path.glob("*.json")) if path.is_dir() else [path] if path.suffix == ".json" else []:
            notes = json.loads(file.read_text(encoding="utf-8"))
            if isinstance(notes, Mapping) and notes.get("skipped"):
                reasons.append(str(notes["skipped"]))
    return f"skipped: {reasons[0]}" if reasons else ""
