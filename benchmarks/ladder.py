"""The information ladder: what each kind of information is worth to MF, EASE and the softmax DNN.

A rung adds one kind of information to those below it: ids alone, the order of the history that a query reads, the order
of training histories, features. On every rung each model is tuned on validation for the same seconds, with what the
rung forbids switched off, then fitted on train and validation with several seeds. So a model that can't use a kind of
information is compared with what a search of those seconds finds without it, which begins with the shipped setting, and
not by taking it away from a model that was tuned with it.

    python benchmarks/ladder.py ml-100k --seconds 120
"""

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import stdev
from typing import Any

import numpy as np
from harness.datasets import BENCHMARKS, ROOT, Benchmark, Split, make_split
from harness.pages import keep_page
from harness.score import over_seeds_too, with_intervals
from numpy.typing import NDArray
from rich.console import Console

from bakeoff.core.histories import Histories
from bakeoff.data.prepared.tables import Prepared, load_prepared
from bakeoff.evaluation.metrics.table import accuracy_per_user
from bakeoff.evaluation.ranking.protocol import EvalSet
from bakeoff.experiments.params import with_values
from bakeoff.experiments.training.checkpoints import fingerprint
from bakeoff.experiments.training.runner import Experiment, run_epochs
from bakeoff.experiments.tuning.trials import TuningStudy, current_values, space_of
from bakeoff.experiments.tuning.tune import make_objective
from bakeoff.models.base.specs import spec

MODELS = {"mf": "MF", "ease": "EASE", "softmax": "Softmax DNN"}
RESULTS = ROOT / "benchmarks/results"
DAY = 86_400
RESAMPLES = 10_000
console = Console(stderr=True, highlight=False)

NO_QUERY_ORDER: dict[str, Any] = {"mf.recency_scale": None, "ease.recency_scale": None, "softmax.recency_scales": []}
NO_TRAINING_ORDER = {"mf.window": None, "ease.window": None, "softmax.objective": "reconstruct"}
NO_FEATURES = {"softmax.use_user_features": False, "softmax.use_item_features": False}
RUNGS: Mapping[str, Mapping[str, Any]] = {
    "ids": {**NO_QUERY_ORDER, **NO_TRAINING_ORDER, **NO_FEATURES},
    "+ order in the query": {**NO_TRAINING_ORDER, **NO_FEATURES},
    "+ order in training": NO_FEATURES,
    "+ features": {},
}
"""Rung → settings that switch off what it does not have yet. Nothing switches off the time that histories took."""


@dataclass(frozen=True)
class Cell:
    """A model on a rung.

    Attributes:
        rung: name of the information that it has.
        model: its name.
        setting: what was chosen, by name within its section.
        seconds: of tuning.
        trials: of tuning, pruned ones included.
        valid: NDCG@10 on validation of the best trial.
        seeds: NDCG@10 on test of each seed.
        users: float64 [n], mean over seeds of each test user; NaN without test items.
        later: the same on test events more than a day after the last known one.
    """

    rung: str
    model: str
    setting: Mapping[str, Any]
    seconds: float
    trials: int
    valid: float
    seeds: Sequence[float]
    users: NDArray[np.float64]
    later: NDArray[np.float64]


