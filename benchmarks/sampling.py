"""Negative samplers on a large catalogue: what each reaches in about the same CPU time, next to the full softmax.

    python benchmarks/sampling.py gowalla --data DIR --seconds 20 60
    python benchmarks/sampling.py planted --seconds 30 --samplers mixed in-batch uniform popularity

`planted` is synthetic data: 200,000 items, and users whose preferences are known (harness/planted.py).
Half of the validation users choose a learning rate for each sampler, by fits of the longest time; the other half are
reported, over several seeds, none of which chose. Test is not opened. A fit is as many whole epochs as its CPU seconds
allow, at least one, and its learning rate decays within them. A fit that was made with this code and these settings
stays made: the command goes on where it was cut off. `--pages` makes the page again from the figures.
"""

import argparse
import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

import numpy as np
import vl_convert
from harness.code import made_with
from harness.datasets import BENCHMARKS, ROOT, make_split, settings_of
from harness.planted import Planted
from harness.score import per_user, with_intervals
from harness.tables import NAMES
from numpy.typing import NDArray
from rich.console import Console

from bakeoff.core.files import write_json, write_text
from bakeoff.data.prepared.tables import Prepared, load_prepared
from bakeoff.evaluation.ranking.protocol import EvalSet
from bakeoff.experiments.params import with_values
from bakeoff.experiments.training.runner import Experiment, run_epochs
from bakeoff.models.base.retriever import Retriever
from bakeoff.models.base.specs import spec
from bakeoff.params import parse_params

RESULTS = ROOT / "benchmarks/results"
RATES = (0.01, 0.03, 0.1, 0.3)
METRIC, RECALL = "ndcg@20", "recall_of_all@20"
CHOOSING_SEED, FIRST_SEED = 42, 43
"""With which rates are chosen, and the first of those that are reported."""

RESAMPLES = 10_000
PLANTED = "planted"
REFERENCE = "full"
"""What the others are compared with; where it is left out, the first one is."""

SAMPLERS: Mapping[str, Mapping[str, Any]] = {
    REFERENCE: {"negatives.sampler": "full"},
    "mixed": {"negatives.sampler": "mixed", "negatives.mixture": ["in-batch", "uniform"]},
    "in-batch": {"negatives.sampler": "in-batch"},
    "in-batch, uncorrected": {"negatives.sampler": "in-batch", "negatives.logq_correction": False},
    "uniform": {"negatives.sampler": "uniform"},
    "popularity": {"negatives.sampler": "popularity"},
    "popularity, uncorrected": {"negatives.sampler": "popularity", "negatives.logq_correction": False},
}
"""Row of the page → what differs from the settings of the benchmark. Corrected: by logQ."""

Figures = dict[str, Any]
console = Console(stderr=True, highlight=False)


@dataclass(frozen=True)
class Halves:
    """Validation users: one half chooses rates, the other half is reported."""

    choosing: EvalSet
    reported: EvalSet

    @classmethod
    def of(cls, prepared: Prepared) -> "Halves":
        """Drawn with a fixed seed; all of them are asked with train as their history."""
        users = np.random.default_rng(0).permutation(np.flatnonzero(prepared.valid.lengths))
        parts = (np.sort(part) for part in np.array_split(users, 2))
        return cls(*(EvalSet.of(prepared, prepared.train, prepared.valid, part) for part in parts))


