"""Where settings lead: what a list of them reaches on validation, and how long a fit takes. Test is not opened.

A curve is a file in benchmarks/settings/curves: title, data set, contender, why it is drawn, and settings,
each a mapping of what differs from how the contender is benchmarked (`dim: 1024`, `negatives.sampler: uniform`; of
another contender under its name, `ease: {…}`). Every one is trained on train and judged at the epoch that validation
chooses, or with `epochs: last` after all its epochs, which spares asking after each.

    python benchmarks/curve.py ml-1m-mf softmax-fit-time --data DIR
"""

import argparse
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from harness.datasets import BENCHMARKS, ROOT, Split, make_split
from harness.pages import Page, show
from harness.score import per_user
from harness.tables import NAMES
from numpy.typing import NDArray
from rich.console import Console
from ruamel.yaml import YAML

from bakeoff.data.prepared.tables import Prepared, load_prepared
from bakeoff.evaluation.ranking import rank
from bakeoff.experiments.params import with_values
from bakeoff.experiments.training.runner import Experiment, train_keeping_best
from bakeoff.experiments.training.validation import validation_scores
from bakeoff.models.base.retriever import Retriever
from bakeoff.models.base.specs import spec

CURVES = ROOT / "benchmarks/settings/curves"
LENGTH = 20
console = Console(stderr=True, highlight=False)


@dataclass(frozen=True)
class Curve:
    """What is drawn.

    Attributes:
        title: heading.
        benchmark: key of BENCHMARKS.
        contender: section of params.yaml.
        why: sentences for the reader.
        settings: what differs in each point; an empty one is the contender as benchmarked.
        users: number of validation users to rank for, a seeded sample; 0: all.
        choose: whether validation chooses the epoch.
    """

    title: str
    benchmark: str
    contender: str
    why: str
    settings: Sequence[Mapping[str, Any]]
    users: int
    choose: bool


@dataclass(frozen=True)
class Point:
    """What one setting reached: metric → mean over users, epochs of the fit, and what the fit took."""

    scores: Mapping[str, float]
    epochs: int
    wall: float
    cpu: float


def read_curve(path: Path) -> Curve:
    """A file of CURVES.

    Raises:
        ValueError: names what is missing or unknown.
    """
    values = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    needed = {"title", "benchmark", "contender", "why", "settings"}
    wrong = (needed - set(values)) | (set(values) - needed - {"users", "epochs"})
    if wrong or values["benchmark"] not in BENCHMARKS or values.get("epochs", "best") not in ("best", "last"):
        raise ValueError(f"{path}: {', '.join(sorted(wrong)) or 'benchmark or epochs'} is missing or unknown.")
    return Curve(
        **{name: values[name] for name in needed},
        users=values.get("users", 0),
        choose=values.get("epochs", "best") == "best",
    )


class Judge:
    """Asks about validation users, with train as what is known of them."""

    def __init__(self, prepared: Prepared, metrics: Sequence[str], users: int) -> None:
        """Draw the users, unless all are ranked for."""
        found = np.flatnonzero(prepared.valid.lengths)
        if users:
            found = np.sort(np.random.default_rng(1).permutation(found)[:users])
        self.rows, self._metrics = found, metrics
        self._queries, self._truth = prepared.queries(prepared.train, found), prepared.valid.take(found)

    def per_user(self, retriever: Retriever) -> dict[str, NDArray[np.float64]]:
        """Each metric of each user."""
        lists = rank(retriever, self._queries, self._queries.histories, self._truth, LENGTH, 1024)
        found = per_user(lists, self._truth)
        return {metric: found[metric] for metric in self._metrics}

    def score(self, retriever: Retriever) -> dict[str, float]:
        """Mean of each metric."""
        return {metric: float(np.mean(values)) for metric, values in self.per_user(retriever).items()}


