"""Measured cost of a stage: time and memory, the only outputs that differ from run to run."""

import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bakeoff.core.files import write_json
from bakeoff.core.workspace import Workspace

MEASURED = ("wall_seconds", "cpu_seconds", "peak_memory_bytes")
"""Figures that are measured for every stage."""

_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB on Linux


@dataclass
class Cost:
    """Figures that a stage adds to those measured for every stage."""

    notes: dict[str, Any] = field(default_factory=dict)
    earlier_seconds: float = 0.0
    """Wall time that earlier processes spent on the same work before they were killed."""

    def note(self, **figures: Any) -> None:
        """Add figures, such as `selection_seconds=3.2`; a later value replaces an earlier one.

        Raises:
            ValueError: a name is one of those that are measured.
        """
        taken = sorted(set(figures) & set(MEASURED))
        if taken:
            raise ValueError(f"{taken[0]} is measured: note it under another name")
        self.notes |= figures


@contextmanager
def measure(workspace: Workspace, stage: str) -> Iterator[Cost]:
    """Measure the block and write artifacts/cost/<stage>.json if it succeeds, nothing after an error.

    The file holds `wall_seconds`, `cpu_seconds` (user and system, of this process and of children it has waited for;
    null where earlier processes were killed, whose time is not known), `peak_memory_bytes` (largest resident memory of
    this process since it started, libraries included, or of its largest child if that is more) and the notes.
    """
    cost = Cost()
    wall, cpu = time.perf_counter(), cpu_seconds()
    yield cost
    of_children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _MAXRSS_UNIT
    figures = {
        "wall_seconds": time.perf_counter() - wall + cost.earlier_seconds,
        "cpu_seconds": None if cost.earlier_seconds else cpu_seconds() - cpu,
        "peak_memory_bytes": max(own_peak_memory_bytes(), of_children),
        **cost.notes,
    }
    write_json(workspace.cost(stage), figures)


def cpu_seconds() -> float:
    """User and system time of this process and of children that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def own_peak_memory_bytes() -> int:
    """Largest resident memory of this process since it started, libraries included."""
    # On Linux ru_maxrss survives exec: a small process that a large one started would report the large one's
    # memory.
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        [peak] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(peak) * 1024
    except (OSError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT
