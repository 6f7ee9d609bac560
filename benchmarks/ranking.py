"""Time to rank a catalogue for all users, compared with the bare matrix product and with peers that rank.

Run it in a workspace whose split is made (`make run`), with the Python of an environment that has implicit:

    python benchmarks/ranking.py --workspace artifacts/bench/gowalla/workspace --peer-python .venv-peers/bin/python

Embeddings are those of a few epochs of ALS; of `--unit` dimensions, those of items also at length one, as the networks
have them with `normalize`: then no item is too short to be looked at. Everyone makes lists of 100 items for every user,
seen items left out, from the same arrays and on the same cores, and takes turns with the others: whatever else the
machine does meets all. What counts is the median over the turns. The product writes its float32 scores, 1,024 users at
a time, into one array that stays; nothing is selected.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

# The peer's environment has no bakeoff: what is imported from it is imported where it is used.

BARE, OURS, TENSORFLOW, PEER = "bare product", "bakeoff", "TensorFlow", "implicit"
SECONDS = ("wall_seconds", "cpu_seconds")
LIST_LENGTH = 100
USERS_PER_BLOCK = 1024
BAR = 1.5
"""Largest ratio of our time to that of the bare product that is good enough."""

Figures = dict[str, float]
Measure = Callable[[], Figures]
Arrays = dict[str, Any]


def main() -> None:
    """Print the page; with --write, keep its figures and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=Path(), help="its artifacts/split is read (default: here)")
    parser.add_argument("--peer-python", help="an environment with implicit; without it the peer is left out")
    parser.add_argument("--dims", type=int, nargs="+", default=[64, 128, 512])
    parser.add_argument("--unit", type=int, nargs="*", default=[64], help="dimensions at length one (default: 64)")
    parser.add_argument("--epochs", type=int, default=4, help="of the ALS that makes the embeddings (default: 4)")
    parser.add_argument("--repeats", type=int, default=5, help="turns (default: 5)")
    parser.add_argument("--users", type=int, help="that are ranked for, the first ones (default: all)")
    parser.add_argument("--write", type=Path, help="file for the figures, such as benchmarks/results/ranking.json")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        serve_peer(arguments.worker)
        return
    about, rows = "", []
    with tempfile.TemporaryDirectory() as folder:
        for dim, is_unit in [(dim, False) for dim in arguments.dims] + [(dim, True) for dim in arguments.unit]:
            path = Path(folder) / f"{dim}.npz"
            if not path.exists():
                about = write_arrays(arguments.workspace, path, dim, arguments.epochs, arguments.users)
            if is_unit:
                bring_items_to_length_one(path)
            label = f"{dim}, length one" if is_unit else str(dim)
            rows += rows_of(label, take_turns(path, arguments.peer_python, arguments.repeats))
    from harness.pages import show

    page = {
        "command": command_of(arguments),
        "about": about,
        "cores": num_cores(),
        "repeats": arguments.repeats,
        "rows": rows,
    }
    show(page, markdown, arguments.write)


def take_turns(path: Path, peer_python: str | None, repeats: int) -> dict[str, list[Figures]]:
    """Figures of every turn but the first, in which code is compiled and traced."""
    with np.load(path) as file, ExitStack() as stack:
        arrays = dict(file)
        measures = {BARE: bare(arrays), OURS: ours(arrays), TENSORFLOW: tensorflow(arrays)}
        if peer_python:
            measures[PEER] = stack.enter_context(peer(peer_python, path))
        found: dict[str, list[Figures]] = {name: [] for name in measures}
        for _ in range(repeats + 1):
            for name, measure in measures.items():
                found[name].append(measure())
    return {name: turns[1:] for name, turns in found.items()}


def rows_of(dim: str, found: dict[str, list[Figures]]) -> list[dict[str, Any]]:
    """A row of the table per system; ratios are to the bare product of the same turn, and the median of them."""
    rows = []
    for name, turns in found.items():
        seconds = {key: median(turn[key] for turn in turns) for key in SECONDS}
        ratios = {
            f"{key}_ratio": median(turn[key] / bare[key] for turn, bare in zip(turns, found[BARE], strict=True))
            for key in SECONDS
        }
        rows.append({"dim": dim, "system": name, "users": turns[0]["users"]} | seconds | ratios)
    return rows


