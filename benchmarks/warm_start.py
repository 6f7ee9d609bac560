"""Warm start compared with full fits: seven nights of a data set, replayed by time.

    python benchmarks/warm_start.py --data DIR ml-1m

Each night has the events up to that day, split as params.yaml says. A full fit and a warm one choose their epoch on the
same validation users and learn from train and validation; the warm one starts from the night before, which `train_auto`
of the training stages does, its guard included. The night before the first is a full fit for both. Timed is all of
that, in CPU seconds of all threads. The two models that would be shipped are compared on the test part, which chose
neither's epoch. Every `warm_start.refit_every`-th warm fit refits from scratch. Full fits differ by chance: further
`--seeds` replay the week with warm fits, and fit in full on its first and last night alone. What was measured with this
code and these settings stays measured: the command goes on where it was cut off. `--pages` makes the page again from
the figures.
"""

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from harness.code import made_with
from harness.datasets import BENCHMARKS, Benchmark, make_split, settings_of
from harness.systems import QUICK
from numpy.typing import NDArray
from rich.console import Console
from scaling.data import Size, write_tables
from scipy.stats import linregress, ttest_1samp
from scipy.stats import t as student

from bakeoff.core.files import replaced, write_json, write_text
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_held_out, load_prepared
from bakeoff.evaluation.metrics.table import accuracy_per_user
from bakeoff.evaluation.ranking.protocol import EvalSet
from bakeoff.evaluation.stats.intervals import intervals
from bakeoff.experiments.training.checkpoints import Checkpoints
from bakeoff.experiments.training.runner import Experiment, Seconds
from bakeoff.experiments.training.shipped import Training
from bakeoff.experiments.training.validation import SELECTION_LISTS, USERS_PER_BLOCK
from bakeoff.experiments.training.warm_start import Parent, leave, train_auto
from bakeoff.models.base.specs import spec
from bakeoff.models.base.start import Start
from bakeoff.params import Params, parse_params
from bakeoff.stages import split, validate

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks/results"
NIGHTS = 7
GOAL_TIME, GOAL_NDCG = 0.2, 0.002
console = Console(stderr=True, highlight=False)


@dataclass(frozen=True)
class Replay:
    """A data set by night.

    Attributes:
        benchmark: what it is.
        first: the first night, a day; the full fit before it has all earlier days.
        models: that are trained on it.
        seed: of the splits, whatever that of the fits. Events of the same second are in random order: with another
            order, test would have events that the night before learned from.
    """

    benchmark: Benchmark
    first: str
    models: tuple[str, ...]
    seed: int = 42


MADE = Size(1_027_370, 29_858, 40_981)
_MADE_PARAMS = {
    "data": {"dataset": "made", "user_features": {}, "item_features": {}},
    "split": {"method": "user-temporal", "test_share": 0.2, "valid_share": 0.1, "new_user_share": 0.0},
    # Settings of params.yaml take ten times as long here.
    "mf": {"dim": 64},
    **{model: dict(QUICK) for model in ("softmax", "two_tower")},
}
REPLAYS = {
    "ml-100k": Replay(BENCHMARKS["ml-100k"], "1998-04-01", ("mf", "softmax", "two_tower")),
    "ml-1m": Replay(BENCHMARKS["ml-1m"], "2000-12-09", ("mf", "softmax", "two_tower"), seed=43),
    "ml-1m-busy": Replay(BENCHMARKS["ml-1m"], "2000-11-19", ("mf",)),  # its busiest week, with many new users
    "made": Replay(
        Benchmark("made", "Synthetic data of Gowalla's size", "made", "as MovieLens", _MADE_PARAMS),
        "2020-02-01",
        ("mf", "softmax", "two_tower"),
    ),
}


