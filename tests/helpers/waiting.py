"""Waiting for what must come, and whether a process is there."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HANGING = 900.0
"""Seconds after which nothing comes any more; how long it takes says nothing."""


def until(condition: Callable[[], Any], problem: str = "this never came") -> Any:
    """What the condition returns once it is true."""
    give_up = time.monotonic() + HANGING
    while not (value := condition()):
        assert time.monotonic() < give_up, problem
        time.sleep(0.05)
    return value


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie, which waits for nothing but to be noticed."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
