"""Load test of `bakeoff serve` on loopback, by wrk (`apt-get install wrk`), with a promotion in the middle of it.

    python benchmarks/serving_load.py --data DIR --write benchmarks/results/serving_load.json

Trains two models on a data set in a Git and DVC repository of its own, promotes the first and asks for lists of ten at
1, 8 and 64 clients, each of which asks again as soon as it has its answer: by user id, by history as someone new
would, and by user id with options (docs/query_time.md) or with reasons (docs/why.md). Then the second is promoted while
8 clients ask. Trained for few epochs: what a model has learned does not change what it costs to ask it. Clients, load
generator and server share the cores, as does whatever else the machine does.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
import timeit
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from harness.datasets import BENCHMARKS, make_split, settings_of
from harness.pages import show
from harness.serving import PATIENCE, serving
from threadpoolctl import threadpool_limits

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import write_text
from bakeoff.core.processes import num_cores
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_prepared
from bakeoff.ops.registry.history import enter
from bakeoff.ops.server.service import MOST_ALONE
from bakeoff.params import parse_params
from bakeoff.stages import export, train

ASKED = 20_000
"""Different queries of a kind, at most; they start over at the end."""

ALLOWED = 100
"""Items on the list that a query with such a list allows."""

PROMOTED_AT = 8
"""Clients that ask while a model is promoted, and for whom the bar holds."""

PLAIN = ("user id", "history")
BAR_MS = 10
BAR = f"The bar is a p95 of at most {BAR_MS} ms for plain queries at 8 clients, and no failure during a promotion."

WRK = """
local bodies, place = {}, 0
function init(args)
  for line in io.lines(args[1]) do bodies[#bodies + 1] = line end
end
function request()
  place = place % #bodies + 1
  return wrk.format("POST", "/recommend", {["Content-Type"] = "application/json"}, bodies[place])
end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\\n{"requests": %d, "seconds": %f, "p50": %f, "p95": %f, "p99": %f, "failed": %d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3,
    latency:percentile(99) / 1e3, errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
"""

Figures = dict[str, float]


def main() -> None:
    """Print the page; with --write, keep its figures and, next to them, the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of raw data sets (default: $BAKEOFF_BENCH_DATA)")
    parser.add_argument("--dataset", choices=list(BENCHMARKS), default="gowalla")
    parser.add_argument("--models", nargs=2, default=["softmax", "mf"], help="the second is promoted under load")
    parser.add_argument("--dim", type=int, help="of both models (default: what they have in benchmarks/settings)")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--seconds", type=int, default=10, help="of each measurement (default: 10)")
    parser.add_argument("--scratch", type=Path, default=Path("artifacts/bench/serving"))
    parser.add_argument("--write", type=Path, help="file for the figures, such as benchmarks/results/serving_load.json")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk, which makes the load, is not installed: apt-get install wrk")
    workspace, commit = make_repository(arguments)
    page = measure(arguments, workspace, commit)
    show(page, markdown, arguments.write)


def make_repository(arguments: argparse.Namespace) -> tuple[Workspace, str]:
    """A repository with both models in one commit, trained unless they are there; its hash."""
    raw = arguments.data or os.environ.get("BAKEOFF_BENCH_DATA")
    benchmark, scratch = BENCHMARKS[arguments.dataset], arguments.scratch.resolve()
    for made in (".git", ".dvc", "dvc.lock"):  # of a run before, in which something is in production
        path = scratch / "workspace" / made
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    workspace = make_split(benchmark, Path(raw) if raw else None, scratch).workspace
    values = settings_of(benchmark)
    for name in arguments.models:
        values[name] |= {"max_epochs": arguments.epochs} | ({"dim": arguments.dim} if arguments.dim else {})
    made_of, stamp = json.dumps([values, arguments.models]), workspace.root / "models/made_of.json"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != made_of:
        params = parse_params(values, benchmark.name)
        for name in arguments.models:
            train.run(params, workspace, name)
            export.run(workspace, name)
        write_text(stamp, made_of)
    return workspace, keep(workspace.root, arguments.models)


def keep(root: Path, models: list[str]) -> str:
    """Commit the models, with their files in DVC's cache."""
    stages = "".join(f"  export_{name}:\n    cmd: export\n    outs: [models/{name}/saved_model]\n" for name in models)
    write_text(root / "dvc.yaml", f"stages:\n{stages}")
    write_text(root / ".gitignore", "/*\n!/dvc.*\n!/.dvc\n!/.gitignore\n")
    who = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost")
    commands = (
        ("git", "init", "--quiet", "."),
        ("dvc", "init", "--quiet"),
        ("dvc", "commit", "--quiet", "--force"),
        ("git", "add", "--all"),
        ("git", *who, "commit", "--quiet", "--message", "two models"),
    )
    for command in commands:
        call(root, *command)
    for name, value in (("user.name", "benchmark"), ("user.email", "benchmark@localhost")):
        call(root, "git", "config", name, value)
    return call(root, "git", "rev-parse", "HEAD")


def measure(arguments: argparse.Namespace, workspace: Workspace, commit: str) -> dict[str, Any]:
    """All figures of the page."""
    first, second = arguments.models
    promote(workspace, first, commit)
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(workspace.root, Path(folder) / "log", "--interval", "1") as (server, url),
    ):
        queries = write_queries(workspace, Path(folder))
        rows = list[dict[str, Any]]()
        for kind, file in queries.items():
            load(url, file, 8, 2)  # code is traced, and memory taken
            rows += [
                {"kind": kind, "clients": clients} | loaded(server, url, file, clients, arguments.seconds)
                for clients in arguments.clients
            ]
        under = promoted_under_load(arguments, workspace, (second, commit), url, queries["user id"])
        about = httpx.get(f"{url}/model", timeout=PATIENCE).json()
    values, given = settings_of(BENCHMARKS[arguments.dataset]), f" --dim {arguments.dim}" if arguments.dim else ""
    dataset = "" if arguments.dataset == "gowalla" else f"--dataset {arguments.dataset} "
    dims = {name: arguments.dim or values[name]["dim"] for name in arguments.models}
    return {
        "command": f"python benchmarks/serving_load.py --data DIR {dataset}--models {first} {second}{given} "
        f"--seconds {arguments.seconds}",
        "title": BENCHMARKS[arguments.dataset].title,
        "dims": dims,
        "items": about["items"],
        "users": about["users"],
        "search": about["search"],
        "cores": num_cores(),
        "seconds": arguments.seconds,
        "product_ms": product_ms(about["items"], dims[first]),
        "rows": rows,
        "promotion": under,
    }


def product_ms(num_items: int, dim: int) -> float:
    """Milliseconds of a bare float32 product of PROMOTED_AT queries with all items in one thread, median of 100."""
    rng = np.random.default_rng(0)
    items, queries = (rng.random(shape, np.float32) for shape in ((dim, num_items), (PROMOTED_AT, dim)))
    with threadpool_limits(1, "blas"):
        return 1000 * float(np.median(timeit.repeat(lambda: queries @ items, number=1, repeat=100)))


def promoted_under_load(
    arguments: argparse.Namespace, workspace: Workspace, place: tuple[str, str], url: str, queries: Path
) -> Figures:
    """Figures of a load in the middle of which a model is promoted, with how long it took until it answered."""
    found: Figures = {}
    seconds = 3 * arguments.seconds
    asking = threading.Thread(target=lambda: found.update(load(url, queries, PROMOTED_AT, seconds)))
    asking.start()
    time.sleep(arguments.seconds / 2)
    begun = time.perf_counter()
    promote(workspace, *place)
    while httpx.get(f"{url}/model", timeout=PATIENCE).json()["model"] != place[0]:
        if time.perf_counter() - begun > PATIENCE:
            raise BakeoffError(f"{place[0]} was promoted and did not answer within {PATIENCE} s.")
        time.sleep(0.1)
    took = time.perf_counter() - begun
    asked_on = asking.is_alive()
    asking.join()
    if not asked_on:
        raise BakeoffError(f"The load of {seconds} s ended before the promotion was taken up: raise --seconds.")
    return found | {"swap": took}


def loaded(server: psutil.Process, url: str, queries: Path, clients: int, seconds: int) -> Figures:
    """Figures of one load, with what a request costs the server."""
    before = sum(server.cpu_times()[:2])
    found = load(url, queries, clients, seconds)
    return found | {"cpu": 1000 * (sum(server.cpu_times()[:2]) - before) / max(found["requests"], 1)}


def load(url: str, queries: Path, clients: int, seconds: int) -> Figures:
    """What wrk measured; milliseconds."""
    script = queries.with_name("load.lua")
    script.write_text(WRK, encoding="utf-8")
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script), url]
    told = call(queries.parent, *command, "--", str(queries))
    found: Figures = json.loads(told.splitlines()[-1])
    return found


