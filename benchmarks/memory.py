"""Peak memory of preparation, training and evaluation on synthetic data: by default 10⁷ events, 10⁶ items, 2·10⁴ users.

Each step is the project's own command in a process of its own, for one epoch; items are drawn by Zipf's law. Memory
grows with the batch and the parameters, and not with users × items: a float for each pair would take 80 GB here.
How evaluation's depends on `evaluate.users_per_block` and on the users is tried on a smaller catalogue.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from harness.pages import Page, show
from ruamel.yaml import YAML

from bakeoff.core.workspace import Workspace
from bakeoff.params import load_params

ROOT = Path(__file__).resolve().parent.parent
DAY = 86_400
EVALUATED_ITEMS, EVENTS_PER_USER = 100_000, 50
EVALUATED_USERS = (20_000, 80_000)
BLOCKS = (256, 1024, 4096, 16_384)
"""Values of evaluate.users_per_block."""


def main() -> None:
    """Print the page; with --write, keep its figures and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--dim", type=int, default=64, help="of both contenders (default: 64)")
    parser.add_argument("--write", type=Path, help="file for the figures, such as benchmarks/results/memory.json")
    arguments = parser.parse_args()
    made = {name: getattr(arguments, name) for name in ("users", "items", "events", "dim")}
    page = {
        "command": " ".join(["python benchmarks/memory.py", *(f"--{name} {value}" for name, value in made.items())]),
        "cores": os.cpu_count(),
        **made,
        "steps": preparation_and_training(arguments),
        "evaluated_items": EVALUATED_ITEMS,
        "evaluations": [row for users in EVALUATED_USERS for row in evaluation(users, arguments.dim)],
    }
    show(page, markdown, arguments.write)


def markdown(page: Page) -> str:
    """The page of these figures."""
    lines = [
        "# Peak memory on synthetic data",
        "",
        f"Made by `{page['command']}`: the project's own commands on synthetic data, one epoch, {page['cores']} cores.",
        "",
        f"{page['events']:,} events, {page['items']:,} items, {page['users']:,} users, d = {page['dim']}.",
        "",
        "| step | seconds | peak memory, GiB |",
        "|---|---|---|",
        *(f"| {row['step']} | {row['seconds']:.0f} | {row['memory_bytes'] / 2**30:.2f} |" for row in page["steps"]),
        "",
        f"`evaluate mf` over {page['evaluated_items']:,} items, d = {page['dim']}.",
        "",
        "| users | `users_per_block` | seconds | peak memory, GiB |",
        "|---|---|---|---|",
    ]
    for row in page["evaluations"]:
        cells = [f"{row['users']:,}", f"{row['users_per_block']:,}", f"{row['seconds']:.0f}"]
        lines.append(f"| {' | '.join(cells)} | {row['memory_bytes'] / 2**30:.2f} |")
    most = max(row["users"] for row in page["evaluations"])
    lines += [
        "",
        f"A float for each pair of {most:,} users and {page['evaluated_items']:,} items would take "
        f"{4 * most * page['evaluated_items'] / 2**30:.0f} GiB. `evaluate` ran as one process (`BAKEOFF_PROCESSES=1`). "
        "What a block holds, its query embeddings and lists, is little; most of what four times the users add is the "
        "lists of 65,536 users, which are held at a time before they are written.",
    ]
    return "\n".join(lines) + "\n"


def preparation_and_training(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """What each step takes."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        write_tables(workspace, arguments.users, arguments.items, arguments.events)
        write_params(workspace, arguments.dim)
        return [{"step": step} | figures(step.split(), workspace) for step in ("split", "train mf", "train softmax")]


def figures(arguments: list[str], workspace: Workspace) -> dict[str, Any]:
    """`measured`, by name; said as well, since a step takes a while."""
    seconds, memory = measured(arguments, workspace)
    print(f"{' '.join(arguments)}: {seconds:.0f} s, {memory / 2**30:.2f} GiB", file=sys.stderr, flush=True)
    return {"seconds": seconds, "memory_bytes": memory}


def evaluation(users: int, dim: int) -> list[dict[str, Any]]:
    """What each size of block takes."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        write_tables(workspace, users, EVALUATED_ITEMS, users * EVENTS_PER_USER)
        write_params(workspace, dim)
        for step in ("split", "train mf"):
            measured(step.split(), workspace)
        rows = []
        for block in BLOCKS:
            write_params(workspace, dim, block)
            rows.append({"users": users, "users_per_block": block} | figures(["evaluate", "mf"], workspace))
        return rows


def write_tables(workspace: Workspace, num_users: int, num_items: int, num_events: int) -> None:
    """Validated tables: every item once, then items by Zipf's law; users alike often, seconds in order."""
    rng = np.random.default_rng(0)
    weights = 1 / np.arange(1, num_items + 1)
    drawn = rng.choice(num_items, num_events - num_items, p=weights / weights.sum())
    items = rng.permutation(np.concatenate([np.arange(num_items), drawn]))
    users = np.arange(num_events) % num_users
    workspace.validated.mkdir(parents=True)
    interactions = {
        "user_id": as_text(users),
        "item_id": as_text(items),
        "timestamp": 1_500_000_000 + rng.integers(0, 1000 * DAY, num_events),
        "rating": np.full(num_events, 5.0),
    }
    pq.write_table(pa.table(interactions), workspace.validated / "interactions.parquet")
    pq.write_table(pa.table({"user_id": as_text(np.arange(num_users))}), workspace.validated / "users.parquet")
    ids = as_text(np.arange(num_items))
    pq.write_table(pa.table({"item_id": ids, "title": ids}), workspace.validated / "items.parquet")


def as_text(numbers: np.ndarray[Any, Any]) -> pa.Array:
    return pa.array(numbers).cast(pa.string())


def write_params(workspace: Workspace, dim: int, users_per_block: int | None = None) -> None:
    """The shipped settings, for one epoch, without features; a catalogue of this size has no room for EASE."""
    values = load_params(ROOT / "params.yaml").model_dump(mode="json")
    values["data"] |= {"user_features": {}, "item_features": {}}
    values["mf"] |= {"dim": dim, "max_epochs": 1}
    values["softmax"] |= {"dim": dim, "max_epochs": 1, "users_per_batch": 256}
    os.environ["BAKEOFF_PROCESSES"] = "1"  # whose memory is measured
    values["evaluate"] |= {"users_per_block": users_per_block} if users_per_block else {}
    with workspace.params.open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(values, file)


def measured(arguments: list[str], workspace: Workspace) -> tuple[float, int]:
    """Seconds and peak resident memory, in bytes, of `bakeoff` with these arguments."""
    code = (
        "import sys; from bakeoff.cli.app import app; from bakeoff.core.cost import own_peak_memory_bytes;"
        "app(standalone_mode=False); print(own_peak_memory_bytes(), file=sys.stderr)"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=workspace.root, capture_output=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr.decode()[-2000:]}")
    return time.perf_counter() - start, int(done.stderr.decode().split()[-1])


if __name__ == "__main__":
    main()
