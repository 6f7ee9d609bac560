"""Seconds that `bakeoff catalogue add` takes, and after which a running `bakeoff serve` ranks the items.

    python benchmarks/catalogue_add.py --write benchmarks/results/catalogue_add.json

Each model is trained for one epoch on synthetic data with so many items, exported and served on loopback. Then the
command adds one item after the other, and MANY more at once. Counted is from the moment at which the command has
written its file to the first answer of the server that knows of the items, asked every PAUSE seconds. A list of that
item alone, asked for next, must hold it.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
from harness.datasets import ROOT, with_overrides
from harness.pages import Page, show
from harness.serving import serving
from rich.console import Console
from ruamel.yaml import YAML
from scaling.data import Size, write_tables

from bakeoff.core.errors import BakeoffError
from bakeoff.core.subprocesses import environment
from bakeoff.core.workspace import Workspace
from bakeoff.ops.catalogue import FOLDER
from bakeoff.params import Params, parse_params
from bakeoff.stages import export, split, train, validate

MODELS = ("mf", "two_tower")
"""One for each way to embed a new item: by the nearest items, and by the item tower."""
ITEMS = (4_000, 100_000, 1_000_000)
USERS, EVENTS = 5_000, 200_000
ROUNDS, MANY = 5, 1_000
"""Additions of one item, and the items that are added at once after them."""
PAUSE = 0.01
PATIENCE = 60.0
"""Seconds after which items that the server does not know count as lost."""
GOAL = 1.0
"""Seconds within which the server is to rank them."""
console = Console(stderr=True, highlight=False)


def settings() -> Params:
    """params.yaml with what differs on synthetic data: few dimensions, and features of items."""
    yaml = YAML(typ="safe")
    shipped, changes = (yaml.load(ROOT / path) for path in ("params.yaml", "benchmarks/settings/scale.yaml"))
    return parse_params(with_overrides(shipped, changes), "params.yaml")


def prepared(root: Path, size: Size, models: Sequence[str]) -> Workspace:
    """A workspace with these models, trained and exported."""
    params, workspace = settings(), Workspace(root)
    root.mkdir()
    YAML(typ="safe").dump(params.model_dump(mode="json"), workspace.params)
    write_tables(root / "data", size, seed=42)
    validate.run(params, workspace)
    split.run(params, workspace)
    for model in models:
        train.run(params, workspace, model)
        export.run(workspace, model)
    return workspace


def added(workspace: Workspace, url: str, model: str, ids: list[str]) -> dict[str, float]:
    """Seconds of the command for these new items, and after which the server ranks them.

    Raises:
        BakeoffError: the command failed, or the server did not take them up.
    """
    before = httpx.get(f"{url}/model").json()["added_items"]
    rng, source = np.random.default_rng(len(ids)), workspace.root / "new.csv"
    rows = (f"{name},{name},{rng.integers(1980, 2025)},genre {rng.integers(1, 5)}\n" for name in ids)
    source.write_text("item_id,title,year,genre\n" + "".join(rows), encoding="utf-8")
    command = [sys.executable, "-m", "bakeoff", "catalogue", "add", source.name, "--model", model]
    root, start = workspace.root, time.perf_counter()
    with subprocess.Popen(
        command, cwd=root, env=environment(root), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        while httpx.get(f"{url}/model").json()["added_items"] < before + len(ids):
            if process.poll() or time.perf_counter() - start > PATIENCE:
                process.kill()
                raise BakeoffError(f"{model} did not take up {source}: {process.communicate()[1]}")
            time.sleep(PAUSE)
        known = time.time()
        process.communicate()
        seconds = time.perf_counter() - start
    answer = httpx.post(f"{url}/recommend", json={"history": [], "allow": ids[:1], "k": 1}).raise_for_status().json()
    if [item["item_id"] for item in answer["items"]] != ids[:1]:
        raise BakeoffError(f"{model} knows of {ids[0]} and does not list it: {answer}")
    [file] = (root / FOLDER).glob(f"{model}-*.parquet")
    return {"command": seconds, "ranked": known - file.stat().st_mtime}


def measure(items: int, models: Sequence[str] = MODELS) -> list[dict[str, Any]]:
    """A row for each model and number of items that are added."""
    rows = []
    with TemporaryDirectory() as scratch:
        workspace = prepared(Path(scratch) / "workspace", Size(EVENTS, USERS, items), models)
        for model in models:
            with serving(workspace.root, Path(scratch) / "log", "--model", model) as (_, url):
                alone = [added(workspace, url, model, [f"new{number}"]) for number in range(ROUNDS)]
                many = [added(workspace, url, model, [f"more{number}" for number in range(MANY)])]
            for number, found in ((1, alone), (MANY, many)):
                rows.append({"items": items, "model": model, "added": number, "rounds": found})
                console.print(rows[-1], markup=False)
    return rows


def markdown(page: Page) -> str:
    """The page, made from its figures."""
    late = sum(each["ranked"] > GOAL for row in page["rows"] for each in row["rounds"])
    runs = sum(len(row["rounds"]) for row in page["rows"])
    lines = []
    for row in page["rows"]:
        command, ranked = ([each[name] for each in row["rounds"]] for name in ("command", "ranked"))
        cells = f"{row['items']:,} | {row['model']} | {row['added']:,} | {median(command):.1f}"
        lines.append(f"| {cells} | {median(ranked):.2f} | {max(ranked):.2f} |")
    users = f"{page['users']:,} users, d = {page['dim']}"
    paragraphs = [
        "# New items in a running server",
        f"Made by `{page['command']}`, on {page['cores']} cores: `bakeoff catalogue add` of items with a year and a "
        f"genre, and `bakeoff serve` on loopback, with models of synthetic data ({users}). "
        "The server looks at the file of added items twenty times a second.",
        f"In {runs - late} of {runs} additions the server ranked the items within {GOAL:g} s of the time of the file. "
        f"One item was added {ROUNDS} times, another one each time; medians, and the longest.",
        "\n".join(
            [
                "| catalogue | model | added | command, s | ranked after, s | longest |",
                "|--:|---|--:|--:|--:|--:|",
                *lines,
            ]
        ),
        "With one item, most of the command's time is that of starting Python and of reading the model; with many, MF "
        "spends it on finding the nearest items.",
    ]
    return "\n\n".join(paragraphs) + "\n"


def main() -> None:
    """Measure, and print or keep the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=list(ITEMS), help="sizes of the catalogue")
    parser.add_argument("--write", type=Path, metavar="FILE.json", help="keep the figures there, the page beside them")
    arguments = parser.parse_args()
    rows = [row for items in arguments.items for row in measure(items)]
    sizes = "" if arguments.items == list(ITEMS) else f" --items {' '.join(map(str, arguments.items))}"
    page = {
        "command": f"python benchmarks/catalogue_add.py{sizes}",
        "cores": os.cpu_count(),
        "users": USERS,
        "dim": settings().mf.dim,
        "rows": rows,
    }
    show(page, markdown, arguments.write)


if __name__ == "__main__":
    main()
