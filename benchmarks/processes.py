"""`bakeoff evaluate` by one process and by several: seconds, memory, and whether the files are the same.

The workspace is one that `make scale` has left, with a split and trained models. Runs take turns; what they write there
is what was there.
"""

import argparse
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from ruamel.yaml import YAML
from scaling.measuring import Limits, Measured, run_stage
from scaling.pipeline import Stage

from bakeoff.core.processes import num_cores
from bakeoff.core.workspace import Workspace
from bakeoff.ops.registry.files import directory_md5
from bakeoff.params import load_params

ROOT = Path(__file__).resolve().parent.parent
LIMITS = Limits(memory=1 << 40, seconds=3600.0, threads=num_cores())


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=ROOT / "artifacts/scale/10000000")
    parser.add_argument("--models", nargs="+", default=["mf", "softmax"])
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 2], help="numbers of them (default: 1 2)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each, of which the median counts (default: 3)")
    arguments = parser.parse_args()
    workspace = Workspace(arguments.workspace.resolve())
    command = " ".join(["python", "benchmarks/processes.py", *sys.argv[1:]])
    print(f"# Evaluation by one process and by several\n\nMade by `{command}`.\n")
    print(
        f"`bakeoff evaluate` on a workspace that `make scale` has left; {num_cores()} cores, medians of "
        f"{arguments.repeats} runs that take turns. Memory is the largest of all processes together. The files "
        "are the same, byte for byte.\n"
    )
    print("| model | processes | s | CPU s | GiB | time ÷ that of the first |\n|---|---|---|---|---|---|")
    for model in arguments.models:
        for row in rows(workspace, model, arguments.processes, arguments.repeats):
            print(f"| {model} | {row} |", flush=True)


def rows(workspace: Workspace, model: str, counts: Sequence[int], repeats: int) -> Iterable[str]:
    """The cells of each number of processes; it ends with an error where their files differ."""
    runs: dict[int, list[Measured]] = {count: [] for count in counts}
    written = set()
    for _ in range(repeats):
        for count in counts:
            runs[count].append(evaluated(workspace, model, count))
            written.add(directory_md5(workspace.evaluation(model)))
    if len(written) > 1:
        raise SystemExit(f"{model}: the files depend on the number of processes")
    first = None
    for count, found in runs.items():
        wall, cpu, memory = (
            statistics.median(getattr(run, name) for run in found) for name in ("wall", "cpu", "memory")
        )
        first = first or wall
        yield f"{count} | {wall:.1f} | {cpu:.1f} | {memory / 2**30:.2f} | {wall / first:.2f}"


def evaluated(workspace: Workspace, model: str, count: int) -> Measured:
    """What an evaluation with so many processes costs."""
    standing = workspace.params.read_text(encoding="utf-8")
    values = load_params(workspace.params).model_dump(mode="json")
    values["engine"]["processes"] = count
    try:
        with workspace.params.open("w", encoding="utf-8") as file:
            YAML(typ="safe").dump(values, file)
        run = run_stage(Stage(f"evaluate@{model}", ("bakeoff", "evaluate", model), ()), workspace.root, LIMITS)
    finally:
        workspace.params.write_text(standing, encoding="utf-8")
    if run.failed:
        raise SystemExit(f"evaluate {model} by {count} processes: {run.note}")
    return run


if __name__ == "__main__":
    main()
