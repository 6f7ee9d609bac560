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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# Workers import what they need themselves: the peer's environment has no bakeoff, and this one no implicit.

OURS, PEER = "bakeoff", "implicit"


def main() -> None:
    """Print a Markdown table, a row per dimension."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=Path(), help="its artifacts/split is read (default: here)")
    parser.add_argument("--peer-python", help="an environment with implicit; without it only ours is timed")
    parser.add_argument("--dims", type=int, nargs="+", default=[64, 256, 512])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
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
        title = write_events(arguments.workspace, path)
        print(f"{title}; {arguments.epochs} epochs, {num_cores()} cores, fastest of {arguments.repeats}.\n")
        compare(arguments, path)


def compare(arguments: argparse.Namespace, events: Path) -> None:
    pythons = {OURS: sys.executable} | ({PEER: arguments.peer_python} if arguments.peer_python else {})
    print("| d | " + " | ".join(f"{name}, s | {name}, CPU s" for name in pythons), end=" | ")
    print("time ratio | CPU ratio |" if arguments.peer_python else "")
    print("|" + "---|" * (1 + 2 * len(pythons) + 2 * bool(arguments.peer_python)))
    setup = []
    for dim in arguments.dims:
        found: dict[str, list[dict[str, float]]] = {name: [] for name in pythons}
        for _ in range(arguments.repeats):
            for name, python in pythons.items():
                found[name].append(run_worker(name, python, events, dim, arguments.epochs))
        best = {
            name: [min(fit[key] for fit in fits) for key in ("wall_seconds", "cpu_seconds")]
            for name, fits in found.items()
        }
        setup += [fit["setup_seconds"] for fit in found[OURS]]
        row = [f"{value:.2f}" for values in best.values() for value in values]
        if arguments.peer_python:
            row += [f"{ours / peer:.2f}" for ours, peer in zip(best[OURS], best[PEER], strict=True)]
        print(f"| {dim} | " + " | ".join(row) + " |", flush=True)
    print(f"\nNot counted: a process's first call, {max(setup):.1f} s at most and {min(setup):.1f} s at least ", end="")
    print("(kernels are compiled once and then loaded).")


def run_worker(name: str, python: str, events: Path, dim: int, epochs: int) -> dict[str, float]:
    command = [python, __file__, "--worker", name, "--events", str(events), "--dims", str(dim), "--epochs", str(epochs)]
    # implicit warns that BLAS threads besides its own slow it down, and they do: a hundredfold on a busy machine.
    environment = os.environ | ({"OPENBLAS_NUM_THREADS": "1"} if name == PEER else {})
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


def write_events(workspace: Path, path: Path) -> str:
    """Train and validation events as CSR; a title that says how many."""
    from bakeoff.core.workspace import Workspace
    from bakeoff.data.prepared.tables import load_prepared

    prepared = load_prepared(Workspace(workspace))
    known = prepared.known()
    np.savez(path, offsets=known.offsets, items=known.items, num_items=prepared.num_items)
    return f"{len(known.items):,} events of {prepared.num_users:,} users and {prepared.num_items:,} items"


def num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    main()