def command_of(arguments: argparse.Namespace) -> str:
    """What makes the page again."""
    command = "python benchmarks/ranking.py --workspace artifacts/bench/gowalla/workspace"
    command += f" --dims {' '.join(map(str, arguments.dims))}"
    command += f" --unit {' '.join(map(str, arguments.unit))}" if arguments.unit != [64] else ""
    command += f" --users {arguments.users}" if arguments.users else ""
    command += " --peer-python .venv-peers/bin/python" if arguments.peer_python else ""
    return f"{command} --repeats {arguments.repeats}"


def markdown(page: Mapping[str, Any]) -> str:
    """The page of these figures."""
    rows = []
    for row in page["rows"]:
        cells = [f"{row[key]:.2f}" for key in SECONDS] + [f"{row['users'] / row['wall_seconds']:,.0f}"]
        cells += [f"{row[f'{key}_ratio']:.2f}" for key in SECONDS]
        rows.append(f"| {row['dim']} | {row['system']} | {' | '.join(cells)} |")
    lines = [
        "# Ranking compared with the bare matrix product",
        f"Made by `{page['command']}`.",
        f"{page['about']}; the best {LIST_LENGTH} items of every user, seen ones left out. {page['cores']} cores; "
        f"medians over {page['repeats']} turns that systems take one after the other. The bar is a time of at most "
        f"{BAR} × that of the bare float32 product by BLAS.",
        "\n".join(
            [
                "| d | system | s | CPU s | users/s | time ÷ bare product | CPU ÷ bare product |",
                "|---|---|---|---|---|---|---|",
                *rows,
            ]
        ),
    ]
    return "\n\n".join(lines) + "\n"


def bare(arrays: Arrays) -> Measure:
    """The product alone."""
    queries, items = arrays["queries"], arrays["items"]
    scores = np.empty((USERS_PER_BLOCK, len(items)), np.float32)

    def multiply() -> None:
        for start in range(0, len(queries), USERS_PER_BLOCK):
            block = queries[start : start + USERS_PER_BLOCK]
            np.matmul(block, items.T, out=scores[: len(block)])

    return lambda: measured(multiply, len(queries))


def ours(arrays: Arrays) -> Measure:
    """`rank`, as evaluation and validation call it."""
    from bakeoff.core.histories import Histories, Queries
    from bakeoff.evaluation.ranking import rank

    class Trained:
        item_embeddings = arrays["items"]

        def embed_queries(self, queries: Queries) -> Any:
            return arrays["queries"][queries.categorical[:, 0]]

        def uses_fallback(self, queries: Queries) -> Any:
            raise NotImplementedError

    def sets(name: str) -> Histories:
        items = arrays[f"{name}_items"]
        return Histories(arrays[f"{name}_offsets"], items, np.zeros(len(items), np.int64))

    seen, truth = sets("seen"), sets("test")
    rows = np.arange(len(seen), dtype=np.int32)
    queries = Queries(seen, np.zeros((len(seen), 0), np.float32), rows[:, np.newaxis])
    return lambda: measured(
        lambda: rank(Trained(), queries, seen, truth, LIST_LENGTH, USERS_PER_BLOCK), len(arrays["queries"])
    )