def main() -> None:
    """Measure what has not been measured yet, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(REPLAYS)}; default: ml-1m")
    parser.add_argument("--data", type=Path, help="folder of raw data, with ml-1m/ as published")
    parser.add_argument("--models", nargs="+", choices=("mf", "softmax", "two_tower"), help="default: by data set")
    parser.add_argument("--nights", type=int, default=NIGHTS, help="stop after so many")
    parser.add_argument("--epoch-share", type=float, help="in place of warm_start.epoch_share")
    parser.add_argument("--refit-every", type=int, help="in place of warm_start.refit_every")
    parser.add_argument("--seeds", type=int, nargs="*", default=[], help="further ones, for the first and last night")
    parser.add_argument("--scratch", type=Path, default=ROOT / "artifacts/bench/warm_start")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of warm_start.json and warm_start.md")
    parser.add_argument("--pages", action="store_true", help="measure nothing, make the page from warm_start.json")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in REPLAYS]:
        parser.error(f"{unknown[0]} is none of {', '.join(REPLAYS)}")
    path = arguments.results / "warm_start.json"
    page = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"replays": {}}
    if not arguments.pages:
        for name in arguments.names or ["ml-1m"]:
            for model in arguments.models or REPLAYS[name].models:
                params, nights = measure(REPLAYS[name], model, arguments)
                again = {seed: measure(REPLAYS[name], model, arguments, seed)[1] for seed in arguments.seeds}
                weeks = {params.seed: nights, **again} if again else {}
                page["replays"][f"{name} {model}"] = {
                    "title": REPLAYS[name].benchmark.title,
                    "model": model,
                    "seed": params.seed,
                    "by_seed": {seed: [week[1], week[-1]] for seed, week in weeks.items()},
                    "max_epochs": getattr(params, model).max_epochs,
                    "warm_start": params.warm_start.model_dump(mode="json"),
                    "nights": nights,
                }
                write_json(path, page | {"cores": os.cpu_count()})
        page = json.loads(path.read_text(encoding="utf-8"))
    write_text(path.with_suffix(".md"), markdown(page))
    console.print(f"{path.with_suffix('.md')} is written")


def measure(
    replay: Replay, model: str, arguments: argparse.Namespace, seed: int | None = None
) -> tuple[Params, list[dict[str, Any]]]:
    """The nights of one model, each measured once, whenever that was.

    `test_untrained` is NDCG@10 of the full fit before the first night, which has learned nothing since.
    With a seed of its own in place of that of params.yaml, full fits are made before the first night, on it and on the
    last.
    """
    values = settings_of(replay.benchmark, Path("nowhere"))  # params.yaml as it is: other settings cost far more
    folder = arguments.scratch / made_with(values) / replay.benchmark.name
    folder.mkdir(parents=True, exist_ok=True)
    values["warm_start"] |= {"mode": "auto", "max_days": NIGHTS + 1}
    given = {name: getattr(arguments, name) for name in ("epoch_share", "refit_every")}
    values["warm_start"] |= {name: value for name, value in given.items() if value}
    if seed is not None:
        values["seed"] = seed
    params = parse_params(values, replay.benchmark.name)
    rules = f"{params.warm_start.epoch_share}-{params.warm_start.refit_every}"
    record = folder / f"{model}-{params.seed}-{rules}-{replay.first}.json"
    done = json.loads(record.read_text(encoding="utf-8"))["nights"] if record.exists() else []

    def prepared_for(number: int) -> tuple[pd.Timestamp, Workspace, Experiment]:
        day = pd.Timestamp(replay.first, tz="UTC") + pd.Timedelta(days=number - 1)
        workspace = night_split(replay, params.model_copy(update={"seed": replay.seed}), arguments.data, folder, day)
        return day, workspace, Experiment(spec(model), params.section(model), load_prepared(workspace), params.seed)

    for number in range(len(done), arguments.nights + 1):
        day, workspace, experiment = prepared_for(number)
        events = len(experiment.prepared.known().items)
        night: dict[str, Any] = {"night": number, "day": f"{day:%Y-%m-%d}", "events": events}
        full = None
        if seed is None or number in (0, 1, arguments.nights):
            figures, full = full_fit(experiment, params, workspace)
            night |= figures
        left = full
        if number:
            warm, left = warm_fit(experiment, params, workspace, read_parent(record.with_suffix(".npz")), full)
            night |= warm
        assert left is not None  # before the first night there is a full fit
        np.savez(record.with_suffix(".npz"), allow_pickle=False, **left.arrays())
        done.append(night)
        write_json(record, {"nights": done})
        console.print(f"{replay.benchmark.title}, {model}: {night}", markup=False)
    if missing := [night for night in done[1:] if "test_full" in night and "test_untrained" not in night]:
        _, workspace, experiment = prepared_for(0)
        _, before = full_fit(experiment, params, workspace)
        for night in missing:
            _, workspace, experiment = prepared_for(night["night"])
            night["test_untrained"] = float(test_ndcg(experiment, workspace, before.shipped).mean())
        write_json(record, {"nights": done})
    return params, done


def night_split(replay: Replay, params: Params, raw: Path | None, folder: Path, day: pd.Timestamp) -> Workspace:
    """The split of all events up to the end of a day, made once."""
    workspace = Workspace(folder / f"{day:%Y-%m-%d}")
    if (workspace.split / "train.parquet").exists():
        return workspace
    whole = Workspace(folder / "workspace")
    if replay.benchmark.name != "made":
        make_split(replay.benchmark, raw, folder)
    elif not whole.validated.exists():
        with replaced(whole.data) as data:
            write_tables(data, MADE, seed=42)
        validate.run(params, whole)
    end = (day + pd.Timedelta(days=1)).timestamp()
    with replaced(workspace.validated) as tables:
        for name in ("interactions", "users", "items"):
            table = pd.read_parquet(whole.validated / f"{name}.parquet")
            table = table[table["timestamp"] < end] if name == "interactions" else table
            table.to_parquet(tables / f"{name}.parquet", index=False)
    split.run(params, workspace)
    return workspace


def read_parent(path: Path) -> Parent:
    """What the night before left."""
    with np.load(path, allow_pickle=False) as stored:
        return Parent.of_arrays({name: stored[name] for name in stored.files})


def full_fit(experiment: Experiment, params: Params, workspace: Workspace) -> tuple[dict[str, Any], Parent]:
    """Seconds and epoch of a full fit, and what it leaves; made once, since it doesn't depend on the night before."""
    path = workspace.root / f"{experiment.spec.name}-{experiment.seed}-full.npz"
    if path.with_suffix(".json").exists():
        return json.loads(path.with_suffix(".json").read_text(encoding="utf-8")), read_parent(path)
    training, start = Training(experiment, fresh(workspace, experiment, "full"), keeps=True), Seconds.now()
    figures = figures_of(training.run().description, "full")
    figures["full_cpu"] = Seconds.now().since(start).cpu
    left = leave(training, experiment.settings, params.split_settings, None)
    np.savez(path, allow_pickle=False, **left.arrays())
    write_json(path.with_suffix(".json"), figures)
    return figures, left


