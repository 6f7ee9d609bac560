"""A training step by one process and by two, and input prepared ahead or not, on made histories.

Every measurement is a process, or a pair of them, of its own. Workers meet on the loopback, as they do on a network.

    python benchmarks/workers.py --write benchmarks/results/workers.md
"""

import argparse
import os
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rich.console import Console

from bakeoff.core.files import write_text
from bakeoff.experiments.workers import Task, environment, free_ports
from bakeoff.params import Params

STEPS = 40
"""Of an epoch."""


@dataclass(frozen=True)
class Job:
    """A measurement.

    Attributes:
        name: for the table.
        workers: processes.
        threads: of each.
        ahead: batches that are prepared ahead.
        divided: whether each worker has its share of the items' vectors only.
    """

    name: str
    workers: int
    threads: int
    ahead: int
    divided: bool = False


JOBS = (
    Job("one process, 2 threads", 1, 2, 4),
    Job("one process, 1 thread", 1, 1, 4),
    Job("two processes, 1 thread each", 2, 1, 4),
    Job("two processes, 2 threads each", 2, 2, 4),
    Job("one process, 2 threads, nothing prepared ahead", 1, 2, 0),
    Job("two processes, 1 thread each, items divided", 2, 1, 4, divided=True),
)


@dataclass(frozen=True)
class Measured:
    """Of the chief: its fastest epoch, since other work only slows one down; losses, bytes that it gives in a step.

    CPU is that of all workers, over all epochs but the first; memory the peak in MiB of the chief, who makes the item
    embeddings once, as validation has him do, and of another worker.
    """

    seconds_per_step: float
    cpu_per_step: float
    waited: float
    losses: list[float]
    dense_bytes: int
    sparse_bytes: float
    memory: tuple[float, float]


def train(connection: Connection, job: Job, task: Task, items: int, users_per_batch: int, turns: int) -> None:
    """Train for some epochs in this process; the chief tells what it took."""
    os.environ.update(environment(task))
    if job.workers == 1:
        del os.environ["TF_CONFIG"]
    trainer, team = make_trainer(job, items, users_per_batch, turns)
    seconds, waited, losses, used = [], [], [], 0.0
    for turn in range(turns + 1):
        if turn == 1:  # the first one traces
            used = time.process_time()
        start, before = time.perf_counter(), (trainer.waiting.waited, trainer.waiting.total)
        losses.append(trainer.run_epoch())
        seconds.append((time.perf_counter() - start) / STEPS)
        waited.append((trainer.waiting.waited - before[0]) / (trainer.waiting.total - before[1]))
    best = min(range(1, turns + 1), key=seconds.__getitem__)
    cpu = (time.process_time() - used) / (turns * STEPS)
    cpu = cpu if team is None else team.sum(cpu)
    bytes_exchanged = exchanged(trainer)
    if job.divided or team is None or team.is_chief:
        trainer.encoder()
    mine = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    others = 0.0 if team is None else team.sum(0.0 if team.is_chief else mine)
    connection.send(Measured(seconds[best], cpu, waited[best], losses, *bytes_exchanged, (mine, others)))
    if team is not None:
        team.part()
    sys.stdout.flush()
    os._exit(0)


def make_trainer(job: Job, items: int, users_per_batch: int, turns: int) -> tuple[Any, Any]:
    """A softmax DNN of 64 dimensions with ids only, as `benchmarks/step_time.py` has it, and its team."""
    import numpy as np

    from bakeoff.models.neural.team import Team

    team = Team() if job.workers > 1 else None
    from bakeoff.data.features.encoding import EncodedFeatures
    from bakeoff.experiments.growth.steps import made_queries
    from bakeoff.models.base.epochs import seed_everything
    from bakeoff.models.neural import trainer
    from bakeoff.models.neural.params import SoftmaxParams

    seed_everything(42)
    trainer.PREFETCH = job.ahead
    params = SoftmaxParams(dim=64, hidden=(64,), max_epochs=turns + 1, users_per_batch=users_per_batch)
    nothing = EncodedFeatures(np.zeros((items, 0), np.float32), np.zeros((items, 0), np.int32), ())
    queries = made_queries(items, users_per_batch * STEPS, 42)
    return trainer.SoftmaxTrainer(queries, items, nothing, {}, params, 42, team, job.divided), team