def write_queries(workspace: Workspace, folder: Path) -> Mapping[str, Path]:
    """Files with a query a line, by kind."""
    prepared = load_prepared(workspace)
    known = prepared.known()
    asked = np.random.default_rng(0).permutation(np.flatnonzero(known.lengths))[:ASKED]
    users = prepared.users["user_id"].to_numpy()
    items = prepared.items["item_id"].to_numpy()
    chosen = known.take(asked)
    lists = np.split(items[chosen.items], chosen.offsets[1:-1])
    by_id = [{"user_id": user, "k": 10} for user in users[asked]]
    few = np.random.default_rng(1).choice(items, ALLOWED, replace=False).tolist()
    kinds = {
        PLAIN[0]: by_id,
        PLAIN[1]: [{"history": each.tolist(), "k": 10} for each in lists],
        "user id, diversity and debias of 0.2": [query | {"diversity": 0.2, "debias": 0.2} for query in by_id],
        f"user id, {ALLOWED} items allowed": [query | {"allow": few} for query in by_id],
        "user id, and why": [query | {"why": True} for query in by_id],
    }
    files = dict[str, Path]()
    for kind, queries in kinds.items():
        files[kind] = folder / f"{len(files)}.jsonl"
        files[kind].write_text("".join(f"{json.dumps(query)}\n" for query in queries), encoding="utf-8")
    return files


