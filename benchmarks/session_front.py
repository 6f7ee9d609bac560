"""Within the session and long after it: what a softmax DNN gains on one side and loses on the other.

Sweeps `softmax.long_term_share`, the share of a target that lies on any later item and not on the next ones, and
shows NDCG@10 on validation over all events, and over those that come more than an hour after the last one that the
query knows. EASE, with and without recency, stands beside it. Test is not opened.

    python benchmarks/session_front.py ml-1m --data DIR
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from harness.datasets import BENCHMARKS, ROOT, Split, make_split
from rich.console import Console

from bakeoff.evaluation.measures import accuracy_per_user
from bakeoff.evaluation.ranking import rank
from bakeoff.models import ease
from bakeoff.models.encoder import Encoder, EncoderRetriever
from bakeoff.models.training import refit, seed_everything, silent
from bakeoff.params import Params
from bakeoff.preparation.histories import Histories
from bakeoff.stages import train_softmax
from bakeoff.stages.files import write_text
from bakeoff.stages.prepared import load_prepared
from bakeoff.stages.training import warm_users

HOUR = 3600
SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
console = Console(stderr=True, highlight=False)


def main() -> None:
    """Print the curve; with --write, into a file."""
    arguments = _arguments()
    benchmark = BENCHMARKS[arguments.benchmark]
    split = make_split(benchmark, arguments.data, arguments.scratch / benchmark.name)
    judge = Judge(split)
    lines = [
        f"# Within the session and long after it: {benchmark.title}\n",
        f"Made by `python benchmarks/session_front.py {benchmark.name} --data DIR`; validation, NDCG@10, "
        f"{judge.num_all:,} users, {judge.num_late:,} with events more than an hour after the last one known.\n",
        "| model | all events | more than an hour later |",
        "|---|---|---|",
    ]
    for name, encoder in _models(split):
        everything, late = judge.scores(encoder)
        lines.append(f"| {name} | {everything:.4f} | {late:.4f} |")
        console.print(lines[-1], markup=False)
    page = "\n".join(lines) + "\n"
    print(page)
    if arguments.write:
        write_text(arguments.write, page)


class Judge:
    """NDCG@10 on validation, over all events and over late ones."""

    def __init__(self, split: Split) -> None:
        """Find out which events are late."""
        self.prepared = load_prepared(split.workspace)
        train, valid = self.prepared.train, self.prepared.valid
        self._users = np.flatnonzero(valid.lengths)
        self._truth = valid.take(self._users)
        last = train.timestamps[train.offsets[self._users + 1] - 1]
        is_late = self._truth.timestamps > np.repeat(last, self._truth.lengths) + HOUR
        rows, items, times = (x[is_late] for x in (self._truth.rows, self._truth.items, self._truth.timestamps))
        self._late = Histories.from_rows(rows, items, times, len(self._users))
        self.num_all, self.num_late = len(self._users), int((self._late.lengths > 0).sum())

    def scores(self, encoder: Encoder) -> tuple[float, float]:
        """Mean over the users that have such events, of all and of late ones."""
        queries = self.prepared.queries(self.prepared.train, self._users)
        found = []
        for truth in (self._truth, self._late):
            lists = rank(EncoderRetriever(encoder), queries, queries.histories, truth, 10, 1024)
            per_user = np.asarray(accuracy_per_user(lists, truth, (10,))["ndcg@10"])
            found.append(float(per_user[truth.lengths > 0].mean()))
        return found[0], found[1]


def _models(split: Split) -> Iterator[tuple[str, Encoder]]:
    prepared, params = load_prepared(split.workspace), split.params
    for scale in (None, params.ease.recency_scale):
        settings = params.ease.model_copy(update={"recency_scale": scale})
        name = "EASE" if scale is None else f"EASE, recency scale {scale:g}"
        yield name, ease.fit(prepared.train, prepared.num_items, settings)
    queries = prepared.queries(prepared.train, warm_users(prepared))
    for share in SHARES:
        changed = _with(params, long_term_share=share)
        seed_everything(params.seed)
        trainer = train_softmax.build(prepared, queries, changed)
        refit(trainer, changed.softmax.max_epochs, silent)
        yield f"softmax DNN, long-term share {share:g}", trainer.encoder()


def _with(params: Params, **values: Any) -> Params:
    return params.model_copy(update={"softmax": params.softmax.model_copy(update=values)})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark", choices=[name for name in BENCHMARKS if name in ("ml-100k", "ml-1m")])
    raw = os.environ.get("BAKEOFF_BENCH_DATA")
    parser.add_argument("--data", type=Path, default=raw and Path(raw), help="folder of raw data, as for make bench")
    parser.add_argument("--scratch", type=Path, default=ROOT / "artifacts/bench", help="where the split is made")
    parser.add_argument("--write", type=Path, help="file for the page")
    return parser.parse_args()


if __name__ == "__main__":
    main()