def exchanged(trainer: Any) -> tuple[int, float]:
    """Bytes of a step's dense gradients; and of the rows of item embeddings, of which a row has a number too."""
    weights = trainer._model.trainable_weights
    table = trainer._model.item_tower.id_embeddings
    dense = sum(int(weight.shape.num_elements()) for weight in weights if weight is not table)
    rows = [len(batch["item_ids"]) for batch, _ in zip(trainer._epoch(), range(4), strict=False)]
    return 4 * dense, sum(rows) / len(rows) * (4 * int(table.shape[1]) + 4)


def run(job: Job, items: int, users_per_batch: int, turns: int) -> Measured:
    """The chief's figures."""
    context, hosts = get_context("spawn"), [f"127.0.0.1:{port}" for port in free_ports(job.workers)]
    ours, processes = [], []
    for index in range(job.workers):
        mine, theirs = context.Pipe()
        task = Task("softmax", Params(), Path(), hosts, index, job.threads)
        processes.append(context.Process(target=train, args=(theirs, job, task, items, users_per_batch, turns)))
        processes[-1].start()
        theirs.close()
        ours.append(mine)
    measured: Measured = ours[0].recv()
    for process in processes:
        process.join()
    return measured


def markdown(found: Mapping[str, Measured], about: str, command: str) -> str:
    """The page."""
    base = found[JOBS[0].name]
    lines = [
        "| | step, ms | ÷ one process | CPU of a step, ms | waiting for input | peak memory, MiB | second, MiB |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, each in found.items():
        ratio = each.seconds_per_step / base.seconds_per_step
        step, cpu = 1000 * each.seconds_per_step, 1000 * each.cpu_per_step
        chief, other = (f"{size:,.0f}" if size else "–" for size in each.memory)
        lines.append(f"| {name} | {step:.1f} | {ratio:.2f} | {cpu:.1f} | {each.waited:.1%} | {chief} | {other} |")
    pair, divided = found[JOBS[2].name], found[JOBS[5].name]
    apart, divided_apart = (
        max(abs(one - other) for one, other in zip(base.losses, each.losses, strict=True)) for each in (pair, divided)
    )
    bare = found[JOBS[4].name]
    gain = bare.seconds_per_step / base.seconds_per_step
    same = "are the same bit for bit" if bare.losses == base.losses else "DIFFER"
    return "\n".join(
        [
            f"# Training by one process and by two\n\nMade by `{command}`. {about}\n",
            *lines,
            "",
            "Both processes share the two cores of one machine, so this shows that two learn what one does and what "
            "their meetings cost; it shows no speed-up, and cannot: for that each needs a machine of its own. CPU is "
            "that of all workers and all they do, batches included; what else the machine does touches it less than "
            "the wall time.",
            "",
            f"- Losses of {len(base.losses)} epochs differ by {apart:.1e} at most between one process and two, "
            f"by {divided_apart:.1e} where items are divided.",
            f"- In a step each of the two gives the other {pair.dense_bytes / 2**10:,.0f} KiB of dense gradients and "
            f"{pair.sparse_bytes / 2**10:,.0f} KiB of rows of item embeddings (mean of four batches, computed from "
            "their shapes).",
            f"- Without batches prepared ahead a step of one process takes {gain:.2f} times as long; losses {same}.",
            "",
        ]
    )


def main() -> None:
    """Print, and with --write keep, the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--items", type=int, default=100_000, help="of the catalogue (default: 10⁵)")
    add("--users-per-batch", type=int, default=256, help="default: 256, which are 2,048 queries")
    add("--turns", type=int, default=5, help="epochs that are measured (default: 5)")
    add("--write", type=Path, help="file for the page, such as benchmarks/results/workers.md")
    given = parser.parse_args()
    found, console, load = {}, Console(stderr=True), os.getloadavg()[0]
    for job in JOBS:
        with console.status(job.name):
            found[job.name] = run(job, given.items, given.users_per_batch, given.turns)
    about = (
        f"{os.cpu_count()} cores, {given.items:,} items, {given.users_per_batch} users with 8 queries each in a batch, "
        f"64 dimensions, ids only, in-batch negatives; the fastest of {given.turns} epochs of {STEPS} "
        f"steps. Load of the machine before it and after: {load:.1f} and {os.getloadavg()[0]:.1f}."
    )
    command = f"python benchmarks/workers.py --items {given.items} --users-per-batch {given.users_per_batch}"
    page = markdown(found, about, command)
    if given.write:
        write_text(given.write, page)
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