def promote(workspace: Workspace, model: str, commit: str) -> None:
    enter(workspace.root, model, commit, "Action: promote", push=False)


def call(folder: Path, *command: str) -> str:
    """What a command prints."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise BakeoffError(f"`{' '.join(command)}` failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


def markdown(page: Mapping[str, Any]) -> str:
    """The page of these figures."""
    (first, dim), (second, other_dim) = page["dims"].items()
    under, seconds = page["promotion"], page["seconds"]
    slowest = max(
        (row["p95"] for row in page["rows"] if row["clients"] == PROMOTED_AT and row["kind"] in PLAIN), default=0
    )
    paragraphs = [
        "# Serving under load",
        f"Made by `{page['command']}`.",
        f"{page['title']}: {page['items']:,} items, {page['users']:,} users; lists of 10 by `{first}`, d = {dim}, "
        f"search {page['search']}. One server process and wrk on {page['cores']} cores, loopback, connections kept; "
        f"{seconds} s each. A bare product of {PROMOTED_AT} queries with all items takes {page['product_ms']:.1f} ms "
        f"in one thread here. {BAR} This run's largest p95 at {PROMOTED_AT} clients is {slowest:.1f} ms: "
        f"{'met' if slowest <= BAR_MS else 'not met'}.",
        "| queries | clients | requests/s | p50, ms | p95, ms | p99, ms | failed | server's CPU per request, ms |\n"
        "|---|---|---|---|---|---|---|---|\n" + "\n".join(map(line, page["rows"])),
        f"Queries with reasons are computed one after the other; where more than {MOST_ALONE} wait, further ones are "
        "refused at once (503), which counts as failed.",
        f"`{second}`, d = {other_dim}, promoted while {PROMOTED_AT} clients asked by user id for "
        f"{under['seconds']:.0f} s: {under['requests']:,.0f} requests ({under['requests'] / under['seconds']:,.0f}/s), "
        f"**{under['failed']:.0f} failed**; the new model answered {under['swap']:.1f} s after the tag was made. "
        f"p50 {under['p50']:.1f} ms, p95 {under['p95']:.1f} ms, p99 "
        f"{under['p99']:.1f} ms: the new model is loaded by the same process, on the same cores.",
    ]
    return "\n\n".join(paragraphs) + "\n"


def line(row: Mapping[str, Any]) -> str:
    """A row of the table."""
    rate = row["requests"] / row["seconds"]
    latencies = " | ".join(f"{row[name]:.1f}" for name in ("p50", "p95", "p99"))
    return f"| by {row['kind']} | {row['clients']} | {rate:,.0f} | {latencies} | {row['failed']} | {row['cpu']:.2f} |"


if __name__ == "__main__":
    main()