def main() -> None:
    """Climb, print each cell and write the page and its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("benchmark", choices=tuple(BENCHMARKS), help="a data set")
    add("--data", type=Path, help="folder of raw data")
    add("--seconds", type=float, default=120, help="of tuning, for each model on each rung (default: 120)")
    add("--seeds", type=int, default=3, help="of the last fits (default: 3)")
    add("--scratch", type=Path, default=ROOT / "artifacts/bench", help="where splits and searches are kept")
    add("--results", type=Path, default=RESULTS, help="where the page goes (default: benchmarks/results)")
    arguments = parser.parse_args()
    benchmark, scratch = BENCHMARKS[arguments.benchmark], arguments.scratch / arguments.benchmark
    split = make_split(benchmark, arguments.data, scratch)
    cells = []
    for cell in climb(split, scratch / "ladder", arguments.seconds, range(arguments.seeds)):
        cells.append(cell)
        console.print(
            f"{cell.rung}, {cell.model}: {np.mean(cell.seeds):.4f} on test, {cell.valid:.4f} on validation, "
            f"{cell.trials} trials in {cell.seconds:.0f} s",
            markup=False,
        )
    command = f"python benchmarks/ladder.py {benchmark.name} --seconds {arguments.seconds:g} --seeds {arguments.seeds}"
    page, path = results_of(benchmark, cells, command), arguments.results / f"ladder-{benchmark.name}.json"
    keep_page(page, markdown, path)


def climb(split: Split, folder: Path, seconds: float, seeds: Sequence[int]) -> Iterator[Cell]:
    """Every model on every rung that gives it something; a search that was interrupted goes on where it was."""
    folder.mkdir(parents=True, exist_ok=True)
    prepared, truth = load_prepared(split.workspace), split.truth["test"]
    later = beyond_a_day(prepared.known(), truth)
    done: dict[str, Mapping[str, Any]] = {}
    for rung, forbidden in RUNGS.items():
        for model in MODELS:
            fixed = {name.partition(".")[2]: value for name, value in forbidden.items() if name.startswith(f"{model}.")}
            if done.get(model) == fixed:
                continue  # nothing that this model reads is new
            done[model] = fixed
            section = with_values(split.params.section(model), fixed, "The ladder", model)
            space = {name: search for name, search in space_of(model, section).items() if name not in fixed}
            current, epochs = current_values(section, space), getattr(section, "max_epochs", 0)
            decisive = {"section": section.model_dump(mode="json"), "space": {k: asdict(v) for k, v in space.items()}}
            code = fingerprint(prepared, spec(model), decisive)[:12]
            study = TuningStudy(folder / f"{model}-{code}.journal", space, current, split.params.seed, epochs)
            objective = make_objective(prepared, model, section, split.params.seed)
            study.optimize(objective, trials=None, timeout=seconds, after_trial=lambda _: None)
            best = study.best
            if best is None or best.value is None:
                console.print(f"{rung}, {model}: no trial came to its end in {seconds:g} s", markup=False)
                continue
            chosen = best.user_attrs["values"]
            settings = with_values(section, chosen, "The ladder", model)
            stochastic = seeds if epochs else seeds[:1]
            found = [
                score(Experiment(spec(model), settings, prepared, seed, epochs=best.user_attrs["epoch"]), truth, later)
                for seed in stochastic
            ]
            users, late = (np.mean([each[side] for each in found], axis=0) for side in (0, 1))
            means = [float(np.nanmean(each[0])) for each in found]
            yield Cell(rung, model, chosen, study.seconds, len(study.tried), best.value, means, users, late)


def beyond_a_day(known: Histories, truth: Histories) -> Histories:
    """Test events more than a day after the user's last known one."""
    last = np.full(len(known), np.inf)
    has = known.lengths > 0
    last[has] = known.timestamps[known.offsets[1:][has] - 1]
    return truth.keep(truth.timestamps > last[truth.rows] + DAY)


