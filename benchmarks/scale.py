"""Every stage of the pipeline on synthetic data of growing size: what it costs, how that grows, and where it would end.

Data with planted structure are made at each size, each stage of dvc.yaml runs by its own command in a process of its
own, and two pages say how time and memory grow. The workspace is kept: what was measured is not measured again, so
that a run that was killed goes on where it was.
"""

import argparse
import json
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.datasets import with_overrides
from harness.pages import Page, keep_page
from ruamel.yaml import YAML
from scaling.catalogues import page as catalogues_page
from scaling.data import Size, size_of, write_tables
from scaling.fits import Runs
from scaling.measuring import Limits, Measured, run_stage
from scaling.page import page
from scaling.picture import picture
from scaling.pipeline import Stage, read_stages
from scaling.plan import (
    CATALOGUES,
    INTERACTIONS,
    REPEATED,
    SIZES,
    STEADY,
    STEADY_ITEMS,
    STEADY_STAGES,
    TABLE_STAGES,
    TABLES,
    plan,
)
from scaling.steady import section as steady_section

from bakeoff.core.files import write_json, write_text, written
from bakeoff.core.processes import run_alone
from bakeoff.params import load_params, parse_params

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = ROOT / "benchmarks/settings/scale.yaml"
ROUNDS = 3
BESIDE = {"tables": TABLES, "steady": STEADY}
"""Series in addition to the usual sizes."""
SEED = 42
THREADS, MEMORY_GIB, HOURS = 2, 8.0, 3.0
MEASURED = "measured.json"


class Sources:
    """What a run is made of: the stages, and the parameters with the settings for large data."""

    def __init__(self, dvc: Path = ROOT / "dvc.yaml", settings: Path = SETTINGS) -> None:
        """Read them."""
        self.stages = read_stages(dvc)
        standing = load_params(ROOT / "params.yaml").model_dump(mode="json")
        changed = with_overrides(standing, YAML(typ="safe").load(settings))
        self.params = parse_params(changed, str(settings)).model_dump(mode="json")