def main() -> None:
    """Measure what has not been measured yet, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark", choices=(*BENCHMARKS, PLANTED), help="a data set")
    parser.add_argument("--data", type=Path, help="folder of raw data")
    parser.add_argument("--seconds", type=float, nargs="+", default=[20, 60], help="CPU, of a fit (default: 20 60)")
    parser.add_argument("--dim", type=int, default=64, help="of the embeddings (default: 64)")
    parser.add_argument("--seeds", type=int, default=5, help="that are reported (default: 5)")
    parser.add_argument("--samplers", nargs="+", choices=tuple(SAMPLERS), default=list(SAMPLERS), metavar="SAMPLER")
    parser.add_argument("--scratch", type=Path, default=ROOT / "artifacts/bench", help="where splits and fits are kept")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the page goes")
    parser.add_argument("--pages", action="store_true", help="measure nothing, make the page from its figures")
    arguments = parser.parse_args()
    path = arguments.results / f"sampling-{arguments.benchmark}.json"
    if not arguments.pages:
        write_json(path, measure(arguments))
    page = json.loads(path.read_text(encoding="utf-8"))
    write_text(path.with_suffix(".md"), markdown(page, path.with_suffix(".svg").name))
    drawn = path.with_suffix(".svg")
    if len(page["samplers"][0]["points"]) > 1:
        write_text(drawn, picture(page))
    else:  # one point is no curve, and one of an earlier run would not be of these figures
        drawn.unlink(missing_ok=True)
    console.print(f"{path.with_suffix('.md')} is written")


def measure(arguments: argparse.Namespace) -> Figures:
    """Figures of every sampler."""
    scratch, data, planted = arguments.scratch / arguments.benchmark, ["--data", "DIR"], Planted()
    is_planted = arguments.benchmark == PLANTED
    if is_planted:
        # Its events have no order, as Gowalla's: what is set for that data set holds here, too.
        params, prepared = parse_params(settings_of(BENCHMARKS["gowalla"]), PLANTED), planted.prepared()
        title, data = "synthetic data with planted preferences", []
        scratch /= hashlib.sha256(repr(planted).encode()).hexdigest()[:8]  # fits on other data are others
    else:
        benchmark = BENCHMARKS[arguments.benchmark]
        split = make_split(benchmark, arguments.data, scratch)
        title, params, prepared = benchmark.title, split.params, load_prepared(split.workspace)
    section: Any = with_values(params.section("softmax"), {"dim": arguments.dim}, "--dim", "softmax")
    folder = scratch / "sampling" / made_with(section.model_dump(mode="json"))
    fits = Fits(prepared, section, Halves.of(prepared), folder)
    seeds = range(FIRST_SEED, FIRST_SEED + arguments.seeds)
    rows = [measure_sampler(name, fits, sorted(arguments.seconds), seeds) for name in arguments.samplers]
    seconds = [f"{each:g}" for each in arguments.seconds]
    command = ["python", "benchmarks/sampling.py", arguments.benchmark, *data, "--seconds", *seconds]
    command += ["--dim", f"{arguments.dim}", "--seeds", f"{arguments.seeds}", "--samplers", *arguments.samplers]
    asked = (prepared.train, prepared.valid, fits.halves.reported.users, 20)
    return {
        "title": title,
        "command": shlex.join(command),
        "dim": arguments.dim,
        "items": prepared.num_items,
        "events": len(prepared.train.items),
        "users": len(fits.halves.reported.truth),
        "num_sampled": section.negatives.num_sampled,
        "users_per_batch": section.users_per_batch,
        "rates": RATES,
        "known": planted.best_ndcg(*asked) if is_planted else None,
        "samplers": with_differences(rows),
    }


class Fits:
    """Fits of one data set, each made once."""

    def __init__(self, prepared: Prepared, section: Any, halves: Halves, folder: Path) -> None:
        """Keep figures and scores of users in this folder."""
        self._prepared, self._section, self.halves, self._folder = prepared, section, halves, folder
        folder.mkdir(parents=True, exist_ok=True)

    def fit(self, sampler: str, rate: float, epochs: int, seed: int) -> tuple[Figures, NDArray[np.float64]]:
        """Figures of a fit, and METRIC of each reported user."""
        path = self._folder / f"{sampler.replace(', ', '-')}-{rate:g}-{epochs}-{seed}.json"
        if not path.exists():
            values = {**SAMPLERS[sampler], "learning_rate": rate, "max_epochs": epochs}
            settings = with_values(self._section, values, f"The sampler {sampler}", "softmax")
            experiment = Experiment(spec("softmax"), settings, self._prepared, seed)
            trainer = experiment.trainer(experiment.queries(self._prepared.train))
            found = run_epochs(trainer, epochs)
            retriever = trainer.retriever()
            reported = _scores(retriever, self.halves.reported)
            chosen_by = _scores(retriever, self.halves.choosing)[METRIC].mean()
            costs = [cost.cpu for cost in found.training[1:] or found.training]  # the first epoch traces code
            means = {metric: float(values.mean()) for metric, values in reported.items()}
            np.save(path.with_suffix(".npy"), reported[METRIC])
            write_json(path, {"epoch_cpu": median(costs), "choosing": float(chosen_by), **means})
            console.print(f"{path.stem}: {means}", markup=False)
        return json.loads(path.read_text(encoding="utf-8")), np.load(path.with_suffix(".npy"))


def _scores(retriever: Retriever, asked: EvalSet) -> Mapping[str, NDArray[np.float64]]:
    return per_user(asked.rank(retriever, 20, 1024), asked.truth)


def measure_sampler(name: str, fits: Fits, budgets: Sequence[float], seeds: Sequence[int]) -> Figures:
    """What a sampler reaches in each time, at the rate that the choosing half prefers at the longest."""
    seconds = fits.fit(name, RATES[0], 2, CHOOSING_SEED)[0]["epoch_cpu"]
    epochs = [max(1, int(budget / seconds)) for budget in budgets]
    tried = {f"{rate:g}": fits.fit(name, rate, epochs[-1], CHOOSING_SEED)[0]["choosing"] for rate in RATES}
    rate = max(tried, key=lambda each: tried[each])
    points = []
    for budget, count in zip(budgets, epochs, strict=True):
        found = [fits.fit(name, float(rate), count, seed) for seed in seeds]
        points.append(
            {
                "seconds": budget,
                "epochs": count,
                "cpu": count * median(figures["epoch_cpu"] for figures, _ in found),
                METRIC: [figures[METRIC] for figures, _ in found],
                RECALL: [figures[RECALL] for figures, _ in found],
                "users": np.mean([users for _, users in found], axis=0),
            }
        )
    return {"name": name, "tried": tried, "rate": float(rate), "epoch_cpu": seconds, "points": points}


def with_differences(rows: Sequence[Figures]) -> list[Figures]:
    """The rows, with intervals of each point and of its difference from the full softmax in the same time."""
    for row in rows:
        for point, other in zip(row["points"], reference_of(rows)["points"], strict=True):
            columns = {"interval": point["users"], "difference": point["users"] - other["users"]}
            point |= with_intervals(columns, 0, RESAMPLES)
    for point in (point for row in rows for point in row["points"]):
        del point["users"]
    return list(rows)


def reference_of(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The row that the others are compared with."""
    return next((row for row in rows if row["name"] == REFERENCE), rows[0])


