"""One system, one measurement, one process: `python -m peers.worker job.json`.

The job names a module of this package (or another importable one) with

    train(data, setting, seed, threads) -> iterator of scorers

which trains and yields a scorer after every epoch, or once. The time between two yields is the fit time; reading data,
importing libraries and making lists is not. A module may have `prepare(data, setting)`, whose result then replaces
data and is not timed either, and `select(data, setting, seed, threads)`, which chooses what validation has to choose.
"""

import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from peers.data import Data
from peers.lists import top_lists, write_lists


def main(path: Path) -> None:
    """Do what the job says and write what it cost to result.json in the same directory."""
    job = json.loads(path.read_text(encoding="utf-8"))
    module = importlib.import_module(job["module"])
    data = Data.load(Path(job["data"]))
    given = module.prepare(data, job["setting"]) if hasattr(module, "prepare") else data
    if job["action"] == "select":
        result = module.select(given, job["setting"], job["seed"], job["threads"])
    else:
        result = _fit(module, given, data, job, path.parent)
    beside = path.with_name(".result.json.part")
    beside.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    beside.replace(path.with_name("result.json"))


def _fit(module: Any, given: Any, data: Data, job: dict[str, Any], folder: Path) -> dict[str, Any]:
    before, fit_seconds, cpu_seconds, epoch = _status("VmRSS"), 0.0, 0.0, 0
    scorer = None
    scorers = iter(module.train(given, job["setting"], job["seed"], job["threads"]))
    while True:
        wall, cpu = time.perf_counter(), _cpu_seconds()
        following = next(scorers, None)
        fit_seconds += time.perf_counter() - wall
        cpu_seconds += _cpu_seconds() - cpu
        if following is None:
            break
        scorer, epoch = following, epoch + 1
        peak = _status("VmHWM")
        if epoch in _wanted(job):
            write_lists(folder / f"lists-{epoch}.parquet", top_lists(scorer, data, job["list_length"]))
    if scorer is None:
        raise ValueError(f"{job['module']} trained nothing")
    start = time.perf_counter()
    write_lists(folder / "lists.parquet", top_lists(scorer, data, job["list_length"]))
    return {
        "epochs": epoch,
        "fit_seconds": fit_seconds,
        "cpu_seconds": cpu_seconds,
        "memory_before_bytes": before,
        "peak_memory_bytes": peak,
        "lists_seconds": time.perf_counter() - start,
    }


def _wanted(job: dict[str, Any]) -> Iterable[int]:
    return job.get("checkpoints") or ()


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _status(field: str) -> int:
    """Bytes that the kernel reports for this process: VmRSS (now) or VmHWM (most so far)."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith(f"{field}:")).split()[1]) * 1024
    except (OSError, StopIteration):  # not Linux: the most so far is all there is
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