def main() -> int:
    """Run; the exit status says whether a stage failed."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # ends the stage too
    limits = Limits(int(arguments.memory * 2**30), arguments.hours * 3600, arguments.threads)
    sources = Sources(settings=arguments.settings)
    planned = plan(arguments)
    unknown = sorted(set(arguments.again) - {stage.name for stage in sources.stages})
    if unknown:
        raise SystemExit(f"--again: dvc.yaml has no stage {unknown[0]!r}")

    def measured(size: Size, only: Collection[str] | None = None, rounds: int = 1) -> dict[str, Measured]:
        # After the first round nothing is measured anew.
        retry, again = (arguments.retry, arguments.again) if rounds == 1 else (False, ())
        return measure_size(size, sources, arguments.workspace, limits, retry, again, only, rounds)

    found: dict[Size, dict[str, Measured]] = {}
    for number in range(1, (arguments.rounds if planned.growing else 1) + 1):
        print(f"Round {number}", flush=True)
        found = {size: measured(size, only, number) for size, only in planned.stages().items()}
    catalogues = {size: measured(size) for size in planned.catalogues}
    about = {"command": _command(arguments), "limits": asdict(limits), "start": _stages_as_json(found[planned.start])}
    if planned.growing:
        runs = {size: found[size] for size in planned.growing}
        steady = {size: _only(STEADY_STAGES, found[size]) for size in planned.steady}
        figures = about | {"rounds": arguments.rounds, "runs": _as_json(runs)}
        if steady:
            figures |= {"steady_start": _stages_as_json(found[planned.steady_start]), "steady": _as_json(steady)}
        _keep(figures, markdown, picture(runs), arguments.page)
    if catalogues:
        path = arguments.page.with_stem(f"{arguments.page.stem}_catalogues")
        _keep(about | {"runs": _as_json(catalogues)}, markdown_of_catalogues, picture(catalogues, "items"), path)
    return int(any(run.failed for stages in (found | catalogues).values() for run in stages.values()))


def markdown(figures: Page) -> str:
    """The page on sizes."""
    text = page(*_content(figures), figures["rounds"])
    if "steady" in figures:
        steady = _runs(figures["steady"]), _stages(figures["steady_start"])
        text += "\n" + steady_section(*steady, figures["rounds"])
    return text


def markdown_of_catalogues(figures: Page) -> str:
    """The page on catalogues that grow alone."""
    return catalogues_page(*_content(figures))


def _content(figures: Page) -> tuple[Runs, dict[str, Measured], Limits, str, str]:
    """What either page takes."""
    limits = Limits(**figures["limits"])
    return _runs(figures["runs"]), _stages(figures["start"]), limits, figures["command"], figures["picture"]


def _keep(figures: Page, markdown: Callable[[Page], str], drawn: str, path: Path) -> None:
    beside = path.with_suffix(".svg")
    write_text(beside, drawn)
    keep_page({**figures, "picture": beside.name}, markdown, path.with_suffix(".json"))
    print(f"Written: {path}")


def _as_json(runs: Runs) -> list[dict[str, Any]]:
    return [{"size": asdict(size), "stages": _stages_as_json(stages)} for size, stages in runs.items()]


def _stages_as_json(stages: Mapping[str, Measured]) -> dict[str, Any]:
    return {name: run.as_json() for name, run in stages.items()}


def _runs(kept: Sequence[Mapping[str, Any]]) -> Runs:
    return {Size(**each["size"]): _stages(each["stages"]) for each in kept}


def _stages(kept: Mapping[str, Any]) -> dict[str, Measured]:
    return {name: Measured(**values) for name, values in kept.items()}


def _only(names: Sequence[str], stages: Mapping[str, Measured]) -> dict[str, Measured]:
    return {name: run for name, run in stages.items() if name in names}


def measure_size(
    size: Size,
    sources: Sources,
    workspace: Path,
    limits: Limits,
    retry: bool,
    again: Collection[str] = (),
    only: Collection[str] | None = None,
    rounds: int = 1,
) -> dict[str, Measured]:
    """Stage → what it cost at this size; what an earlier run has measured is taken from it, but for `again`.

    A run with other settings or limits than the one that was kept starts anew. `only`: stages that run; None: all.
    `rounds`: runs that each of REPEATED shall have; the others have one.
    """
    folder = workspace / _name(size)
    about = {"params": sources.params, "limits": [limits.memory, limits.seconds, limits.threads], "seed": SEED}
    kept = _kept(folder, about)
    begun = bool(kept)
    kept = {name: runs for name, runs in kept.items() if name not in again and not (retry and runs[-1].failed)}
    print(f"{size.interactions:,} interactions, {size.users:,} users, {size.items:,} items", flush=True)
    if not begun:
        _make(folder, size, sources)
    found: dict[str, Measured] = {}
    for stage in sources.stages:
        if only is not None and stage.name not in only:
            continue
        runs = kept.setdefault(stage.name, [])
        wanted = rounds if stage.name in REPEATED else 1
        is_new = len(runs) < wanted and not (runs and runs[-1].failed)
        if is_new:
            runs.append(_measure(stage, found, folder, limits))
            lists = {name: [run.as_json() for run in done] for name, done in kept.items() if done}
            write_json(folder / MEASURED, {"about": about, "runs": lists})
        found[stage.name] = middle(runs)
        if is_new or rounds == 1:
            _say(stage, runs[-1], not is_new)
    return found


def _name(size: Size) -> str:
    usual = size == size_of(size.interactions)
    return str(size.interactions) if usual else f"{size.interactions}-{size.items}"


def _measure(stage: Stage, found: Mapping[str, Measured], folder: Path, limits: Limits) -> Measured:
    lacking = [name for name in stage.after if found[name].failed]
    if lacking:
        return Measured(0.0, 0.0, 0, f"not run: {lacking[0]} has no result", failed=True)
    return run_stage(stage, folder, limits)


def middle(runs: Sequence[Measured]) -> Measured:
    """The run of the median CPU time, of two the more expensive; or the one that failed, after which there is none."""
    return runs[-1] if runs[-1].failed else sorted(runs, key=lambda run: run.cpu)[len(runs) // 2]


def _kept(folder: Path, about: Mapping[str, Any]) -> dict[str, list[Measured]]:
    path = folder / MEASURED
    if not path.exists():
        return {}
    kept = json.loads(path.read_text(encoding="utf-8"))
    if kept["about"] != json.loads(json.dumps(about)):
        return {}
    return {name: [Measured(**values) for values in runs] for name, runs in kept["runs"].items()}


def _make(folder: Path, size: Size, sources: Sources) -> None:
    """A workspace with data and parameters, and nothing else; the data in a process of its own, for its memory."""
    if folder.exists():
        shutil.rmtree(folder)
    (folder / "data").mkdir(parents=True)
    shutil.copytree(ROOT / "tuning", folder / "tuning")
    with written(folder / "params.yaml") as beside, beside.open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(sources.params, file)
    run_alone([_Tables(folder / "data", size)])


class _Tables:
    """A task that writes the tables of a size."""

    def __init__(self, folder: Path, size: Size) -> None:
        self.folder, self.size = folder, size

    def __call__(self) -> None:
        write_tables(self.folder, self.size, SEED)


def _say(stage: Stage, run: Measured, kept: bool) -> None:
    what = f"{run.wall:8.1f} s {run.cpu:8.1f} s of CPU {run.memory / 2**30:6.2f} GiB"
    print(f"  {stage.name:<28}{what}{'  (kept)' if kept else ''}  {run.note}".rstrip(), flush=True)


def _command(arguments: argparse.Namespace) -> str:
    """What makes this page again; the workspace is a reader's own."""
    options: list[str] = []
    beside = {name: _usual(arguments, series) for name, series in BESIDE.items()}
    for name, usual in {"sizes": SIZES, **beside, "catalogues": CATALOGUES}.items():
        given = getattr(arguments, name)
        if tuple(given) != usual:
            options += [f"--{name}", *map(str, given)]
    for name, limit in (("rounds", ROUNDS), ("threads", THREADS), ("memory", MEMORY_GIB), ("hours", HOURS)):
        if getattr(arguments, name) != limit:
            options += [f"--{name}", f"{getattr(arguments, name):g}"]
    return f'make scale SCALE="{shlex.join(options)}"' if options else "make scale"


