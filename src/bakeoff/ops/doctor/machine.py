"""Checks of the machine: its memory and disk against what the data need, and its clock."""

import json
import shutil
import time
from itertools import islice
from pathlib import Path

import psutil

from bakeoff.core.errors import BakeoffError
from bakeoff.models.ease.spec import peak_bytes
from bakeoff.ops.doctor.checks import Finding, Subject, ok, problem, warning
from bakeoff.ops.git import ask

FILES = ("params.yaml", "dvc.yaml", "dvc.lock", "data.dvc", "data/interactions.csv")
"""Files whose times are looked at."""

EARLY = 60.0
"""Seconds by which clocks of machines that share files may differ."""

CGROUP = Path("/sys/fs/cgroup/memory.max")
"""Memory that a container may have: bytes, or `max`."""


def memory(subject: Subject) -> Finding:
    """What the largest stage took in earlier runs here, or the estimate for these data, against what is free."""
    costs = [json.loads(path.read_bytes()) for path in subject.workspace.cost("stage").parent.rglob("*.json")]
    measured = max((each.get("peak_memory_bytes", 0) for each in costs), default=0)
    needed = measured or estimate(subject)[0]
    allowed = CGROUP.read_text(encoding="ascii") if CGROUP.exists() else "max"
    free = min(float(psutil.virtual_memory().available), float(allowed.replace("max", "inf")))
    found = f"the largest stage takes {_gib(needed)} ({'measured' if measured else 'estimated'}), {_gib(free)} are free"
    return ok(found) if needed < free else warning(found, "end other programs; or see docs/scale.md, What to set")


def disk(subject: Subject) -> Finding:
    """What a run writes, with DVC's copies, against what is free."""
    needed, free = estimate(subject)[1], shutil.disk_usage(subject.workspace.root).free
    found = f"a run takes {_gib(needed)} (estimated), {_gib(free)} are free"
    return ok(found) if needed < free else problem(found, "dvc gc --workspace; or make room")


def clock(subject: Subject) -> Finding:
    """No file, commit or event is later than now: DVC and splits by time go by the clock."""
    root, events = subject.workspace.root, subject.workspace.validated / "interactions.parquet"
    times = {name: (root / name).stat().st_mtime for name in FILES if (root / name).exists()}
    times["the last commit"] = float(ask(root, "log", "-1", "--format=%ct") or 0)
    if events.exists():
        import duckdb

        times["an event"] = duckdb.read_parquet(str(events)).max("timestamp").fetchall()[0][0] or 0
    ahead = [name for name, at in times.items() if at > time.time() + EARLY]
    shown = f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC"
    if not ahead:
        return ok(f"{shown}; no file, commit or event is later")
    fix = "timedatectl; for events, check data.columns.timestamp_unit"
    return warning(f"{shown}, and later than that: {', '.join(ahead)}", fix)


def estimate(subject: Subject) -> tuple[float, float]:
    """Bytes of memory that the largest stage takes, and of disk that a comparison fills; of its start without data.

    Memory is fitted to benchmarks/results/scale.md and memory.md, and right within a third there: 1.6 GiB for programs
    and blocks, 70 bytes for each event, 64 for each weight of the item embeddings. On disk are, in the workspace and in
    DVC's cache, the data three times, lists of 100 places for each user, of whom there is one for 40 events, and three
    models with embeddings, trained and exported.
    """
    files = [subject.workspace.data / f"{table}.csv" for table in ("interactions", "items")]
    if isinstance(subject.sections, BakeoffError) or not all(file.exists() for file in files):
        return 1.6 * 2**30, 2.0**27
    events, items = map(rows, files)
    weights = items * max(getattr(section, "dim", 0) for section in subject.sections.values())
    ease = peak_bytes(items) if items <= subject.sections["ease"].max_items else 0
    written = 6 * files[0].stat().st_size + 360 * events + 48 * weights + ease
    return 1.6 * 2**30 + 70 * events + 64 * weights + ease, 2.0**27 + written


def rows(file: Path) -> int:
    """Lines of a text file without the first, by the length of its first thousand."""
    with file.open("rb") as lines:
        first = [len(line) for line in islice(lines, 1000)]
    return round(file.stat().st_size * len(first) / max(sum(first), 1)) - 1


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"