def score(
    experiment: Experiment, truth: Histories, later: Histories
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """NDCG@10 of every user, on all test events and on the later ones, after a fit on train and validation."""
    prepared: Prepared = experiment.prepared
    known = prepared.known()
    if experiment.spec.trainer is None:
        retriever = experiment.fitted(experiment.queries(known)).retriever
    else:
        trainer = experiment.trainer(experiment.queries(known))
        run_epochs(trainer, experiment.max_epochs)
        retriever = trainer.retriever()
    lists = EvalSet.of(prepared, known, truth, np.arange(len(known))).rank(retriever, 10, 1024)
    metric = "ndcg@10"
    return accuracy_per_user(lists, truth, (10,))[metric], accuracy_per_user(lists, later, (10,))[metric]


def results_of(benchmark: Benchmark, cells: Sequence[Cell], command: str) -> dict[str, Any]:
    """All that the page shows, as JSON values: the cells, and what each rung adds to a model on the same users."""
    steps = [
        {
            "system": after.model,
            "information": after.rung,
            "adds": _mean(after.users - before.users, before.seeds, after.seeds),
        }
        for model in MODELS
        for before, after in pairwise(cell for cell in cells if cell.model == model)
    ]
    return {
        "title": benchmark.title,
        "split": benchmark.split,
        "command": command,
        "cores": os.cpu_count(),
        "cells": list(map(figures_of, cells)),
        "steps": steps,
    }


def figures_of(cell: Cell) -> dict[str, Any]:
    """A cell as JSON: `test` with its interval over users and seeds, `later` over users; null where no user has one."""
    return {
        "information": cell.rung,
        "system": cell.model,
        "tuning_seconds": round(cell.seconds, 1),
        "trials": cell.trials,
        "valid": cell.valid,
        "seeds": list(cell.seeds),
        "test": _mean(cell.users, cell.seeds),
        "later": _mean(cell.later),
        "setting": dict(cell.setting),
    }


def _mean(values: NDArray[np.float64], *seeds: Sequence[float]) -> list[float] | None:
    """Mean over the users who have a value, and the ends of its 95 % interval; None without such users."""
    if np.isnan(values).all():
        return None
    return list(over_seeds_too(with_intervals({"": values[~np.isnan(values)]}, 0, RESAMPLES)[""], *seeds))


def markdown(page: Mapping[str, Any]) -> str:
    """The page, made from its JSON: a row per rung, then what each rung adds to a model."""
    about = (
        f"{page['cores']} cores. {page['title']}: {page['split']}. NDCG@10, mean over seeds and users, with its "
        "95 % interval over users and seeds; in parentheses the standard deviation over seeds. A dash: the rung "
        "gives the model nothing that it can read, so that its figure is that of the rung above. Times are no rung: "
        "the DNN as it is shipped also reads, on every rung, how much time a history and its last five events took."
    )
    parts = [
        f"# What information is worth: {page['title']}",
        f"Made by `{page['command']}`. {about}",
        "## All test events",
        _table(page, "test"),
        "## Test events more than a day after the last known one",
        "Intervals are over users alone.",
        _table(page, "later"),
        "## What each rung adds",
        "Difference from the model's rung above, on the same users, all test events. Brackets: 95 % over users and "
        "seeds.",
        "\n".join(["| model | rung | adds |", "|---|---|---|", *map(_step, page["steps"])]),
        "## Settings and effort",
        "\n".join([*EFFORT, *map(_effort, page["cells"])]),
    ]
    return "\n\n".join(parts) + "\n"


EFFORT = ("| model | information | tuning, s | trials | validation | setting |", "|---|---|---|---|---|---|")


def _table(page: Mapping[str, Any], side: str) -> str:
    found = {(cell["information"], cell["system"]): _figure(cell, side) for cell in page["cells"]}
    head = [f"| information | {' | '.join(MODELS.values())} |", "|---|" + "---|" * len(MODELS)]
    rows = [[rung, *(found.get((rung, model), "–") for model in MODELS)] for rung in RUNGS]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)])


def _figure(cell: Mapping[str, Any], side: str) -> str:
    if cell[side] is None:
        return "–"
    mean, low, high = cell[side]
    spread = f" (± {stdev(cell['seeds']):.4f})" if side == "test" and len(cell["seeds"]) > 1 else ""
    return f"{mean:.4f} [{low:.4f}, {high:.4f}]{spread}"


def _step(step: Mapping[str, Any]) -> str:
    mean, low, high = step["adds"]
    return f"| {MODELS[step['system']]} | {step['information']} | {mean:+.4f} [{low:+.4f}, {high:+.4f}] |"


def _effort(cell: Mapping[str, Any]) -> str:
    setting = ", ".join(f"{name} {json.dumps(value)}" for name, value in cell["setting"].items())
    effort = f"{cell['tuning_seconds']:.0f} | {cell['trials']} | {cell['valid']:.4f}"
    return f"| {MODELS[cell['system']]} | {cell['information']} | {effort} | {setting} |"


if __name__ == "__main__":
    main()
