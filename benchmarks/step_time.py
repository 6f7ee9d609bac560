"""Time of one training step: softmax over the whole catalogue against a sampled one, as the catalogue grows.

Both are SoftmaxTrainer on synthetic histories: 256 queries a step, 64 dimensions, ids only. The two take turns, so that
whatever else the machine does meets both; a step's time is the median over the turns.

    python benchmarks/step_time.py --items 10000 100000
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console

from bakeoff.models.softmax.trainer import SoftmaxTrainer
from bakeoff.params import SoftmaxParams
from bakeoff.preparation.features import EncodedFeatures
from bakeoff.preparation.histories import Histories, Queries
from bakeoff.stages.files import write_text

ITEMS = (10_000, 100_000, 1_000_000)
BARS = {100_000: 0.1, 1_000_000: 0.02}
"""Largest ratio of sampled to full that is good enough, by number of items."""
USERS_PER_BATCH, CUTS_PER_USER = 32, 8
HISTORY_LENGTH = 50
STEPS = {"full": 3, "sampled": 30}
"""Steps of one turn: enough that starting an epoch does not count, few enough that full ones end."""


def queries_over(num_items: int, num_users: int, seed: int) -> Queries:
    """Users with histories of distinct items, drawn so that few items are frequent and most are rare."""
    rng = np.random.default_rng(seed)
    popular_first = (num_items ** rng.random((num_users, 4 * HISTORY_LENGTH))).astype(np.int64) - 1
    rows = [np.unique(row)[:HISTORY_LENGTH] for row in popular_first]
    items = np.concatenate([rng.permutation(row) for row in rows])
    users = np.repeat(np.arange(num_users), [len(row) for row in rows])
    histories = Histories.from_rows(users, items, np.arange(len(items)) + 1, num_users)
    return Queries(histories, np.zeros((num_users, 0), np.float32), np.zeros((num_users, 0), np.int32))


def trainer_of(kind: str, num_items: int, sampler: str, num_sampled: int, turns: int, seed: int) -> SoftmaxTrainer:
    """A trainer whose epoch has STEPS[kind] steps."""
    negatives = {"sampler": "full" if kind == "full" else sampler, "num_sampled": num_sampled}
    params = SoftmaxParams.model_validate(
        {
            "dim": 64,
            "hidden": [64],
            "max_epochs": turns + 1,
            "users_per_batch": USERS_PER_BATCH,
            "cuts_per_user": CUTS_PER_USER,
            "use_user_features": False,
            "use_item_features": False,
            "negatives": negatives,
        }
    )
    queries = queries_over(num_items, USERS_PER_BATCH * STEPS[kind], seed)
    nothing = EncodedFeatures(np.zeros((num_items, 0), np.float32), np.zeros((num_items, 0), np.int32), ())
    return SoftmaxTrainer(queries, num_items, nothing, {}, params, seed)


def seconds_per_step(trainers: dict[str, Any], turns: int) -> dict[str, float]:
    """Median over the turns, the first of which (tracing) does not count."""
    seconds: dict[str, list[float]] = {kind: [] for kind in trainers}
    for _ in range(turns + 1):
        for kind, trainer in trainers.items():
            start = time.perf_counter()
            trainer.run_epoch()
            seconds[kind].append((time.perf_counter() - start) / STEPS[kind])
    return {kind: median(values[1:]) for kind, values in seconds.items()}


def markdown(rows: Sequence[tuple[int, dict[str, float]]], command: str) -> str:
    """The page."""
    lines = ["| items | full, ms | sampled, ms | sampled ÷ full | bar |", "|---|---|---|---|---|"]
    for items, seconds in rows:
        full, sampled = seconds["full"], seconds["sampled"]
        bar = f"≤ {BARS[items]:g}" if items in BARS else "–"
        lines.append(f"| {items:,} | {1000 * full:.1f} | {1000 * sampled:.1f} | {sampled / full:.3f} | {bar} |")
    return f"# Time of a training step\n\nMade by `{command}`. {_about()}\n\n" + "\n".join(lines) + "\n"


def _about() -> str:
    return (
        f"{os.cpu_count()} cores; {USERS_PER_BATCH * CUTS_PER_USER} queries a step, 64 dimensions, "
        "ids only, synthetic histories. Full and sampled steps take turns; medians."
    )


def main() -> None:
    """Print, and with --write keep, the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--items", type=int, nargs="+", default=list(ITEMS), help="sizes of the catalogue (default: 10⁴ 10⁵ 10⁶)")
    add("--sampler", default="in-batch", help="of the sampled softmax (default: in-batch)")
    add("--num-sampled", type=int, default=512, help="negatives of a sampler that draws them (default: 512)")
    add("--turns", type=int, default=5, help="that are measured (default: 5)")
    add("--seed", type=int, default=42)
    add("--write", type=Path, help="file for the table, such as benchmarks/results/step_time.md")
    arguments = parser.parse_args()
    rows, console = [], Console(stderr=True)
    for items in arguments.items:
        with console.status(f"{items:,} items"):
            trainers = {
                kind: trainer_of(kind, items, arguments.sampler, arguments.num_sampled, arguments.turns, arguments.seed)
                for kind in STEPS
            }
            rows.append((items, seconds_per_step(trainers, arguments.turns)))
    options = f"--items {' '.join(map(str, arguments.items))} --sampler {arguments.sampler}"
    page = markdown(rows, f"python benchmarks/step_time.py {options}")
    if arguments.write:
        write_text(arguments.write, page)
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
