"""This project compared with its peers, on the same splits, in one run, and the other pages of results.

Without names: all data sets that the folder of raw data holds (ml-100k/, ml-1m/, gowalla/ as published; MovieLens 100K
is always there), then all studies that they suffice for, such as the information ladder. Studies take --data and
--results alone. After an interruption `--resume` keeps the fits of systems that are done; the ladder, the samplers and
the warm start go on where they were, the other studies begin anew. Figures go to benchmarks/results/*.json, and pages
are made from them.
"""

import argparse
import json
import math
import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from harness.code import OUR_CODE, code_hash, today
from harness.datasets import BENCHMARKS, ROOT, Benchmark, Split, make_split, present, settings_of
from harness.measuring import measure_all, write_data
from harness.pages import keep_page
from harness.picture import picture
from harness.processes import Runner, SystemFailedError
from harness.studies import STUDIES, Study, ready
from harness.systems import OURS, SYSTEMS, System, by_name
from harness.tables import Page, markdown, results_of
from harness.tuning import at_edge, chosen_setting, grid_of, keep, tune, tuning_seconds
from rich.console import Console

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import write_text
from bakeoff.experiments.training.validation import SELECTION_METRIC

DATA_VARIABLE = "BAKEOFF_BENCH_DATA"
THREADS, SEED, SEEDS, RESAMPLES = 2, 42, 5, 10_000
EQUAL = 5e-5
"""Figures that are closer than this are printed alike."""
PICTURE = "systems.svg"
"""All tables at a glance, beside the pages."""
console = Console(stderr=True, highlight=False)


def main() -> int:
    """Run; the exit status says whether a system failed that should not have."""
    arguments = _arguments()
    if arguments.pages:
        return write_pages(arguments.results)
    is_plain = not (arguments.tune or arguments.check or arguments.only)
    names = arguments.names or present(arguments.data) + (ready(arguments.data) if is_plain else [])
    runner = Runner(arguments.threads, arguments.seed, arguments.resume, arguments.timeout)
    status = 0
    for name in names:
        if name in STUDIES:
            console.rule(name)
            status |= _study(STUDIES[name], arguments)
            continue
        benchmark, scratch = BENCHMARKS[name], arguments.scratch / name
        console.rule(benchmark.title)
        try:
            split = make_split(benchmark, arguments.data, scratch)
        except BakeoffError as error:
            console.print(f"error: {error}", markup=False)
            status = 1
            continue
        act = _tune if arguments.tune else _check if arguments.check else _measure
        status |= act(benchmark, split, by_name(arguments.only), runner, scratch, arguments)
    return status


def _study(study: Study, arguments: argparse.Namespace) -> int:
    if missing := study.missing(arguments.data):
        _say(f"error: it needs {' and '.join(missing)} in the folder of raw data: name that by --data.")
        return 1
    return int(study.run(arguments.data, arguments.results) != 0)


def _tune(
    benchmark: Benchmark,
    split: Split,
    systems: tuple[System, ...],
    runner: Runner,
    scratch: Path,
    arguments: argparse.Namespace,
) -> int:
    files, status = write_data(split, scratch), 0
    for system in systems:
        data = split.data["valid"]
        if not system.tuned or system.ours or system.obstacle(data.num_items, data.has_times):
            continue
        settings, every = grid_of(system.name, benchmark.name)
        console.print(f"{system.title}: {len(settings)} settings")
        folder, metric = scratch / "tuning" / system.name, SELECTION_METRIC
        try:
            outcome = tune(system, settings, every, files["valid"], split.truth["valid"], metric, runner, folder, _say)
        except SystemFailedError as error:
            console.print(f"  failed: {error}", markup=False)
            status = 1
            continue
        keep(system, benchmark.name, outcome)
        _say(
            f"  chosen: {dict(outcome.setting)}, {metric} {outcome.valid[metric]:.4f}; {outcome.tried} settings in "
            f"{outcome.seconds:.0f} s"
        )
    return status


def _measure(
    benchmark: Benchmark,
    split: Split,
    systems: tuple[System, ...],
    runner: Runner,
    scratch: Path,
    arguments: argparse.Namespace,
) -> int:
    path = arguments.results / f"{benchmark.name}.json"
    if lost := _left_out(path, systems):
        console.print(
            f"error: {path} has figures of {', '.join(lost)}, too, which this would remove: name these systems as "
            "well, with --resume, or another folder for the page with --results.",
            markup=False,
        )
        return 1
    values = settings_of(benchmark)
    results = measure_all(
        systems,
        split,
        values,
        lambda system: chosen_setting(system, benchmark.name),
        runner,
        scratch,
        _say,
        arguments.seeds,
        benchmark.one_seed,
    )
    effort = (lambda system: tuning_seconds(system, benchmark)), (lambda system: at_edge(system, benchmark.name))
    numbers = runner.threads, runner.seed, arguments.resamples
    found = results_of(benchmark, split.facts, results, _command(arguments, benchmark), *numbers, *effort)
    keep_page(found, markdown, path)
    _draw(arguments.results, _results(arguments.results).values())
    console.print(f"Written: {path}, the page and {PICTURE}")
    return int(any(m.note.startswith("failed") for m in results))


def _left_out(path: Path, systems: Iterable[System]) -> list[str]:
    """Titles of the systems of a page that are not among these."""
    if not path.exists():
        return []
    named = {system.name for system in systems}
    found = json.loads(path.read_text(encoding="utf-8"))["systems"]
    return [system["title"] for system in found if system["name"] not in named]