def warm_fit(
    experiment: Experiment, params: Params, workspace: Workspace, parent: Parent, full: Parent | None
) -> tuple[dict[str, Any], Parent]:
    """Figures of what the rules make of the night before, compared with a full fit if there is one; what it leaves."""
    checkpoints = [fresh(workspace, experiment, kind) for kind in ("auto", "warm")]
    # Before the clock starts: it loads libraries and kernels.
    scores = test_ndcg(experiment, workspace, (full or parent).shipped)
    start = Seconds.now()
    shipped, left = train_auto(experiment, parent, params.warm_start, params.split_settings, checkpoints)
    cpu = Seconds.now().since(start).cpu
    warm = test_ndcg(experiment, workspace, left.shipped)
    figures = figures_of(shipped.description, "warm") | dict(shipped.description["warm_start"])
    figures |= {"warm_cpu": cpu, "test_warm": float(warm.mean())}
    if full is not None:
        found = intervals((warm - scores)[:, np.newaxis], np.random.default_rng(0))
        figures["difference"] = [float(each[0]) for each in (found.mean, found.low, found.high)]
        figures["test_full"] = float(scores.mean())
    return figures, left


def figures_of(description: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The epoch that a fit chose, and NDCG@10 on validation by which it did."""
    epoch = description["selected_epoch"]
    return {kind: description["curve"][epoch - 1]["valid_ndcg@10"], f"{kind}_epoch": epoch}


def fresh(workspace: Workspace, experiment: Experiment, kind: str) -> Checkpoints:
    """Checkpoints of a training that begins at its first epoch, whatever was cut off before."""
    checkpoints = Checkpoints(workspace, f"{experiment.spec.name}-{kind}", "benchmark")
    checkpoints.remove()
    return checkpoints


def test_ndcg(experiment: Experiment, workspace: Workspace, start: Start) -> NDArray[np.float64]:
    """NDCG@10 of every test user, given train and validation as history, by the weights that would be shipped."""
    prepared = experiment.prepared
    trainer = replace(experiment, start=start).trainer(experiment.queries(prepared.known()))
    eval_set = EvalSet.of(prepared, prepared.known(), load_held_out(workspace, prepared).test)
    lists = eval_set.rank(trainer.retriever(), SELECTION_LISTS, USERS_PER_BLOCK)
    return accuracy_per_user(lists, eval_set.truth, (10,))["ndcg@10"]


def markdown(page: Mapping[str, Any]) -> str:
    """The page, made from its JSON."""
    names = dict.fromkeys(key.partition(" ")[0] for key in page["replays"])
    parts = [
        "# Warm start: seven nights replayed by time",
        f"Made by `python benchmarks/warm_start.py --data DIR {' '.join(names)}`, on {page['cores']} cores, with the "
        f"settings of `params.yaml`{_further(page)}; `warm_start.max_days` is 8, so that no night is a full fit by its "
        "date. CPU seconds are of a machine that was shared with other work.",
        "NDCG@10 on test, which chose no epoch, of the model that would be shipped, trained on train and validation; "
        "difference: warm minus full, on the same users, with its 95 % bootstrap interval over them. "
        "Valid: on validation, by which each fit chose its epoch. CPU: seconds of all threads for choosing the epoch "
        "and the refit, validation and, for the warm fit, the guard's look at the last full fit included. The last "
        "column is the last full fit, carried over to that night without training, on validation. Untrained: the model "
        "of the night before the week, on test; its queries read tonight's histories.",
        "Fit: *warm, from scratch* chooses its epoch as a warm one and refits from scratch, for as many epochs as the "
        "last full fit chose. On synthetic data MF has 64 dimensions, and networks have the settings of "
        "*softmax, quick* in the tables of systems.",
        f"Goals: CPU ratio at most {GOAL_TIME:g}, NDCG@10 at most {GOAL_NDCG:g} below the full fit's, no drift. The "
        "interval of the change per night takes the nights as independent, which warm fits are not quite: each goes on "
        "from the one before. Intervals over seeds are Student's t, 95 %.",
    ]
    for replay in page["replays"].values():
        parts += section(replay)
    return "\n\n".join(parts) + "\n"


def _further(page: Mapping[str, Any]) -> str:
    """The options by which weeks were replayed with further seeds."""
    found = [
        f"`{key.partition(' ')[0]} --models {replay['model']} --seeds "
        f"{' '.join(seed for seed in replay['by_seed'] if seed != str(replay['seed']))}`"
        for key, replay in page["replays"].items()
        if replay["by_seed"]
    ]
    return f", and with {', '.join(found)}" if found else ""


def section(replay: Mapping[str, Any]) -> list[str]:
    """Heading, verdict and table of one model on one data set."""
    before, *nights = replay["nights"]
    ratio = sum(night["warm_cpu"] for night in nights) / sum(night["full_cpu"] for night in nights)
    differences = np.array([night["difference"][0] for night in nights])
    settings = replay["warm_start"]
    head = (
        "| night | events | full: NDCG@10 | valid | CPU, s | epoch | warm: NDCG@10 | valid | CPU, s | epoch | ratio | "
        "difference | untrained | fit | last full fit |"
    )
    rows = [head, "|---|" + "---|" * 14, _row(before)]
    return [
        f"## {replay['title']}, week from {nights[0]['day']}: {replay['model']}, seed {replay['seed']}",
        f"Full fits try {replay['max_epochs']} epochs, warm ones {settings['epoch_share']:g} of them "
        f"(`warm_start.epoch_share`); one of {settings['refit_every']} refits from scratch. CPU ratio over the week "
        f"{ratio:.3f}: goal {_met(ratio <= GOAL_TIME, nights)}. "
        f"Worst night {differences.min():+.4f}, mean {differences.mean():+.4f}: at most {GOAL_NDCG:g} below on "
        f"{int((differences >= -GOAL_NDCG).sum())} of {len(nights)} nights, goal "
        f"{_met(bool((differences >= -GOAL_NDCG).all()), nights)}. {drift(differences)}"
        f"{untrained(nights)}{_unfinished(nights)}",
        "\n".join([*rows, *map(_row, nights)]),
        *over_seeds(replay["by_seed"]),
    ]


def drift(differences: NDArray[np.float64]) -> str:
    """How the difference changes from night to night, and whether that is shown."""
    if (free := len(differences) - 2) < 1:
        return "Too few nights to show a drift."
    if np.ptp(differences) == 0:
        return "The difference is the same on every night."
    line = linregress(np.arange(len(differences)), differences)
    low, high = line.slope + line.stderr * student.ppf([0.025, 0.975], free)
    shown = "a loss from night to night is shown" if high < 0 else "no loss from night to night is shown"
    return (
        f"Change of the difference per night, by least squares: {line.slope:+.5f} (95 %: {low:+.5f} to {high:+.5f}); "
        f"{shown}."
    )


def untrained(nights: Sequence[Mapping[str, Any]]) -> str:
    """How far behind full fits the model is that was not trained for the week, next to the warm ones."""
    if not all("test_untrained" in night for night in nights):
        return ""
    behind = np.mean([night["test_untrained"] - night["test_full"] for night in nights])
    return f" Untrained since the night before the week, the model differs from full fits by {behind:+.4f} on average."


def over_seeds(weeks: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Two sentences and a table of the first and last night with several seeds; nothing where there is one."""
    if not weeks:
        return []
    first, last = (np.array([week[end]["difference"][0] for week in weeks.values()]) for end in (0, -1))
    change = over_all(last - first)
    gain = over_all(np.array([week[-1]["test_warm"] - week[-1]["test_untrained"] for week in weeks.values()]))
    rows = [
        "| seed | first night: difference | last night: full, NDCG@10 | warm | untrained | CPU ratio | difference |",
        "|---" * 7 + "|",
    ]
    for seed, (begin, end) in weeks.items():
        ratio = end["warm_cpu"] / end["full_cpu"]
        figures = " | ".join(f"{end[name]:.4f}" for name in ("test_full", "test_warm", "test_untrained"))
        figures += f" | {ratio:.2f} | {end['difference'][0]:+.4f}"
        rows.append(f"| {seed} | {begin['difference'][0]:+.4f} | {figures} |")
    return [
        f"With {len(weeks)} seeds, each with a week of warm fits of its own, the difference is {over_all(first)} on "
        f"the first night and {over_all(last)} on the last, and changes by {change} in between. On the last night "
        f"the warm model differs from the untrained one by {gain}.",
        "\n".join(rows),
    ]


def over_all(values: NDArray[np.float64]) -> str:
    """The mean over seeds with its 95 % interval by Student's t."""
    low, high = ttest_1samp(values, 0).confidence_interval()
    return f"{values.mean():+.4f} ({low:+.4f} to {high:+.4f})"


def _unfinished(nights: list[Any]) -> str:
    return "" if len(nights) == NIGHTS else f" Only {len(nights)} of {NIGHTS} nights were measured."


def _row(night: Mapping[str, Any]) -> str:
    cells = [f"{night['day']}", f"{night['events']:,}", f"{night['test_full']:.4f}" if "warm" in night else "–"]
    cells += [f"{night['full']:.4f}", f"{night['full_cpu']:.1f}", f"{night['full_epoch']}"]
    if "warm" not in night:
        return f"| {' | '.join(cells)} |{' – |' * 9}"
    mean, low, high = night["difference"]
    last = night.get("valid_ndcg@10_of_last_full_fit")
    cells += [
        f"{night['test_warm']:.4f} | {night['warm']:.4f} | {night['warm_cpu']:.1f} | {night['warm_epoch']}",
        f"{night['warm_cpu'] / night['full_cpu']:.2f}",
        f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]",
        f"{night['test_untrained']:.4f}" if "test_untrained" in night else "–",
        "warm, from scratch" if night.get("from_scratch") else night["fit"],
        "–" if last is None else f"{last:.4f}",
    ]
    return f"| {' | '.join(cells)} |"


def _met(is_met: bool, nights: list[Any]) -> str:
    """A goal of a week that was not measured whole may be missed already, but not met."""
    if is_met and len(nights) < NIGHTS:
        return "open"
    return "met" if is_met else "missed"


if __name__ == "__main__":
    main()