def markdown(page: Mapping[str, Any], drawn: str) -> str:
    """The page, made from its figures."""
    rates = ", ".join(f"{rate:g}" for rate in page["rates"])
    reference = reference_of(page["samplers"])["name"]
    parts = [
        f"# Negative samplers on {page['title']}: quality by CPU time",
        f"Made by `{page['command']}`. {page['items']:,} items, {page['events']:,} train events; the softmax DNN as "
        f"`benchmarks/settings` has it, with {page['dim']} dimensions and {page['users_per_batch']} users a batch. "
        f"Items that are drawn are {page['num_sampled']:,} a step; mixed negatives are these and those of the batch.",
        f"A learning rate out of {rates} is chosen for each sampler, by half of the validation users, with seed "
        f"{CHOOSING_SEED} and the longest fit; where it is the largest, a larger one may do better still. The figures "
        f"are of the other {page['users']:,} users, means over the seeds from {FIRST_SEED} on. Test is not opened. A "
        "fit is as many whole epochs as its CPU seconds allow by the time of one, at least one, so that budgets are "
        "met roughly: see what each took before you compare. ±: standard deviation over seeds. The difference is from "
        f"{'the full softmax' if reference == REFERENCE else f'the sampler {reference}'} with the same budget, on "
        "the same users, with its 95 % bootstrap interval over them: where the interval holds 0, no difference is "
        "shown.",
    ]
    if page.get("known") is not None:
        parts.append(
            f"Lists in the order of the planted preferences have NDCG@20 {page['known']:.4f}: no model has more in "
            "expectation."
        )
    if len(page["samplers"][0]["points"]) > 1:
        parts.append(f"![NDCG@20 by CPU seconds]({drawn})")
    for place, point in enumerate(page["samplers"][0]["points"]):
        parts += [f"## {point['seconds']:g} CPU seconds", "\n".join(_table(page["samplers"], place))]
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Mapping[str, Any]], place: int) -> list[str]:
    reference = reference_of(rows)["name"]
    lines = [
        f"| sampler | rate | epochs | CPU, s | an epoch, s | NDCG@20 | {NAMES[RECALL]} | "
        f"NDCG@20 less that of {reference} |"
    ]
    lines.append("|---|" + "---|" * 7)
    for row in rows:
        point = row["points"][place]
        ndcg, recall = (f"{fmean(point[name]):.4f}{_spread(point[name])}" for name in (METRIC, RECALL))
        mean, low, high = point["difference"]
        difference = "–" if row["name"] == reference else f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]"
        cost = (f"{row['rate']:g}", f"{point['epochs']}", f"{point['cpu']:.0f}", f"{row['epoch_cpu']:.1f}")
        lines.append(f"| {' | '.join([row['name'], *cost, ndcg, recall, difference])} |")
    return lines


def _spread(values: Sequence[float]) -> str:
    return f" ± {stdev(values):.4f}" if len(values) > 1 else ""


def picture(page: Mapping[str, Any]) -> str:
    """SVG: NDCG@20 of each sampler by CPU seconds."""
    rows = [
        {"sampler": row["name"], "seconds": point["cpu"], METRIC: fmean(point[METRIC])}
        for row in page["samplers"]
        for point in row["points"]
    ]
    names = [row["name"] for row in page["samplers"]]
    named = {"field": "sampler", "type": "nominal", "sort": names, "title": None}
    spec_ = {
        "data": {"values": rows},
        "width": 420,
        "height": 260,
        "background": "white",
        "padding": {"left": 5, "top": 5, "bottom": 5, "right": 40},  # a browser's letters may be wider
        "config": {"font": "sans-serif"},
        "mark": {"type": "line", "point": {"size": 60}},
        "encoding": {
            "x": {"field": "seconds", "type": "quantitative", "title": "CPU seconds of a fit"},
            "y": {"field": METRIC, "type": "quantitative", "title": "NDCG@20", "scale": {"zero": False}},
            "color": {**named, "scale": {"scheme": "tableau10"}},
            "shape": {**named, "legend": None},
        },
    }
    svg: str = vl_convert.vegalite_to_svg(json.dumps(spec_))
    return svg


if __name__ == "__main__":
    main()