def tensorflow(arrays: Arrays) -> Measure:
    """Brute force in a graph: product, −∞ over what is seen, `top_k`; on all cores and by its own fastest kernels."""
    # Importing bakeoff has asked for one thread, and for sums in a fixed order.
    os.environ |= dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), str(num_cores()))
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
    from bakeoff.models.base.tensorflow import tf

    items = tf.constant(arrays["items"])
    offsets, seen = arrays["seen_offsets"], arrays["seen_items"]

    @tf.function(reduce_retracing=True)
    def best(queries: Any, index: Any) -> Any:
        scores = tf.matmul(queries, items, transpose_b=True)
        scores = tf.tensor_scatter_nd_update(scores, index, tf.fill(tf.shape(index)[:1], -np.inf))
        return tf.math.top_k(scores, k=LIST_LENGTH)

    def rank_all() -> None:
        for start in range(0, len(arrays["queries"]), USERS_PER_BLOCK):
            block = arrays["queries"][start : start + USERS_PER_BLOCK]
            bounds = offsets[start : start + len(block) + 1]
            rows = np.repeat(np.arange(len(block)), np.diff(bounds))
            best(tf.constant(block), np.stack([rows, seen[bounds[0] : bounds[-1]]], axis=1).astype(np.int32))

    return lambda: measured(rank_all, len(arrays["queries"]))


@contextmanager
def peer(python: str, path: Path) -> Iterator[Measure]:
    """The peer in an environment of its own: a process that ranks on request."""
    from harness.processes import KEEP_FREED_MEMORY

    # BLAS threads in addition to its own slow implicit down.
    environment = {**os.environ, **KEEP_FREED_MEMORY, "OPENBLAS_NUM_THREADS": "1"}
    command = [python, __file__, "--worker", str(path)]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        questions, answers = process.stdin, process.stdout

        def measure() -> Figures:
            print("rank", file=questions, flush=True)
            figures: Figures = json.loads(answers.readline())
            return figures

        yield measure
        questions.close()


def serve_peer(path: str) -> None:
    """Rank once per line that comes in."""
    from implicit.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix

    with np.load(path) as file:
        arrays = dict(file)
    shape = (len(arrays["queries"]), len(arrays["items"]))
    seen = csr_matrix((np.ones(len(arrays["seen_items"])), arrays["seen_items"], arrays["seen_offsets"]), shape)
    model = AlternatingLeastSquares(arrays["items"].shape[1], num_threads=num_cores())
    model.user_factors, model.item_factors = arrays["queries"], arrays["items"]
    users = np.arange(shape[0])
    for _ in sys.stdin:
        figures = measured(
            lambda: model.recommend(users, seen, N=LIST_LENGTH, filter_already_liked_items=True), len(users)
        )
        print(json.dumps(figures), flush=True)


def measured(rank_all: Callable[[], object], users: int) -> Figures:
    """What one turn took."""
    wall, cpu = time.perf_counter(), time.process_time()
    rank_all()
    return {
        "wall_seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "users": users,
    }


def write_arrays(workspace: Path, path: Path, dim: int, epochs: int, num_users: int | None) -> str:
    """Embeddings, what every user has seen and what is tested; a title that says how many."""
    from bakeoff.core.workspace import Workspace
    from bakeoff.data.prepared.tables import load_held_out, load_prepared
    from bakeoff.models.mf.als import ImplicitALS
    from bakeoff.models.mf.spec import MFParams

    prepared = load_prepared(Workspace(workspace))
    known, test = prepared.known(), load_held_out(Workspace(workspace), prepared).test
    params = MFParams(dim=dim, unobserved_weight=0.1, regularization=0.01, regularization_exponent=0.5)
    model = ImplicitALS(known, prepared.num_items, params, seed=0)
    for _ in range(epochs):
        model.run_epoch()
    asked = np.arange(min(num_users or prepared.num_users, prepared.num_users))
    known, test = known.take(asked), test.take(asked)
    np.savez(
        path,
        queries=model.user_embeddings[asked],
        items=model.item_embeddings,
        seen_offsets=known.offsets,
        seen_items=known.items,
        test_offsets=test.offsets,
        test_items=test.items,
    )
    return f"{len(asked):,} users and {prepared.num_items:,} items"


def bring_items_to_length_one(path: Path) -> None:
    """All item embeddings in the file but those of zeros."""
    with np.load(path) as file:
        arrays = dict(file)
    lengths = np.linalg.norm(arrays["items"], axis=1, keepdims=True)
    arrays["items"] = arrays["items"] / np.maximum(lengths, np.finfo(np.float32).tiny)
    np.savez(path, **arrays)


def num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    main()
