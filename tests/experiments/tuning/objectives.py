"""Objectives that need no training, for processes that the tests start."""

import functools
import os
import signal
import time
from pathlib import Path

from bakeoff.core.errors import BakeoffError

EPOCHS = 4


def make(kind, folder=None):
    """An objective of a kind, for a worker to make; `folder` is where it leaves traces."""
    if kind == "refused":
        raise BakeoffError("there is nothing to try on")
    return functools.partial(KINDS[kind], folder)


def rising(folder, values, report):
    """Score x · epoch / 4, each epoch told."""
    for epoch in range(1, EPOCHS + 1):
        report(epoch, values["x"] * epoch / EPOCHS)
    return values["x"], EPOCHS


def at_once(folder, values, report):
    return values["x"], None


def not_a_number(folder, values, report):
    return float("nan"), None


def impossible(folder, values, report):
    raise BakeoffError("x can't be that")


def buggy(folder, values, report):
    raise LookupError("a mistake in the code")


def killed_once(folder, values, report):
    """The first process that tries is killed, as one that takes too much memory would be."""
    trace = Path(folder) / "killed"
    if not trace.exists():
        trace.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return values["x"], None


def always_killed(folder, values, report):
    os.kill(os.getpid(), signal.SIGKILL)


def threads(folder, values, report):
    """Leave what this process was told about threads, and go on once another one has."""
    (Path(folder) / f"{os.getpid()}").write_text(os.environ["OMP_NUM_THREADS"], encoding="utf-8")
    while sum(path.name.isdigit() for path in Path(folder).iterdir()) < 2:
        time.sleep(0.01)
    return values["x"], None


KINDS = {
    function.__name__: function
    for function in (rising, at_once, not_a_number, impossible, buggy, killed_once, always_killed, threads)
}
