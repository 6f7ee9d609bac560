"""Fit time of implicit ALS compared with the C++ library `implicit`, on the same events, cores, dimensions and epochs.

Run it in a workspace whose split is made (`make run`), with the Python of an environment that has implicit:

    python benchmarks/als.py --peer-python ~/peers/bin/python

Fits alternate, each in a process of its own, and the fastest of `--repeats` counts: whatever else the machine does
only ever adds time. CPU seconds of all threads, less distorted by a busy machine, are another column. Laying out the
events for both sides is part of a fit; reading them is not, nor is compiling or loading kernels (said separately).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

# Workers import what they need themselves: the peer's environment has no bakeoff, and this one no implicit.

OURS, PEER = "bakeoff", "implicit"
SECONDS = ("wall_seconds", "cpu_seconds")


def main() -> None:
    """Print the page; with --write, keep its figures and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=Path(), help="its artifacts/split is read (default: here)")
    parser.add_argument("--peer-python", help="an environment with implicit; without it only ours is timed")
    parser.add_argument("--dims", type=int, nargs="+", default=[64, 256, 512])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", type=Path, help="file for the figures, such as benchmarks/results/als.json")
    parser.add_argument("--worker", choices=[OURS, PEER], help=argparse.SUPPRESS)
    parser.add_argument("--events", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        with np.load(arguments.events) as events:
            fit = {OURS: fit_ours, PEER: fit_peer}[arguments.worker]
            print(json.dumps(fit(dict(events), arguments.dims[0], arguments.epochs)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.npz"
        about = write_events(arguments.workspace, path)
        rows = compare(arguments, path)
    from harness.pages import show

    peer = f" --peer-python {arguments.peer_python}" if arguments.peer_python else ""
    page = {
        "command": f"python benchmarks/als.py --workspace {arguments.workspace}{peer} --repeats {arguments.repeats}",
        "data": about,
        "epochs": arguments.epochs,
        "cores": num_cores(),
        "repeats": arguments.repeats,
        "rows": rows,
    }
    show(page, markdown, arguments.write)


def compare(arguments: argparse.Namespace, events: Path) -> list[dict[str, Any]]:
    """For each dimension the fastest fit of each system."""
    pythons = {OURS: sys.executable} | ({PEER: arguments.peer_python} if arguments.peer_python else {})
    rows = []
    for dim in arguments.dims:
        found: dict[str, list[dict[str, float]]] = {name: [] for name in pythons}
        for _ in range(arguments.repeats):
            for name, python in pythons.items():
                found[name].append(run_worker(name, python, events, dim, arguments.epochs))
        best = {name: [min(fit[key] for fit in fits) for key in SECONDS] for name, fits in found.items()}
        rows.append({"dim": dim, "best": best, "setup_seconds": [fit["setup_seconds"] for fit in found[OURS]]})
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def markdown(page: Mapping[str, Any]) -> str:
    """The page of these figures: a row per dimension."""
    names = list(page["rows"][0]["best"])
    head = ["d", *(f"{name}, s | {name}, CPU s" for name in names), *["time ratio | CPU ratio"] * (PEER in names)]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * (1 + 2 * len(names) + 2 * (PEER in names))]
    for row in page["rows"]:
        cells = [f"{value:.2f}" for name in names for value in row["best"][name]]
        if PEER in names:
            cells += [f"{ours / peer:.2f}" for ours, peer in zip(row["best"][OURS], row["best"][PEER], strict=True)]
        lines.append(f"| {row['dim']} | {' | '.join(cells)} |")
    setup = [seconds for row in page["rows"] for seconds in row["setup_seconds"]]
    paragraphs = [
        "# ALS compared with `implicit`: fit time",
        f"Made by `{page['command']}`.",
        f"{page['data']['events']:,} events of {page['data']['users']:,} users and {page['data']['items']:,} items; "
        f"{page['epochs']} epochs, {page['cores']} cores, fastest of {page['repeats']}.",
        "\n".join(lines),
        f"Not counted: a process's first call, {max(setup):.1f} s at most and {min(setup):.1f} s at least (kernels are "
        "compiled once and then loaded).",
    ]
    return "\n\n".join(paragraphs) + "\n"


def run_worker(name: str, python: str, events: Path, dim: int, epochs: int) -> dict[str, float]:
    command = [python, __file__, "--worker", name, "--events", str(events), "--dims", str(dim), "--epochs", str(epochs)]
    from harness.processes import KEEP_FREED_MEMORY

    # implicit warns that BLAS threads besides its own slow it down, and they do: a hundredfold on a busy machine.
    own = {"OPENBLAS_NUM_THREADS": "1"} if name == PEER else {}
    environment = {**os.environ, **KEEP_FREED_MEMORY, **own}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def fit_ours(events: dict[str, Any], dim: int, epochs: int) -> dict[str, float]:
    from bakeoff.core.histories import Histories
    from bakeoff.models.mf.als import ImplicitALS
    from bakeoff.models.mf.spec import MFParams

    def fit(histories: Histories, params: MFParams) -> None:
        model = ImplicitALS(histories, int(events["num_items"]), params, seed=0)
        for _ in range(epochs):
            model.run_epoch()

    histories = Histories(events["offsets"], events["items"], np.zeros(len(events["items"]), np.int64))
    params = MFParams(dim=dim, unobserved_weight=0.1, regularization=0.5, regularization_exponent=0)
    start = time.perf_counter()
    few = histories.take(np.arange(8))
    for solver in ("cholesky", "cg"):
        fit(few, params.model_copy(update={"dim": 2, "solver": solver}))
    setup = time.perf_counter() - start
    return measured(lambda: fit(histories, params)) | {"setup_seconds": setup}


def fit_peer(events: dict[str, Any], dim: int, epochs: int) -> dict[str, float]:
    from implicit.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix

    items, offsets = events["items"], events["offsets"]
    shape = (len(offsets) - 1, int(events["num_items"]))
    pairs = csr_matrix((np.ones(len(items), np.float32), items, offsets), shape)
    # The same objective: α₀ = 1/(α − 1), λ = λ'/α.
    model = AlternatingLeastSquares(
        dim, alpha=11.0, regularization=5.5, iterations=epochs, num_threads=num_cores(), random_state=0
    )
    return measured(lambda: model.fit(pairs, show_progress=False))


def measured(fit: Callable[[], None]) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    fit()
    return {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}


def write_events(workspace: Path, path: Path) -> dict[str, Any]:
    """Train and validation events as CSR; what they are."""
    from bakeoff.core.workspace import Workspace
    from bakeoff.data.prepared.tables import load_prepared

    prepared = load_prepared(Workspace(workspace))
    known = prepared.known()
    np.savez(path, offsets=known.offsets, items=known.items, num_items=prepared.num_items)
    return {"events": len(known.items), "users": prepared.num_users, "items": prepared.num_items}


def num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    main()
