"""Time of one training step: softmax over the whole catalogue against a sampled one, as the catalogue grows.

Both are SoftmaxTrainer on synthetic histories: 256 queries a step, 64 dimensions, ids only. The two take turns, so that
whatever else the machine does meets both; a step's time is the median over the turns.

    python benchmarks/step_time.py --items 10000 100000
"""

import argparse
import os
from pathlib import Path
from typing import Any

from harness.pages import Page, show
from rich.console import Console

from bakeoff.experiments.step_time import Steps, measure_steps

ITEMS = (10_000, 100_000, 1_000_000)
BARS = {100_000: 0.1, 1_000_000: 0.02}
"""Largest ratio of sampled to full that is good enough, by number of items."""


def markdown(page: Page) -> str:
    """The page of these figures."""
    lines = ["| items | full, ms | sampled, ms | sampled ÷ full | bar |", "|---|---|---|---|---|"]
    for row in page["rows"]:
        items, full, sampled = row["items"], row["full_step_seconds"], row["sampled_step_seconds"]
        bar = f"≤ {BARS[items]:g}" if items in BARS else "–"
        lines.append(f"| {items:,} | {1000 * full:.1f} | {1000 * sampled:.1f} | {sampled / full:.3f} | {bar} |")
    about = (
        f"{page['cores']} cores; {page['queries_per_step']} queries a step, 64 dimensions, "
        f"ids only, synthetic histories. Full and sampled steps take turns; medians of {page['turns']}."
    )
    return f"# Time of a training step\n\nMade by `{page['command']}`. {about}\n\n" + "\n".join(lines) + "\n"


def main() -> None:
    """Print the page; with --write, keep its figures and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--items", type=int, nargs="+", default=list(ITEMS), help="sizes of the catalogue (default: 10⁴ 10⁵ 10⁶)")
    add("--sampler", default="in-batch", help="of the sampled softmax (default: in-batch)")
    add("--num-sampled", type=int, default=512, help="negatives of a sampler that draws them (default: 512)")
    add("--turns", type=int, default=5, help="that are measured (default: 5)")
    add("--seed", type=int, default=42)
    add("--write", type=Path, help="file for the figures, such as benchmarks/results/step_time.json")
    arguments = parser.parse_args()
    steps = Steps(sampler=arguments.sampler, num_sampled=arguments.num_sampled, turns=arguments.turns)
    rows, console = [], Console(stderr=True)
    for items in arguments.items:
        with console.status(f"{items:,} items"):
            rows.append({"items": items, **measure_steps(items, steps, arguments.seed)})
    options = f"--items {' '.join(map(str, arguments.items))} --sampler {arguments.sampler}"
    page: dict[str, Any] = {
        "command": f"python benchmarks/step_time.py {options}",
        "cores": os.cpu_count(),
        "queries_per_step": steps.queries_per_step,
        "turns": steps.turns,
        "rows": rows,
    }
    show(page, markdown, arguments.write)


if __name__ == "__main__":
    main()
