"""A server of `bakeoff serve` for as long as a block lasts."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from bakeoff.core.errors import BakeoffError

PATIENCE = 300
"""Seconds after which a server that does not come up counts as dead."""


@contextmanager
def serving(root: Path, log: Path, *options: str) -> Iterator[tuple[psutil.Process, str]]:
    """A server over the workspace at `root`, on a free port of loopback, and its address; `log`: for what it reports.

    Raises:
        BakeoffError: it does not start.
    """
    command = [sys.executable, "-m", "bakeoff", "serve", "--port", "0", *options]
    with (
        log.open("w") as told,
        subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=told, text=True) as process,
    ):
        assert process.stdout is not None
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        try:
            line = process.stdout.readline()
            watchdog.cancel()
            if " answers on " not in line:
                raise BakeoffError(f"The server did not start: {log.read_text()}")
            yield psutil.Process(process.pid), line.split(" answers on ")[1].split(";")[0]
        finally:
            watchdog.cancel()
            process.kill()
