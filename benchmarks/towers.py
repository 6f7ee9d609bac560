"""The attention tower compared with the pooled one: NDCG@10 on validation, and what training costs.

Run it in a workspace whose split is made (`make run`). Both towers train the softmax DNN of its params.yaml, in turns
and in one process; validation chooses the epoch, as everywhere, and test is not opened. First come the settings that
were tried, with one seed each, then the shipped tower and the best attention tower with seeds that chose nothing.

    python benchmarks/towers.py --workspace . --write benchmarks/results/towers.json
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from harness.pages import show
from rich.console import Console
from scipy.stats import ttest_1samp

from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import Prepared, load_prepared
from bakeoff.experiments.params import with_values
from bakeoff.experiments.training.runner import Experiment, train_keeping_best
from bakeoff.experiments.training.validation import shipped_validation
from bakeoff.models.base.specs import spec
from bakeoff.params import Params, load_params

ROOT = Path(__file__).resolve().parent.parent
MODEL = "softmax"
POOLED: Mapping[str, Any] = {}
ATTENTION = {"tower": "attention"}
DENSE = {"max_history": 128, "cuts_per_user": 16, "max_epochs": 12}
"""Shorter sequences with more targets each, in half of the epochs: what suits a transformer, that shares a sequence."""
TRIED: Sequence[Mapping[str, Any]] = (
    POOLED,
    DENSE,
    ATTENTION,
    {**ATTENTION, "max_history": 64},
    {**ATTENTION, **DENSE},
    {**ATTENTION, **DENSE, "max_epochs": 16},
    {**ATTENTION, **DENSE, "attention.dropout": 0.1},
    {**ATTENTION, **DENSE, "attention.heads": 8},
    {**ATTENTION, **DENSE, "attention.blocks": 2},
    {**ATTENTION, **DENSE, "negatives.sampler": "full"},
)
"""The shipped tower first, then what was tried to bring each further."""
console = Console(stderr=True, highlight=False)


@dataclass(frozen=True)
class Reached:
    """What a training reached on validation and cost.

    Attributes:
        ndcg: NDCG@10, mean over users.
        recall: recall@20.
        epoch: that validation chose.
        cpu: seconds of all threads, of every epoch but the first, in which code is traced; without validation.
        parameters: trained weights.
    """

    ndcg: float
    recall: float
    epoch: int
    cpu: float
    parameters: int


def measure(prepared: Prepared, params: Params, changed: Mapping[str, Any], seed: int) -> Reached:
    """Train with some settings changed."""
    section = with_values(params.section(MODEL), changed, "A setting of towers.py", MODEL)
    validate = shipped_validation(prepared, params.seed)
    model = train_keeping_best(Experiment(spec(MODEL), section, prepared, seed), validate)
    best, epoch = model.curve[(model.epoch or 0) - 1], int(model.epoch or 0)
    cpu = sum(each.cpu for each in model.epoch_costs)
    found = Reached(best["valid_ndcg@10"], best["valid_recall@20"], epoch, cpu, model.num_parameters)
    console.print(f"{label(changed)}, seed {seed}: {found}", markup=False)
    return found


def label(changed: Mapping[str, Any]) -> str:
    """The settings that differ from params.yaml."""
    return ", ".join(f"`{name}` {value}" for name, value in changed.items()) or "as in params.yaml"


def measured(prepared: Prepared, params: Params, seeds: Sequence[int]) -> dict[str, Any]:
    """All figures of the page."""
    tried = [(changed, measure(prepared, params, changed, params.seed)) for changed in TRIED]
    best, _ = max((each for each in tried if "tower" in each[0]), key=lambda each: each[1].ndcg)
    pairs = [[asdict(measure(prepared, params, changed, seed)) for changed in (POOLED, best)] for seed in seeds]
    return {
        "command": f"python benchmarks/towers.py --seeds {' '.join(map(str, seeds))}",
        "dataset": params.data.dataset,
        "cores": os.cpu_count(),
        "seed": params.seed,
        "tried": [{"setting": label(changed)} | asdict(found) for changed, found in tried],
        "best": label(best),
        "seeds": list(seeds),
        "pairs": pairs,
    }


def tried_table(tried: Sequence[Mapping[str, Any]]) -> list[str]:
    """One row per setting; CPU also relative to the first, the shipped tower."""
    lines = ["| setting | NDCG@10 | Capped recall@20 | epoch | CPU, s | × pooled |", "|---|--:|--:|--:|--:|--:|"]
    for found in tried:
        scores = f"{found['ndcg']:.4f} | {found['recall']:.4f} | {found['epoch']}"
        cpu = found["cpu"]
        lines.append(f"| {found['setting']} | {scores} | {cpu:.1f} | {cpu / tried[0]['cpu']:.1f} |")
    return lines


def final_table(page: Mapping[str, Any]) -> list[str]:
    """A row per seed, means, and the difference with its 95 % interval over seeds."""
    lines = ["| seed | pooled | attention | difference | CPU of pooled, s | CPU of attention, s |"]
    lines.append("|---|--:|--:|--:|--:|--:|")
    for seed, (a, b) in zip(page["seeds"], page["pairs"], strict=True):
        ndcgs = f"{a['ndcg']:.4f} | {b['ndcg']:.4f} | {b['ndcg'] - a['ndcg']:+.4f}"
        lines.append(f"| {seed} | {ndcgs} | {a['cpu']:.1f} | {b['cpu']:.1f} |")
    ndcg, cpu = (np.array([[each[name] for each in pair] for pair in page["pairs"]]) for name in ("ndcg", "cpu"))
    difference = ndcg[:, 1] - ndcg[:, 0]
    low, high = ttest_1samp(difference, 0).confidence_interval()
    first, second = cpu.mean(axis=0)
    lines.append(
        f"| mean | {ndcg[:, 0].mean():.4f} | {ndcg[:, 1].mean():.4f} | {difference.mean():+.4f} ({low:+.4f} to "
        f"{high:+.4f}) | {first:.1f} | {second:.1f} ({second / first:.1f} ×) |"
    )
    return lines


def markdown(page: Mapping[str, Any]) -> str:
    """The page of these figures."""
    pooled, attention = (each["parameters"] for each in page["pairs"][0])
    lines = [
        "# The attention tower compared with the pooled one",
        "",
        f"Made by `{page['command']}`; {page['dataset']}, validation, {page['cores']} cores. The epoch is chosen on "
        "validation. CPU seconds are those of all epochs but the first, without validation. Settings are changes of "
        "`softmax` in params.yaml, which was tuned with the pooled tower.",
        "",
        f"## What was tried, seed {page['seed']}",
        "",
        *tried_table(page["tried"]),
        "",
        f"## The best of them: {page['best']}",
        "",
        "NDCG@10, with seeds that had no part in the choice; the interval of the mean difference is one over seeds (95 "
        "%, t).",
        "",
        *final_table(page),
        "",
        f"Trained weights: pooled {pooled:,}, attention {attention:,}.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Print the page; with --write, keep its figures and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--workspace", type=Path, default=ROOT, help="with a split and params.yaml (default: this project)")
    add("--seeds", type=int, nargs="+", default=[43, 44, 45, 46, 47], help="of the final pair; two at least")
    add(
        "--write",
        type=Path,
        help="file for the figures, such as benchmarks/results/towers.json; the page goes next to it",
    )
    arguments = parser.parse_args()
    params, prepared = load_params(arguments.workspace / "params.yaml"), load_prepared(Workspace(arguments.workspace))
    if params.seed in arguments.seeds or len(arguments.seeds) < 2:
        parser.error(f"--seeds takes two or more, without {params.seed}, which chooses the setting")
    page = measured(prepared, params, arguments.seeds)
    show(page, markdown, arguments.write)


if __name__ == "__main__":
    main()
