"""`bakeoff evaluate` by one process and by several: seconds, memory, and whether the files are the same.

The workspace is one that `make scale` has left, with a split and trained models. Runs take turns; what they write there
is what was there.
"""

import argparse
import os
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.pages import Page, show
from scaling.measuring import Limits, Measured, run_stage
from scaling.pipeline import Stage

from bakeoff.core.processes import num_cores
from bakeoff.core.workspace import Workspace
from bakeoff.ops.registry.files import directory_md5

ROOT = Path(__file__).resolve().parent.parent
LIMITS = Limits(memory=1 << 40, seconds=3600.0, threads=num_cores())


def main() -> None:
    """Print the page; with --write, keep its figures and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=ROOT / "artifacts/scale/10000000")
    parser.add_argument("--models", nargs="+", default=["mf", "softmax"])
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 2], help="numbers of them (default: 1 2)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each, of which the median counts (default: 3)")
    parser.add_argument("--write", type=Path, help="file for the figures: benchmarks/results/processes.json")
    arguments = parser.parse_args()
    workspace = Workspace(arguments.workspace.resolve())
    models, counts = arguments.models, arguments.processes
    asked = f"--models {' '.join(models)} --processes {' '.join(map(str, counts))}"
    page = {
        "command": f"python benchmarks/processes.py {asked}",
        "cores": num_cores(),
        "repeats": arguments.repeats,
        "rows": [row for model in models for row in rows(workspace, model, counts, arguments.repeats)],
    }
    show(page, markdown, arguments.write)


def markdown(page: Page) -> str:
    """The page of these figures; the first number of processes of a model is the one that others are compared with."""
    lines = [
        f"# Evaluation by one process and by several\n\nMade by `{page['command']}`.\n",
        f"`bakeoff evaluate` on a workspace that `make scale` has left; {page['cores']} cores, medians of "
        f"{page['repeats']} runs that take turns. Memory is the largest of all processes together. The files "
        "are the same, byte for byte.\n",
        "| model | processes | s | CPU s | GiB | time ÷ that of the first |\n|---|---|---|---|---|---|",
    ]
    first: dict[str, float] = {}
    for row in page["rows"]:
        wall = row["wall_s"]
        cells = f"{wall:.1f} | {row['cpu_s']:.1f} | {row['memory_gib']:.2f}"
        ratio = wall / first.setdefault(row["model"], wall)
        lines.append(f"| {row['model']} | {row['processes']} | {cells} | {ratio:.2f} |")
    return "\n".join(lines) + "\n"


def rows(workspace: Workspace, model: str, counts: Sequence[int], repeats: int) -> Iterator[dict[str, Any]]:
    """The medians of each number of processes; it ends with an error where their files differ."""
    runs: dict[int, list[Measured]] = {count: [] for count in counts}
    written = set()
    for _ in range(repeats):
        for count in counts:
            runs[count].append(evaluated(workspace, model, count))
            written.add(directory_md5(workspace.evaluation(model)))
    if len(written) > 1:
        raise SystemExit(f"{model}: the files depend on the number of processes")
    for count, found in runs.items():
        wall, cpu, memory = (
            statistics.median(getattr(run, name) for run in found) for name in ("wall", "cpu", "memory")
        )
        print(f"{model}, {count} processes: {wall:.1f} s", file=sys.stderr, flush=True)
        yield {"model": model, "processes": count, "wall_s": wall, "cpu_s": cpu, "memory_gib": memory / 2**30}


def evaluated(workspace: Workspace, model: str, count: int) -> Measured:
    """What an evaluation with so many processes costs."""
    os.environ["BAKEOFF_PROCESSES"] = str(count)
    run = run_stage(Stage(f"evaluate@{model}", ("bakeoff", "evaluate", model), ()), workspace.root, LIMITS)
    if run.failed:
        raise SystemExit(f"evaluate {model} by {count} processes: {run.note}")
    return run


if __name__ == "__main__":
    main()
