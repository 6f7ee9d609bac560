"""Settings of the peers: declared grids, judged on validation; what was chosen is kept in a file."""

import io
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from peers.data import Data
from ruamel.yaml import YAML

from bakeoff.core.files import write_text
from harness.datasets import Benchmark
from harness.processes import FOLDER, LIST_LENGTH, Runner, SystemFailedError
from harness.score import per_user, read_lists
from harness.systems import System

GRIDS = FOLDER / "peers/grids.yaml"
SETTINGS = FOLDER / "peers/settings.yaml"

HEAD = """\
# Chosen on validation by `make bench BENCH=--tune` from the grids in grids.yaml, some of which have grown since:
# `tried` is the number of settings there were.
"""

LOOK_EVERY = "look_every"
"""Key of a grid: epochs between two looks at validation (stepwise systems)."""


@dataclass(frozen=True)
class Outcome:
    """What a search chose.

    Attributes:
        setting: the best one, its epochs included.
        valid: validation metrics of it.
        tried: number of settings, failed ones included.
        failed: how many came to no end.
        seconds: all of it took.
        at_edge: names of numbers that were chosen at an edge of several tried ones: more might be gained beyond.
    """

    setting: Mapping[str, Any]
    valid: Mapping[str, float]
    tried: int
    failed: int
    seconds: float
    at_edge: Sequence[str] = ()


def grid_of(system: str, benchmark: str, path: Path = GRIDS) -> tuple[list[dict[str, Any]], int | None]:
    """Settings to try and LOOK_EVERY: those of the data set if the file has such, else `default`.

    Raises:
        KeyError: the file has neither.
    """
    grids = YAML(typ="safe").load(path.read_text(encoding="utf-8"))[system]
    grid = dict(grids[benchmark] if benchmark in grids else grids["default"])
    every = grid.pop(LOOK_EVERY, None)
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())], every


def chosen_setting(system: System, benchmark: str, path: Path = SETTINGS) -> dict[str, Any] | None:
    """The kept setting; {} for a system without any; None if it has not been tuned on this data set."""
    if not system.tuned:
        return {}
    kept = _load(path).get(benchmark, {}).get(system.name)
    return None if kept is None else dict(kept["setting"])


def tuning_seconds(system: System, benchmark: Benchmark, path: Path = SETTINGS) -> float | None:
    """Seconds in which a system's settings were searched; None if nothing is recorded for this data set and split."""
    if not system.ours:
        kept = _load(path).get(benchmark.name, {}).get(system.name)
        return float(kept["seconds"]) if kept else None
    record = FOLDER.parent / f"tuning/{system.contender}.json"
    if system.overrides:
        return None
    if benchmark.name != "ml-100k" or not record.exists():
        return benchmark.searched
    return float(json.loads(record.read_text(encoding="utf-8"))["wall_seconds"])


def at_edge(system: System, benchmark: str, path: Path = SETTINGS) -> list[str]:
    """See `Outcome`; nothing for this project's contenders, whose search has ranges of its own."""
    return list(_load(path).get(benchmark, {}).get(system.name, {}).get("at_edge", ()))


def keep(system: System, benchmark: str, outcome: Outcome, path: Path = SETTINGS) -> None:
    """Write the outcome into the file of settings."""
    everything = _load(path)
    everything.setdefault(benchmark, {})[system.name] = {
        "setting": dict(outcome.setting),
        "valid": {name: round(value, 4) for name, value in outcome.valid.items()},
        "tried": outcome.tried,
        "seconds": round(outcome.seconds),
        **({"at_edge": list(outcome.at_edge)} if outcome.at_edge else {}),
    }
    yaml: Any = YAML(typ="safe")
    yaml.default_flow_style = None
    yaml.width = 120
    yaml.sort_base_mapping_type_on_output = False
    text = io.StringIO()
    yaml.dump(everything, text)
    write_text(path, HEAD + text.getvalue())


def tune(
    system: System,
    settings: list[dict[str, Any]],
    look_every: int | None,
    data: Path,
    truth: Any,
    metric: str,
    runner: Runner,
    scratch: Path,
    say: Callable[[str], None],
) -> Outcome:
    """Try every setting, learning from train and looking at validation; the first of the best wins.

    Raises:
        SystemFailedError: no setting came to an end.
    """
    best: tuple[float, dict[str, Any], dict[str, float]] | None = None
    start, failed = time.perf_counter(), 0
    for number, setting in enumerate(settings, 1):
        try:
            found = list(_try(system, setting, look_every, data, truth, runner, scratch / str(number)))
        except SystemFailedError as error:
            failed += 1
            say(f"  {number}/{len(settings)} {setting}: {error}")
            continue
        score, epochs, means = max(
            ((means[metric], -epochs, means) for epochs, means in found), key=lambda row: row[:2]
        )
        chosen = {**setting, "epochs": -epochs} if system.stepwise else setting
        say(f"  {number}/{len(settings)} {chosen}: {metric} {score:.4f}, {time.perf_counter() - start:.0f} s so far")
        if best is None or score > best[0]:
            best = score, chosen, means
    if best is None:
        raise SystemFailedError(f"none of {len(settings)} settings came to an end")
    edges = _edges(best[1], settings, stepwise=system.stepwise)
    return Outcome(best[1], best[2], len(settings), failed, time.perf_counter() - start, edges)


def _edges(chosen: Mapping[str, Any], settings: list[dict[str, Any]], *, stepwise: bool) -> list[str]:
    found = []
    numbers = {name: value for name, value in chosen.items() if type(value) in (int, float)}
    for name, value in numbers.items():
        tried = {setting[name] for setting in settings}
        is_edge = value in (min(tried), max(tried)) and len(tried) > 1
        if is_edge or (stepwise and name == "epochs" and value == max(tried)):
            found.append(name)
    return found


def _try(
    system: System, setting: dict[str, Any], every: int | None, data: Path, truth: Any, runner: Runner, folder: Path
) -> Iterator[tuple[int, dict[str, float]]]:
    """Epochs and mean metrics at each look."""
    looks = list(range(every, setting["epochs"] + 1, every)) if system.stepwise and every else []
    result = runner.run(system, "fit", data, setting, folder, checkpoints=looks)
    rows = Data.load(data).rows
    for epochs in looks or [result["epochs"]]:
        path = folder / (f"lists-{epochs}.parquet" if looks else "lists.parquet")
        scores = per_user(read_lists(path, rows, truth, LIST_LENGTH), truth.take(rows))
        yield epochs, {name: float(np.nanmean(values)) for name, values in scores.items()}


def _load(path: Path) -> dict[str, Any]:
    return (YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {}) if path.exists() else {}
