"""Cost of training on growing data, measured in processes of their own."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.core.cost import own_peak_memory_bytes
from bakeoff.core.histories import Histories, Queries
from bakeoff.core.workspace import Workspace
from bakeoff.data.features.encoding import FeatureEncoding
from bakeoff.data.prepared.tables import Prepared, load_prepared
from bakeoff.evaluation.stats.timing_intervals import as_json
from bakeoff.experiments.runner import Experiment, Seconds, run_epochs
from bakeoff.experiments.settings import ExperimentSettings
from bakeoff.models.base.specs import spec

SECONDS_PER_FIT = 4.0
"""After which no further epoch of a fit begins; two always run. The others are assumed to cost the same."""

MAX_FITS = 3
"""Times that a model without epochs is fitted if that is short: a single second is too noisy."""

SECONDS_PER_CATALOGUE = 4.0
"""After which no further turn of steps begins."""

USERS_PER_BATCH = 8
"""Of generated catalogues: with 64 queries a full step over 10⁶ items takes a second or two."""


@dataclass(frozen=True)
class ShareTask:
    """Train a model on a share of the users, for this number of epochs."""

    root: Path
    settings: ExperimentSettings
    model: str
    share: float
    epochs: int

    def __call__(self) -> dict[str, Any]:
        """Figures of `sizes` in growth.json, and `cpu_seconds_per_epoch`."""
        prepared = load_prepared(Workspace(self.root))
        users = users_of_share(prepared, self.share, self.settings.seed)
        queries = prepared.queries(prepared.known(), users)
        experiment = Experiment(spec(self.model), self.settings.models[self.model], prepared, self.settings.seed)
        warm_up(experiment)
        return {
            "model": self.model,
            "share": self.share,
            "users": len(users),
            "items": prepared.num_items,
            "events": len(queries.histories.items),
            **shortest_fit(experiment, queries, self.epochs, SECONDS_PER_FIT),
            "peak_memory_bytes": own_peak_memory_bytes(),
        }


@dataclass(frozen=True)
class CatalogueTask:
    """Time full and sampled steps on generated catalogues."""

    settings: ExperimentSettings

    def __call__(self) -> list[dict[str, Any]]:
        """A row of `catalogues` in growth.json for each size."""
        from bakeoff.experiments.growth.steps import Steps

        negatives = self.settings.softmax.negatives
        drawn = negatives.sampler in ("uniform", "popularity", "log-uniform")
        steps = Steps(
            sampler=negatives.sampler if drawn else "in-batch",
            num_sampled=negatives.num_sampled,
            users_per_batch=USERS_PER_BATCH,
            full=1,
            sampled=10,
            seconds=SECONDS_PER_CATALOGUE,
        )
        return [_catalogue(items, steps, self.settings.seed) for items in self.settings.evidence.growth_catalogues]


def users_of_share(prepared: Prepared, share: float, seed: int) -> NDArray[np.int64]:
    """Rows of a seeded share of the users that are trained on, ascending; a larger share contains the smaller ones."""
    users = np.flatnonzero(prepared.train.lengths)
    drawn = np.random.default_rng(seed).permutation(users)[: max(1, round(share * len(users)))]
    return np.sort(drawn)


def warm_up(experiment: Experiment) -> None:
    """Train the model on a tiny split, so that imports and compiled kernels do not count as part of a fit.

    One history is longer than `models.mf.als.EXACT_SIZE` and one is shorter, so that both of MF's solvers are loaded.
    """
    lengths = np.array([1, 32])
    ids = [str(number) for number in range(int(lengths.max()))]
    users, items = pd.DataFrame({"user_id": ids[:2], "is_new": False}), pd.DataFrame({"item_id": ids, "title": ids})
    rows, events = np.repeat([0, 1], lengths), np.concatenate([np.arange(length) for length in lengths])
    train = Histories.from_rows(rows, events, np.arange(len(events)) + 1, 2)
    tiny = Experiment(
        experiment.spec,
        experiment.settings,
        Prepared.encoded(users, items, FeatureEncoding(), train, train.first(0)),
        experiment.seed,
    )
    timed_fit(tiny, tiny.queries(train), 1, lambda epochs, title: epochs)


def shortest_fit(experiment: Experiment, queries: Queries, epochs: int, seconds: float) -> dict[str, float]:
    """As measure_fit; of a model without epochs the shortest of a few fits, since other load only adds time."""
    found = [measure_fit(experiment, queries, epochs, seconds)]
    while epochs == 1 and len(found) < MAX_FITS and sum(each["fit_seconds"] for each in found) < seconds:
        found.append(measure_fit(experiment, queries, epochs, seconds))
    return min(found, key=lambda each: each["fit_seconds"])


def measure_fit(experiment: Experiment, queries: Queries, epochs: int, seconds: float) -> dict[str, float]:
    """Cost of building a model and training it for this number of epochs.

    Of several epochs the first, in which code is traced, counts for the fit and not for the cost of an epoch.

    Args:
        experiment: the model and its settings.
        queries: with the histories to train on.
        epochs: of the fit, at least 1. Those that would begin too late are not run: they cost as much as the others.
        seconds: after which no further epoch begins; two always run.
    """
    start = Seconds.now()

    def in_time(planned: range, title: str) -> Iterator[int]:
        for epoch in planned:
            if epoch > 2 and Seconds.now().since(start).wall >= seconds:
                return
            yield epoch

    costs = timed_fit(experiment, queries, epochs, in_time)
    whole = Seconds.now().since(start)
    steady = costs[1:] or costs
    wall, cpu = median(each.wall for each in steady), fmean(each.cpu for each in steady)
    left = epochs - len(costs)
    return {
        "epochs": epochs,
        "epochs_run": len(costs),
        "fit_seconds": whole.wall + left * wall,
        "seconds_per_epoch": wall,
        "cpu_seconds": whole.cpu + left * cpu,
        "cpu_seconds_per_epoch": cpu,
    }


def timed_fit(
    experiment: Experiment, queries: Queries, epochs: int, pace: Callable[[range, str], Iterable[int]]
) -> list[Seconds]:
    """Train a model and return the cost of each epoch that was run; a model without epochs counts as one."""
    if experiment.spec.has_epochs:
        return run_epochs(experiment.trainer(queries), epochs, pace=pace).training
    start = Seconds.now()
    experiment.fitted(queries)
    return [Seconds.now().since(start)]


def _catalogue(items: int, steps: Any, seed: int) -> dict[str, Any]:
    from bakeoff.experiments.growth.steps import measure_steps, needed_bytes

    needed, available = needed_bytes(items, steps), available_bytes()
    row = {"items": items, "queries_per_step": steps.queries_per_step}
    if available is not None and needed > available:
        reason = f"A catalogue of {items:,} items needs {needed / 2**30:.1f} GiB, and {available / 2**30:.1f} are free."
        return {**row, "full_step_seconds": None, "sampled_step_seconds": None, "repeats": 0, "skipped": reason}
    times = measure_steps(items, steps, seed)
    return {
        **row,
        **as_json("full_step_seconds", times.full),
        **as_json("sampled_step_seconds", times.sampled),
        "repeats": times.repeats,
    }


def available_bytes() -> int | None:
    """Memory that is free for new work; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return found[0] if found else None
