"""The attention tower compared with the pooled one: NDCG@10 on validation, and what training costs.

Run it in a workspace whose split is made (`make run`). Both towers train the softmax DNN of its params.yaml, in turns
and in one process; validation chooses the epoch, as everywhere, and test is not opened. First come the settings that
were tried, with one seed each, then the shipped tower and the best attention tower with every seed.

    python benchmarks/towers.py --workspace . --seeds 42 43 44
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from bakeoff.core.files import write_text
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


def tried_table(tried: Sequence[tuple[Mapping[str, Any], Reached]]) -> list[str]:
    """One row per setting; CPU also relative to the first, the shipped tower."""
    lines = ["| setting | ndcg@10 | recall@20 | epoch | CPU, s | × pooled |", "|---|--:|--:|--:|--:|--:|"]
    for changed, found in tried:
        scores = f"{found.ndcg:.4f} | {found.recall:.4f} | {found.epoch}"
        lines.append(f"| {label(changed)} | {scores} | {found.cpu:.1f} | {found.cpu / tried[0][1].cpu:.1f} |")
    return lines


def final_table(pooled: Sequence[Reached], attention: Sequence[Reached], seeds: Sequence[int]) -> list[str]:
    """A row per seed, means, and the difference with its standard error over seeds."""
    lines = ["| seed | pooled | attention | difference | CPU of pooled, s | CPU of attention, s |"]
    lines.append("|---|--:|--:|--:|--:|--:|")
    for seed, a, b in zip(seeds, pooled, attention, strict=True):
        lines.append(f"| {seed} | {a.ndcg:.4f} | {b.ndcg:.4f} | {b.ndcg - a.ndcg:+.4f} | {a.cpu:.1f} | {b.cpu:.1f} |")
    first, second = (np.array([[each.ndcg, each.cpu] for each in side]) for side in (pooled, attention))
    differences = second[:, 0] - first[:, 0]
    error = differences.std(ddof=1) / len(seeds) ** 0.5 if len(seeds) > 1 else float("nan")
    means = first.mean(axis=0), second.mean(axis=0)
    lines.append(
        f"| mean | {means[0][0]:.4f} | {means[1][0]:.4f} | {differences.mean():+.4f} ± {error:.4f} "
        f"| {means[0][1]:.1f} | {means[1][1]:.1f} ({means[1][1] / means[0][1]:.1f} ×) |"
    )
    return lines


def main() -> None:
    """Print the page; with --write, into a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--workspace", type=Path, default=ROOT, help="with a split and params.yaml (default: this project)")
    add("--seeds", type=int, nargs="+", default=[42, 43, 44], help="of the final pair; the first is that of the others")
    add("--write", type=Path, help="file for the page, such as benchmarks/results/towers.md")
    arguments = parser.parse_args()
    params, prepared = load_params(arguments.workspace / "params.yaml"), load_prepared(Workspace(arguments.workspace))
    seeds: Sequence[int] = arguments.seeds
    tried = [(changed, measure(prepared, params, changed, seeds[0])) for changed in TRIED]
    best, first = max((each for each in tried if "tower" in each[0]), key=lambda each: each[1].ndcg)
    pooled, attention = [tried[0][1]], [first]
    for seed in seeds[1:]:
        pooled.append(measure(prepared, params, POOLED, seed))
        attention.append(measure(prepared, params, best, seed))
    page = "\n".join(
        [
            "# The attention tower compared with the pooled one",
            "",
            f"Made by `python benchmarks/towers.py --seeds {' '.join(map(str, seeds))}`; {params.data.dataset}, "
            f"validation, {os.cpu_count()} cores. The epoch is chosen on validation. CPU seconds are those of all "
            "epochs but the first, without validation. Settings are changes of `softmax` in params.yaml, which was "
            "tuned with the pooled tower.",
            "",
            f"## What was tried, seed {seeds[0]}",
            "",
            *tried_table(tried),
            "",
            f"## The best of them with every seed: {label(best)}",
            "",
            f"NDCG@10. Seed {seeds[0]} also chose the setting among {len(tried)}, which flatters its row; the others "
            "are fresh. The difference is given with its standard error over seeds.",
            "",
            *final_table(pooled, attention, seeds),
            "",
            f"Trained weights: pooled {pooled[0].parameters:,}, attention {first.parameters:,}.",
            "",
        ]
    )
    if arguments.write:
        write_text(arguments.write, page)
    print(page, end="")


if __name__ == "__main__":
    main()