def points(curve: Curve, split: Split) -> Iterator[tuple[str, Point]]:
    """What each setting reaches, one after another."""
    prepared = load_prepared(split.workspace)
    judge = Judge(prepared, BENCHMARKS[curve.benchmark].metrics, curve.users)
    for setting in curve.settings:
        contender = next((name for name in setting if isinstance(setting[name], Mapping)), curve.contender)
        changed = setting.get(contender, setting)
        section_of = split.params.section(contender)
        settings = with_values(section_of, changed, f"A setting of {curve.title!r}", contender)
        label = ", ".join(f"`{name}` {_shown(value)}" for name, value in changed.items()) or "as benchmarked"
        experiment = Experiment(spec(contender), settings, prepared, split.params.seed)
        point = fit(experiment, judge, curve.choose)
        console.print(f"{contender} {label}: {point}", markup=False)
        yield (label if contender == curve.contender else f"{contender.upper()}: {label}"), point


def fit(experiment: Experiment, judge: Judge, choose: bool) -> Point:
    """Train, keep the best epoch or the last one, and evaluate; what choosing takes is not in the seconds."""
    is_chosen = choose and experiment.spec.has_epochs
    begun, cpu = time.perf_counter(), time.process_time()
    model = train_keeping_best(experiment, validation_scores(experiment.prepared, judge.rows) if is_chosen else None)
    wall, cpu, epochs = time.perf_counter() - begun, time.process_time() - cpu, model.epoch or 1
    if is_chosen:
        wall, cpu = (epochs * float(np.mean(each)) for each in zip(*model.epoch_costs, strict=True))
    return Point(judge.score(model.retriever), epochs, wall, cpu)


def page_of(name: str, curve: Curve, found: Sequence[tuple[str, Point]]) -> dict[str, Any]:
    """All that the page of a curve shows, as JSON values."""
    return {
        "command": f"python benchmarks/curve.py {name} --data DIR",
        "title": curve.title,
        "why": curve.why.strip(),
        "benchmark": BENCHMARKS[curve.benchmark].title,
        "users": curve.users,
        "choose": curve.choose,
        "points": [{"setting": label} | asdict(point) for label, point in found],
    }


def markdown(page: Page) -> str:
    """The curve as a table."""
    points = page["points"]
    metrics = list(points[0]["scores"])
    lines = [
        f"# {page['title']}\n",
        f"{page['why']}\n",
        f"| setting | {' | '.join(NAMES[metric] for metric in metrics)} | epochs | fit, s | CPU, s |",
        f"|---|{'---|' * len(metrics)}--:|--:|--:|",
    ]
    for point in points:
        cells = [f"{value:.4f}" for value in point["scores"].values()]
        cells += [str(point["epochs"]), f"{point['wall']:.1f}", f"{point['cpu']:.1f}"]
        lines.append(f"| {point['setting']} | {' | '.join(cells)} |")
    asked = f" {page['users']:,} of its users were asked about, a seeded sample." if page["users"] else ""
    epoch = "the epoch that validation chose" if page["choose"] else "all its epochs"
    notes = f"{page['benchmark']}, validation; each fitted on train with {epoch}.{asked}"
    return "\n".join([*lines, "", notes, f"Made by `{page['command']}`."]) + "\n"


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)


def main() -> None:
    """Print the pages; with --write, keep the figures and the page of each."""
    arguments = _arguments()
    for name in arguments.curves:
        curve = read_curve(CURVES / f"{name}.yaml")
        benchmark = BENCHMARKS[curve.benchmark]
        split = make_split(benchmark, arguments.data, arguments.scratch / benchmark.name)
        page = page_of(name, curve, list(points(curve, split)))
        show(page, markdown, arguments.write and arguments.write / f"{name}.json")


def _arguments() -> argparse.Namespace:
    known = sorted(path.stem for path in CURVES.glob("*.yaml"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curves", nargs="+", choices=known, metavar="CURVE", help=f"of {', '.join(known)}")
    raw = os.environ.get("BAKEOFF_BENCH_DATA")
    parser.add_argument("--data", type=Path, default=raw and Path(raw), help="folder of raw data, as for make bench")
    parser.add_argument("--scratch", type=Path, default=ROOT / "artifacts/bench", help="where splits are made")
    parser.add_argument("--write", type=Path, help="folder for the figures and the page of each")
    return parser.parse_args()


if __name__ == "__main__":
    main()
