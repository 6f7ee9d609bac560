"""What DVCLive would cost a training, and what it writes beside the learning curves.

Run by the Python of an environment that has this project's packages and DVCLive (`uv pip install dvclive==3.49.1`).
"""

import argparse
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from statistics import median

from harness.pages import Page, show

SWITCHED_OFF = "save_dvc_exp=False, dvcyaml=None"
COST = """
import time
import bakeoff.models.neural.trainer, bakeoff.stages.train
start = time.process_time()
from dvclive import Live
live = Live("curves", save_dvc_exp=False, dvcyaml=None)
for epoch in range(24):
    for name in ("loss", "valid_ndcg@10", "valid_recall@20"):
        live.log_metric(name, 1 / (1 + epoch))
    live.next_step()
live.end()
print(time.process_time() - start)
"""
EPOCHS = """
import os
from dvclive import Live
live = Live("curves", {options})
for epoch in range({first}, {last}):
    live.step = epoch
    live.log_metric("loss", 1 / (1 + epoch))
    live.next_step()
{end}
"""
TRACED = ("dvc.yaml", ".dvcignore", ".dvc", "curves")
SITUATIONS = (
    ("this project's repository", True, True, True),
    ("Git with a commit, no DVC", True, False, True),
    ("Git without a commit", True, False, False),
    ("neither Git nor DVC", False, False, False),
)
"""Where a training runs: words, Git, DVC, a commit."""


def main() -> None:
    """Print the page; with --write, keep its figures and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--write", type=Path, help="file for the figures: benchmarks/results/live_curves.json")
    arguments = parser.parse_args()
    page = {
        "command": "python benchmarks/live_curves.py",
        "versions": {name: version(name) for name in ("dvclive", "dvc")},
        "cpu_s": [float(_python(COST, _workspace())) for _ in range(arguments.runs)],
        "situations": [
            {"where": where, "options": options, "written": _written(options, _workspace(*made))}
            for where, *made in SITUATIONS
            for options in ("", SWITCHED_OFF)
        ],
        "resumed_steps": _resumed(),
    }
    show(page, markdown, arguments.write)


def markdown(page: Page) -> str:
    """The page of these figures."""
    seconds, versions = page["cpu_s"], page["versions"]
    lines = [
        "# DVCLive for the learning curves\n",
        f"Made by `{page['command']}`; DVCLive {versions['dvclive']}, DVC {versions['dvc']}.\n",
        "CPU of a training process that has everything else loaded, for the import, `Live` and 24 epochs of three "
        f"metrics: {median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f} in {len(seconds)} processes).\n",
        "| situation | `Live()` | what comes of it, besides `curves/` |\n|---|---|---|",
        *(f"| {row['where']} | `Live({row['options']})` | {row['written']} |" for row in page["situations"]),
        "\nKilled after epoch 4, resumed from a checkpoint of epoch 2: the steps in `loss.tsv` are "
        f"{', '.join(map(str, page['resumed_steps']))}.",
    ]
    return "\n".join(lines) + "\n"


def _workspace(git: bool = True, dvc: bool = True, commit: bool = True) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="live-curves-"))
    steps = ["git init -q"] * git + ["dvc init -q"] * dvc
    steps += ["git -c user.name=a -c user.email=a@b commit -q --allow-empty -m first"] * commit
    for step in steps:
        subprocess.run(step.split(), cwd=folder, check=True, env=_environment())
    return folder


def _environment() -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONPATH": str(Path(__file__).parents[1] / "src"), "DVC_NO_ANALYTICS": "1"}


def _python(code: str, folder: Path, may_fail: bool = False) -> str:
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=folder,
        env=_environment(),
        capture_output=True,
        text=True,
    )
    if run.returncode and not may_fail:
        raise SystemExit(run.stderr)
    return run.stdout if run.returncode == 0 else f"`{(run.stderr.strip().splitlines() or [''])[-1]}`"


def _written(options: str, folder: Path) -> str:
    """Files and references that are new, or the error."""
    before = {name for name in TRACED if (folder / name).exists()}
    said = _python(EPOCHS.format(options=options, first=0, last=3, end="live.end()"), folder, may_fail=True)
    if said.startswith("`"):
        return f"the training ends with {said}"
    found = [f"`{name}`" for name in TRACED[:-1] if (folder / name).exists() and name not in before]
    refs = subprocess.run(
        ["git", "for-each-ref", "--format=%(refname)", "refs/exps"], cwd=folder, capture_output=True, text=True
    )
    found += [f"{len(refs.stdout.split())} references under `refs/exps`"] * bool(refs.stdout)
    return ", ".join(found) or "nothing"


def _resumed() -> list[int]:
    """Steps in the file of a metric after a kill and a resumption."""
    folder = _workspace()
    killed = EPOCHS.format(options=SWITCHED_OFF, first=0, last=4, end="os._exit(9)")
    _python(killed, folder, may_fail=True)
    _python(EPOCHS.format(options=f"resume=True, {SWITCHED_OFF}", first=2, last=5, end="live.end()"), folder)
    rows = (folder / "curves/plots/metrics/loss.tsv").read_text().splitlines()[1:]
    return [int(row.split()[0]) for row in rows]


if __name__ == "__main__":
    main()
