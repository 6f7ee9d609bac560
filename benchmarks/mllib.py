"""MF by this project's ALS and by Spark MLlib's: the same data, settings and number of iterations; quality and time.

    python benchmarks/mllib.py --write benchmarks/results/mllib.json

Fitted on train, judged on validation, which chooses nothing here. Needs Spark (`make spark`) and Java.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from curve import Judge
from harness.datasets import BENCHMARKS, ROOT, make_split
from harness.pages import Page, show
from harness.score import with_intervals
from numpy.typing import NDArray

from bakeoff.data.engine.settings import engine_settings, spark_session
from bakeoff.data.prepared.tables import Prepared, load_prepared
from bakeoff.experiments.params import with_values
from bakeoff.experiments.training.runner import warm_users
from bakeoff.models.mf.als import ImplicitALS
from bakeoff.models.mf.mllib import MLlibALS
from bakeoff.params import Params

SHIPPED: Mapping[str, Any] = {}
MLLIBS_OWN = {"unobserved_weight": 0.02, "regularization": 0.01, "regularization_exponent": 1.0}
"""Each row regularised by a multiple of its number of events, as in MLlib: both minimise the same."""
SETTINGS = [
    {**weights, "recency_scale": recency_scale}
    for weights in (SHIPPED, MLLIBS_OWN, {**MLLIBS_OWN, "max_epochs": 40})
    for recency_scale in (6.0, None)
]
METRIC = "ndcg@10"
NAMES = ("unobserved_weight", "regularization", "regularization_exponent", "max_epochs", "recency_scale")
"""Settings that the table shows."""


def main() -> None:
    """Print the page; with --write, keep its figures and the page."""
    arguments = _arguments()
    benchmark = BENCHMARKS[arguments.dataset]
    split = make_split(benchmark, arguments.data, arguments.scratch / benchmark.name)
    prepared = load_prepared(split.workspace)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        engine = engine_settings().model_copy(update={"spark_master": arguments.master})
        with spark_session(engine, Path(folder), "mf.solver", "auto") as session:
            session.sparkContext.setCheckpointDir(Path(folder).as_uri())
            mllib = partial(MLlibALS, session=session, scratch=Path(folder))
            for setting in SETTINGS:
                rows.append(_compared(split.params, setting, prepared, mllib))
                print(rows[-1], file=sys.stderr, flush=True)
    page = {"title": benchmark.title, "dataset": arguments.dataset, "master": arguments.master, "rows": rows}
    show(page, markdown, arguments.write)


def _compared(params: Params, setting: Mapping[str, Any], prepared: Prepared, mllib: Any) -> dict[str, Any]:
    """One setting, ours and MLlib's."""
    changed = with_values(params.mf, setting, "the benchmark's settings", "mf")
    params = params.model_copy(update={"mf": changed})
    judge = Judge(prepared, [METRIC], users=0)
    ours, seconds = _fitted(params, prepared, judge)
    theirs, their_seconds = _fitted(params, prepared, judge, mllib)
    found = with_intervals({"ours": ours, "theirs": theirs, "difference": theirs - ours}, params.seed, 10_000)
    return {
        "setting": {name: getattr(params.mf, name) for name in NAMES},
        "figures": {name: list(ends) for name, ends in found.items()},
        "seconds": {"ours": seconds, "theirs": their_seconds},
    }


def _fitted(
    params: Params, prepared: Prepared, judge: Judge, factorise: Any = None
) -> tuple[NDArray[np.float64], float]:
    """The metric of each validation user, and the seconds of the fit."""
    known = prepared.queries(prepared.train, warm_users(prepared)).histories
    begun = time.perf_counter()
    trainer = (factorise or ImplicitALS)(known, prepared.num_items, params.mf, params.seed)
    for _ in range(1 if factorise else params.mf.max_epochs):  # MLlib's iterations count as one epoch
        trainer.run_epoch()
    retriever, seconds = trainer.retriever(), time.perf_counter() - begun
    return judge.per_user(retriever)[METRIC], seconds


def _row(row: Mapping[str, Any]) -> str:
    figures, seconds = row["figures"], row["seconds"]
    cells = ["none" if value is None else f"{value:g}" for value in row["setting"].values()]
    cells += [f"{figures[name][0]:.4f}" for name in ("ours", "theirs")]
    mean, low, high = figures["difference"]
    cells += [f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]", f"{seconds['ours']:.1f}", f"{seconds['theirs']:.0f}"]
    return f"| {' | '.join(cells)} |"


def markdown(page: Page) -> str:
    """The page of these figures."""
    dataset = page["dataset"]
    given = "" if dataset == "ml-100k" else f" --dataset {dataset} --data DIR"
    head = [f"`{name}`" for name in NAMES]
    head += [f"{METRIC}, ours", f"{METRIC}, MLlib", "MLlib less ours", "fit, s, ours", "fit, s, MLlib"]
    paragraphs = [
        "# Matrix factorisation by our ALS and by Spark MLlib's",
        f"Made by `python benchmarks/mllib.py{given}`.",
        f"{page['title']}, fitted on train with the other settings as shipped and all iterations, judged on "
        f"validation, which chooses nothing here. Spark as `{page['master']}`. Brackets: 95 % bootstrap intervals over "
        "users, of the difference on the same users. MLlib regularises a row by a multiple of its number of events: "
        "with `regularization_exponent` 1 both minimise the same, else the nearest multiple is taken. The two start "
        "from other random embeddings: what few iterations leave of that is in the difference.",
        f"| {' | '.join(head)} |\n|{'---|' * len(head)}\n" + "\n".join(map(_row, page["rows"])),
    ]
    return "\n\n".join(paragraphs) + "\n"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=list(BENCHMARKS), default="ml-100k")
    parser.add_argument("--data", type=Path, help="folder of raw data sets; ml-100k is fetched")
    parser.add_argument("--master", default="local[2]", help="of Spark (default: local[2])")
    parser.add_argument("--scratch", type=Path, default=ROOT / "artifacts/bench", help="where splits are made")
    parser.add_argument("--write", type=Path, help="file for the figures, such as benchmarks/results/mllib.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
