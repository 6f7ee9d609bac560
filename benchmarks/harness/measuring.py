"""The measurement itself: each system in order, with every seed, on test."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from harness.datasets import Split
from harness.processes import LIST_LENGTH, Runner, SystemFailedError
from harness.score import FloatArray, per_user, read_lists
from harness.systems import System

Settings = Callable[[System], Mapping[str, Any] | None]
"""The setting of a peer; None if it has none for this data."""


@dataclass(frozen=True)
class Measured:
    """One system.

    Attributes:
        system: which.
        setting: what it ran with; the epochs are those of the first seed.
        cost: fit_seconds, cpu_seconds, peak_memory_bytes, …, medians over seeds; empty if it failed.
        scores: metrics of each test user, means over seeds; empty if it failed.
        seeds: metric → mean over users of each seed; one for a system that draws nothing.
        note: why there is no result, or what else to know.
    """

    system: System
    setting: Mapping[str, Any] = field(default_factory=dict)
    cost: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, FloatArray] = field(default_factory=dict)
    seeds: Mapping[str, Sequence[float]] = field(default_factory=dict)
    note: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether there is a result."""
        return bool(self.scores)


def measure_all(
    systems: Sequence[System],
    split: Split,
    values: Mapping[str, Any],
    settings: Settings,
    runner: Runner,
    scratch: Path,
    say: Callable[[str], None],
    num_seeds: int = 1,
    one_seed: Collection[str] = (),
) -> list[Measured]:
    """Run each system in a process of its own for each seed. One that fails is reported as such; the others go on.

    Args:
        systems: in running order.
        split: what they learn from.
        values: all of params.yaml for this data set: our contenders' settings.
        settings: the peers'.
        runner: of the processes.
        scratch: where results are kept.
        say: gets messages about the progress.
        num_seeds: how often systems that draw something are fitted, with the runner's seed and the next ones.
        one_seed: names of systems that have the runner's seed alone.
    """
    files = write_data(split, scratch)
    results = []
    for number, system in enumerate(systems, 1):
        found, folder = [], scratch / "runs" / system.name
        once = system.draws_nothing or system.name in one_seed
        try:
            for seed in range(runner.seed, runner.seed + (1 if once else num_seeds)):
                seeded = replace(runner, seed=seed)
                own = folder if seed == runner.seed else folder / f"seed-{seed}"
                found.append(_measure(system, split, values, settings, seeded, files, own))
            measured = over_seeds(found)
        except SystemFailedError as error:
            measured = Measured(system, note=f"failed: {error}")
        results.append(measured)
        say(f"[{number}/{len(systems)}] {system.title}: {_summary(measured)}")
    return results


def over_seeds(found: Sequence[Measured]) -> Measured:
    """Results of one system, one per seed, as one: means of scores, medians of costs."""
    first = found[0]
    if not first.succeeded:
        return first
    scores = {name: np.mean([each.scores[name] for each in found], axis=0) for name in first.scores}
    seeds = {name: [float(each.scores[name].mean()) for each in found] for name in first.scores}
    numbers = (name for name, value in first.cost.items() if isinstance(value, int | float))
    cost = {**first.cost, **{name: median(each.cost[name] for each in found) for name in numbers}}
    return replace(first, cost=cost, scores=scores, seeds=seeds)


def write_data(split: Split, scratch: Path) -> dict[str, Path]:
    """By phase, the file with what systems are given."""
    files = {phase: scratch / f"{phase}.npz" for phase in split.data}
    for phase, path in files.items():
        split.data[phase].save(path)
    return files


def _measure(
    system: System,
    split: Split,
    values: Mapping[str, Any],
    settings: Settings,
    runner: Runner,
    files: Mapping[str, Path],
    folder: Path,
) -> Measured:
    data, truth = split.data["test"], split.truth["test"]
    if obstacle := system.obstacle(data.num_items, data.has_times):
        return Measured(system, note=f"left out: {obstacle}")
    extra: dict[str, Any] = {}
    if system.contender is not None:
        section = {**values[system.contender], **system.overrides}
        setting: dict[str, Any] = {
            "workspace": str(split.workspace.root.resolve()),
            "model": system.contender,
            "params": {**values, system.contender: section, "seed": runner.seed},
        }
        chosen = runner.run(system, "select", files["test"], setting, folder / "epoch")
        setting["epochs"] = chosen["epochs"]
        if section.get("use_query_time"):
            # The last known moment of all: nothing is told of when someone comes back.
            setting["asked"] = int(data.timestamps.max())
        shown = {**section, "epochs": chosen["epochs"]}
        extra = {"valid": chosen["valid"]}
    else:
        found = settings(system)
        if found is None:
            return Measured(system, note="left out: it has not been tuned on this data set, which `--tune` does")
        setting = shown = dict(found)
    cost = runner.run(system, "fit", files["test"], setting, folder)
    lists = read_lists(folder / "lists.parquet", data.rows, truth, LIST_LENGTH)
    return Measured(system, shown, {**cost, **extra}, per_user(lists, truth.take(data.rows)))


def _summary(measured: Measured) -> str:
    if not measured.succeeded:
        return measured.note
    metric, scores = next(iter(measured.scores.items()))
    return f"{metric} {scores.mean():.4f}, {measured.cost['fit_seconds']:.2f} s"
