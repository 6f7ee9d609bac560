"""Validation and split on synthetic data: 10⁶ and 10⁷ events, a tenth as many users, 10⁵ items, DuckDB within 4 GB.

Each stage is the project's own command in a process of its own, with two threads. Spark runs too, at the smallest
size, as `local-cluster` of two executors.
"""

import argparse
import json
import math
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from harness.pages import Page, show
from memory import DAY, ROOT, as_text, measured
from pyarrow import csv
from ruamel.yaml import YAML
from scaling.measuring import Limits, run_stage
from scaling.pipeline import Stage

from bakeoff.core.workspace import Workspace
from bakeoff.data.engine.settings import variable
from bakeoff.params import load_params

SPARK = {"engine": "spark", "spark_master": "local-cluster[2,1,2048]", "spark_conf": {"spark.driver.memory": "2g"}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--memory-limit", default="4GB", help="of DuckDB (default: 4GB)")
    parser.add_argument("--no-spark", action="store_true", help="DuckDB alone")
    parser.add_argument("--write", type=Path, help="file for the figures, such as benchmarks/results/tables.json")
    arguments = parser.parse_args()
    duckdb = {"engine": "duckdb", "memory_limit": arguments.memory_limit, "threads": 2}
    rows = []
    for events in arguments.events:
        with tempfile.TemporaryDirectory() as folder:
            workspace = Workspace(Path(folder))
            # With fewer events than ten each, users have none that could be tested.
            write_tables(workspace, min(arguments.users, events // 10), arguments.items, events)
            is_smallest = events == min(arguments.events)
            for engine in (duckdb, *([SPARK] if is_smallest and not arguments.no_spark else [])):
                write_params(workspace, engine)
                for stage in ("validate", "split"):
                    seconds, peak = (
                        measured([stage], workspace) if engine is duckdb else measured_tree(stage, workspace)
                    )
                    cost = {"seconds": seconds, "memory_bytes": peak}
                    rows.append({"engine": engine["engine"], "events": events, "stage": stage} | cost)
                    print(rows[-1], file=sys.stderr, flush=True)
    page = {
        "command": f"python benchmarks/tables.py --events {' '.join(map(str, arguments.events))}",
        "users": arguments.users,
        "items": arguments.items,
        "memory_limit": arguments.memory_limit,
        "spark_master": SPARK["spark_master"],
        "cores": os.cpu_count(),
        "load": os.getloadavg()[2],
        "rows": rows,
    }
    show(page, markdown, arguments.write)


def markdown(page: Page) -> str:
    """The page of these figures."""
    rows = [
        f"| {row['engine']} | {row['events']:,} | {row['stage']} | {row['seconds']:.0f} | "
        f"{row['memory_bytes'] / 2**30:.2f} |"
        for row in page["rows"]
    ]
    return "\n".join(
        [
            "# Validation and split, larger than memory",
            "",
            f"Made by `{page['command']}`: {page['users']:,} users "
            "(a tenth of the events, where that is less) "
            f"and {page['items']:,} items, two threads; DuckDB with `BAKEOFF_MEMORY_LIMIT={page['memory_limit']}`, "
            f"Spark as `{page['spark_master']}`. Peak memory is that of the process, and of Spark the largest sum of "
            "the process, its driver and its executors.",
            "",
            f"{page['cores']} cores; the load of the machine by other work was {page['load']:.1f} (mean of the "
            "last 15 minutes, this work included).",
            "",
            "| engine | events | stage | seconds | peak memory, GiB |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def write_tables(workspace: Workspace, num_users: int, num_items: int, num_events: int) -> None:
    """Raw CSV: every user as often, items by Zipf's law, seconds by chance."""
    rng = np.random.default_rng(0)
    weights = 1 / np.arange(1, num_items + 1)
    workspace.data.mkdir(parents=True)
    interactions = {
        "user_id": as_text(rng.permutation(np.arange(num_events) % num_users)),
        "item_id": as_text(rng.choice(num_items, num_events, p=weights / weights.sum())),
        "timestamp": 1_500_000_000 + rng.integers(0, 1000 * DAY, num_events),
        "rating": rng.integers(1, 6, num_events),
    }
    ages = {"user_id": as_text(np.arange(num_users)), "age": rng.integers(18, 90, num_users)}
    ids = as_text(np.arange(num_items))
    titles = {"item_id": ids, "title": pa.array([f"Item {number % 999}" for number in range(num_items)])}
    for name, table in (("interactions", interactions), ("users", ages), ("items", titles)):
        csv.write_csv(pa.table(table), workspace.data / f"{name}.csv", csv.WriteOptions(quoting_style="none"))


def write_params(workspace: Workspace, engine: dict[str, Any]) -> None:
    """The shipped settings; repeated events are no fault of data that are drawn."""
    values = load_params(ROOT / "params.yaml").model_dump(mode="json")
    values["data"] |= {"user_features": {"age": "dense"}, "item_features": {"title": "text"}}
    values["validation"] |= {"max_quarantine_share": 0.5}
    os.environ |= {
        variable(name): json.dumps(value) if isinstance(value, dict) else str(value) for name, value in engine.items()
    }
    with workspace.params.open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(values, file)


def measured_tree(stage: str, workspace: Workspace) -> tuple[float, int]:
    """Seconds of a stage and the largest sum of resident memory of its processes, in bytes."""
    limits = Limits(memory=sys.maxsize, seconds=math.inf, threads=2)
    found = run_stage(Stage(stage, ("bakeoff", stage), ()), workspace.root, limits)
    if found.failed:
        raise SystemExit(f"{stage} {found.note}")
    return found.wall, found.memory


if __name__ == "__main__":
    main()