def _usual(arguments: argparse.Namespace, series: tuple[int, ...]) -> tuple[int, ...]:
    """Sizes of the command line replace the larger usual ones, and no others are added."""
    return series if tuple(arguments.sizes) == SIZES else ()


def _arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='make scale SCALE="…"', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    text = f"interactions; nothing: none (default: {SIZES})"
    add("--sizes", type=int, nargs="*", default=SIZES, metavar="N", help=text)
    text = f"interactions at which {' and '.join(TABLE_STAGES)} alone run (default: {TABLES}, with --sizes none)"
    add("--tables", type=int, nargs="*", metavar="N", help=text)
    text = f"interactions of {STEADY_ITEMS:,} items each, for tables and trainings (default: {STEADY}, likewise)"
    add("--steady", type=int, nargs="*", metavar="N", help=text)
    text = f"items, with {INTERACTIONS:,} interactions each; nothing: none (default: {CATALOGUES})"
    add("--catalogues", type=int, nargs="*", default=CATALOGUES, metavar="N", help=text)
    text = f"of the stages that are to grow as the interactions do, 1 to 3; the median counts (default: {ROUNDS})"
    add("--rounds", type=int, choices=(1, 2, 3), default=ROUNDS, metavar="N", help=text)
    add("--workspace", type=Path, default=ROOT / "artifacts/scale", help="kept between runs (artifacts/scale)")
    add("--settings", type=Path, default=SETTINGS, help="what differs from params.yaml (settings/scale.yaml)")
    add("--threads", type=int, default=THREADS, help=f"of every stage (default: {THREADS})")
    add("--memory", type=float, default=MEMORY_GIB, help=f"GiB, beyond which a stage is ended ({MEMORY_GIB:g})")
    add("--hours", type=float, default=HOURS, help=f"after which a stage is ended (default: {HOURS:g})")
    add("--retry", action="store_true", help="run stages again that failed before")
    add("--again", nargs="+", default=[], metavar="STAGE", help="measure these again, as after a change of their code")
    add(
        "--page",
        type=Path,
        default=ROOT / "benchmarks/results/scale.md",
        help="where the page on sizes goes, the one on catalogues beside it",
    )
    arguments = parser.parse_args(given)
    for name, series in BESIDE.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, _usual(arguments, series))
    try:
        plan(arguments)
    except ValueError as error:
        parser.error(str(error))
    return arguments


if __name__ == "__main__":
    sys.exit(main())
