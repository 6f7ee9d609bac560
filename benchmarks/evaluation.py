"""Time of the whole evaluation, the claims and the report, on models that are trained already.

    make evidence && python benchmarks/evaluation.py

The stages of dvc.yaml run by their own commands, as many at a time as the flow runs, on a copy of what the workspace
holds: first what evaluates the trained models and writes the report, then, apart, the stages that train models of their
own as evidence for the claims.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from harness.pages import Page, show
from scaling.measuring import Limits, Measured, run_stage
from scaling.pipeline import Stage, read_stages

ROOT = Path(__file__).resolve().parent.parent
EVALUATION = ("evaluate", "items", "rerank", "serving", "compare", "evidence")
EVIDENCE = ("planted", "growth", "variants")
COPIED = ("data", "data.dvc", "params.yaml", "artifacts", "models", "reports", "tuning", "studies")
BAR = 60
"""Seconds of wall time for the evaluation, the claims and the report."""


def main() -> None:
    """Print the page; with --write, keep its figures and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--workspace", type=Path, default=ROOT, help="where `make evidence` has run (default: this project)")
    add("--at-once", type=int, default=2 + (os.cpu_count() or 2), help="stages that run at a time (default: cores + 2)")
    add("--write", type=Path, help="file for the figures, such as benchmarks/results/evaluation.json")
    arguments = parser.parse_args()
    if not (arguments.workspace / "models" / "softmax").is_dir():
        sys.exit(f"{arguments.workspace} holds no trained models: run `make evidence` there.")
    with tempfile.TemporaryDirectory() as scratch:
        workspace = Path(scratch)
        _copy(arguments.workspace, workspace)
        stages = read_stages(ROOT / "dvc.yaml")
        parts = [
            _run([stage for stage in stages if stage.name.partition("@")[0] in names], workspace, arguments.at_once)
            for names in (EVALUATION, EVIDENCE)
        ]
    page = {"cores": os.cpu_count(), "at_once": arguments.at_once, "parts": parts}
    show(page, markdown, arguments.write)


def _copy(source: Path, target: Path) -> None:
    for name in COPIED:
        path = source / name
        if path.is_dir():
            shutil.copytree(path, target / name, ignore=shutil.ignore_patterns("scratch", "bench", "scale"))
        elif path.exists():
            shutil.copy2(path, target / name)


def _run(stages: Sequence[Stage], workspace: Path, at_once: int) -> dict[str, Any]:
    """Wall seconds of all, and what each cost."""
    names = {stage.name: stage for stage in stages}
    sorter = TopologicalSorter({name: [n for n in stage.after if n in names] for name, stage in names.items()})
    limits = Limits(memory=1 << 40, seconds=3600, threads=os.cpu_count() or 1)
    found: dict[str, Measured] = {}
    start = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        sorter.prepare()
        running: dict[Future[Measured], str] = {}
        while sorter.is_active():
            running |= {pool.submit(run_stage, names[name], workspace, limits): name for name in sorter.get_ready()}
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name = running.pop(future)
                found[name] = future.result()
                if found[name].failed:
                    sys.exit(f"{name} failed: {found[name].note}")
                sorter.done(name)
    seconds = time.perf_counter() - start
    costs = {name: {key: getattr(found[name], key) for key in ("wall", "cpu", "memory")} for name in names}
    return {"seconds": seconds, "stages": costs}


def markdown(page: Page) -> str:
    """The page of these figures."""
    wall, longer = (part["seconds"] for part in page["parts"])
    lines = [
        "# Time of evaluation, claims and report",
        "",
        "Made by `python benchmarks/evaluation.py` on MovieLens 100K; "
        f"{page['cores']} cores, {page['at_once']} stages at a time.",
        "",
        f"All models evaluated, claims judged and the report written: **{wall:.0f} s** (bar: {BAR} s, "
        f"{'met' if wall <= BAR else 'missed'}), trained models "
        f"given. The stages that train models of their own, as evidence for the claims, take {longer:.0f} s more.",
        "",
        "| stage | wall, s | CPU, s | peak memory, GiB |",
        "|---|---|---|---|",
    ]
    for title, part in zip(("evaluation and report", "evidence that trains"), page["parts"], strict=True):
        for name, cost in part["stages"].items():
            lines.append(f"| `{name}` | {cost['wall']:.1f} | {cost['cpu']:.1f} | {cost['memory'] / 2**30:.2f} |")
        cpu = sum(cost["cpu"] for cost in part["stages"].values())
        lines.append(f"| **{title}** | **{part['seconds']:.1f}** | **{cpu:.1f}** | |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