def _check(
    benchmark: Benchmark,
    split: Split,
    _: tuple[System, ...],
    runner: Runner,
    scratch: Path,
    arguments: argparse.Namespace,
) -> int:
    """Fit the contenders anew with the first seed: where they reach what the page says, it is up to date."""
    path = arguments.results / f"{benchmark.name}.json"
    if not path.exists():
        _say(f"{path} is not there: nothing has been measured yet.")
        return 1
    page = json.loads(path.read_text(encoding="utf-8"))
    held = {system["name"]: system["seeds"] for system in page["systems"]}
    values, check = settings_of(benchmark), scratch / "check"
    found = measure_all(by_name([*OURS]), split, values, lambda _: None, runner, check, _say)
    gaps = []
    for measured in found:
        name = measured.system.name
        for metric, [first, *_others] in held.get(name, {}).items():
            now = measured.seeds[metric][0] if measured.succeeded else math.nan
            _say(f"{name}, {metric}: {now:.5f}, on the page {first:.5f}")
            gaps.append(abs(now - first))
    same = bool(gaps) and all(gap < EQUAL for gap in gaps)  # a page without a contender has nothing to compare
    if same:
        code = page["code"] | {"ours": code_hash(OUR_CODE)}  # peers are not fitted
        keep_page(page | {"code": code}, lambda found: markdown(found, _code_of(found)), path)
    _say(f"{benchmark.name}: {'up to date' if same else 'other figures than on the page, which stays as it is'}")
    return int(not same)


def write_pages(folder: Path) -> int:
    """Make each page again from its figures; one whose code has changed since says so."""
    results = _results(folder)
    for path, found in results.items():
        code = _code_of(found)
        write_text(path.with_suffix(".md"), markdown(found, code))
        console.print(f"{path.stem}: {'up to date' if found['code'] == code else 'older than the code'}")
    _draw(folder, results.values())
    return 0


def _code_of(page: Page) -> dict[str, str]:
    """Hashes of today's code of the systems of a page."""
    measured = {system["name"] for system in page["systems"] if system["figures"]}
    return today(system.module for system in SYSTEMS if system.name in measured)


def _draw(folder: Path, results: Iterable[Page]) -> None:
    """One picture of all tables that there are."""
    write_text(folder / PICTURE, picture([*results]))


def _results(folder: Path) -> dict[Path, Page]:
    """By file, the results of the data sets that have been measured."""
    paths = [path for name in BENCHMARKS if (path := folder / f"{name}.json").exists()]
    return {path: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def _command(arguments: argparse.Namespace, benchmark: Benchmark) -> str:
    """What makes this page again; a folder of raw data and a scratch folder are a reader's own."""
    options = [benchmark.name]
    for name in arguments.only or ():
        options += ["--only", name]
    for name, usual in (("threads", THREADS), ("seed", SEED), ("seeds", SEEDS), ("resamples", RESAMPLES)):
        if getattr(arguments, name) != usual:
            options += [f"--{name}", str(getattr(arguments, name))]
    if benchmark.folder not in ("ml-100k",):
        options += ["--data", "DIR"]
    return f'make bench BENCH="{shlex.join(options)}"'


def _say(text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='make bench BENCH="…"', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    raw = os.environ.get(DATA_VARIABLE)
    names = f"data sets: {', '.join(BENCHMARKS)}; studies: {', '.join(STUDIES)} (default: all that can be run)"
    add("names", nargs="*", metavar="NAME", help=names)
    add("--data", type=Path, default=Path(raw) if raw else None, help=f"folder of raw data (default: ${DATA_VARIABLE})")
    add("--only", action="append", metavar="SYSTEM", help=f"run only these, which are then all of the page: {_names()}")
    add("--tune", action="store_true", help="choose the peers' settings on validation instead; test is not looked at")
    add("--resume", action="store_true", help="reuse the results of finished systems whose job is the same")
    add("--threads", type=int, default=THREADS, help=f"for every system (default: {THREADS})")
    add("--seed", type=int, default=SEED, help=f"for every system, and of the intervals (default: {SEED})")
    add(
        "--seeds",
        type=int,
        default=SEEDS,
        help=f"fits of every system that draws something and is not too slow (default: {SEEDS})",
    )
    add(
        "--check",
        action="store_true",
        help="fit MF and the softmax DNN, not the peers, with one seed: does the page still hold?",
    )
    add("--pages", action="store_true", help="make the pages again from their figures, and say which are out of date")
    add("--resamples", type=int, default=RESAMPLES, help=f"of the bootstrap (default: {RESAMPLES})")
    add("--timeout", type=float, default=3600, help="seconds after which a system is ended (default: 3600)")
    add(
        "--scratch",
        type=Path,
        default=ROOT / "artifacts/bench",
        help="where splits and runs are kept (artifacts/bench)",
    )
    add(
        "--results", type=Path, default=ROOT / "benchmarks/results", help="where pages go (default: benchmarks/results)"
    )
    arguments = parser.parse_args()
    known = [*BENCHMARKS, *STUDIES]
    for name in arguments.names:
        if name not in known:
            parser.error(f"there is no data set or study {name!r}: it must be one of {', '.join(known)}")
    if set(arguments.names) & set(STUDIES) and (arguments.tune or arguments.check or arguments.only):
        parser.error("--tune, --check and --only are for data sets")
    try:
        by_name(arguments.only)
    except KeyError as error:
        parser.error(f"there is no system {error}: it must be one of {_names()}")
    return arguments


def _names() -> str:
    return ", ".join(system.name for system in SYSTEMS)


if __name__ == "__main__":
    sys.exit(main())
