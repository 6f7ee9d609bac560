"""What stage `growth` measures in processes of their own."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.cost import own_peak_memory_bytes
from bakeoff.core.histories import Histories, Queries
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import Prepared, load_prepared
from bakeoff.evaluation.stats.timing_intervals import as_json
from bakeoff.params import Params

SECONDS_PER_FIT = 4.0
"""After which no further epoch of a fit begins; two always run. The rest of the epochs cost what those did."""

FITS_AT_ONCE = 3
"""Times that a model is fitted which is learned at once, if that is short; of a single second little can be told."""

SECONDS_PER_CATALOGUE = 4.0
"""After which no further turn of steps begins."""

USERS_PER_BATCH = 8
"""Of made catalogues: with 64 queries a full step over 10⁶ items takes a second or two."""


class Fit(Protocol):
    """A model in training."""

    def run_epoch(self) -> float:
        """Train one epoch."""


@dataclass(frozen=True)
class ShareTask:
    """Train a model on a share of the users, for so many epochs."""

    root: Path
    params: Params
    model: str
    share: float
    epochs: int

    def __call__(self) -> dict[str, Any]:
        """Figures of `sizes` in growth.json, and `cpu_seconds_per_epoch`."""
        prepared = load_prepared(Workspace(self.root))
        users = users_of_share(prepared, self.share, self.params.seed)
        queries = prepared.queries(prepared.known(), users)
        build = BUILDS[self.model](prepared, queries, self.params)
        return {
            "model": self.model,
            "share": self.share,
            "users": len(users),
            "items": prepared.num_items,
            "events": len(queries.histories.items),
            **shortest_fit(build, self.epochs, SECONDS_PER_FIT),
            "peak_memory_bytes": own_peak_memory_bytes(),
        }


@dataclass(frozen=True)
class CatalogueTask:
    """Time full and sampled steps on made catalogues."""

    params: Params

    def __call__(self) -> list[dict[str, Any]]:
        """A row of `catalogues` in growth.json for each size."""
        from bakeoff.experiments.growth.steps import Steps

        negatives = self.params.softmax.negatives
        drawn = negatives.sampler in ("uniform", "popularity", "log-uniform")
        steps = Steps(
            sampler=negatives.sampler if drawn else "in-batch",
            num_sampled=negatives.num_sampled,
            users_per_batch=USERS_PER_BATCH,
            full=1,
            sampled=10,
            seconds=SECONDS_PER_CATALOGUE,
        )
        return [_catalogue(items, steps, self.params.seed) for items in self.params.evidence.growth_catalogues]


def users_of_share(prepared: Prepared, share: float, seed: int) -> NDArray[np.int64]:
    """Rows of a seeded share of the users that are trained on, ascending; a larger share holds the smaller ones."""
    users = np.flatnonzero(prepared.train.lengths)
    drawn = np.random.default_rng(seed).permutation(users)[: max(1, round(share * len(users)))]
    return np.sort(drawn)


def shortest_fit(build: Callable[[], Fit], epochs: int, seconds: float) -> dict[str, float]:
    """As measure_fit; of a model that is learned at once the shortest of a few, since what else is done only adds."""
    found = [measure_fit(build, epochs, seconds)]
    while epochs == 1 and len(found) < FITS_AT_ONCE and sum(each["fit_seconds"] for each in found) < seconds:
        found.append(measure_fit(build, epochs, seconds))
    return min(found, key=lambda each: each["fit_seconds"])


def measure_fit(build: Callable[[], Fit], epochs: int, seconds: float) -> dict[str, float]:
    """What it costs to build a model and train it for so many epochs.

    Of two epochs and more the first, in which code is traced, does not count as an epoch's cost, but as the fit's.

    Args:
        build: makes the model.
        epochs: of the fit, at least 1. Those that begin too late are not run: they cost as much as the others.
        seconds: after which no further epoch begins; two always run.
    """
    start = _now()
    model = build()
    passed = _since(start)
    run: list[tuple[float, float]] = []
    while len(run) < epochs and (len(run) < 2 or passed[0] < seconds):
        begun = _now()
        model.run_epoch()
        run.append(_since(begun))
        passed = _since(start)
    steady = run[1:] or run
    wall, cpu = median(epoch[0] for epoch in steady), fmean(epoch[1] for epoch in steady)
    left = epochs - len(run)
    return {
        "epochs": epochs,
        "epochs_run": len(run),
        "fit_seconds": passed[0] + left * wall,
        "seconds_per_epoch": wall,
        "cpu_seconds": passed[1] + left * cpu,
        "cpu_seconds_per_epoch": cpu,
    }


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(start: tuple[float, float]) -> tuple[float, float]:
    """Wall and CPU seconds, the latter of all threads."""
    wall, cpu = _now()
    return wall - start[0], cpu - start[1]


def _build_mf(prepared: Prepared, queries: Queries, params: Params) -> Callable[[], Fit]:
    """ALS alone: the trainer that exports it would bring TensorFlow, which it does not train with."""
    from bakeoff.models.mf.als import ImplicitALS

    histories, mf = queries.histories, params.mf
    for solver in ("cholesky", "cg"):  # loads the compiled kernels, which is not part of a fit
        tiny = mf.model_copy(update={"dim": 2, "solver": solver})
        ImplicitALS(histories.take(np.arange(1)), prepared.num_items, tiny, params.seed).run_epoch()
    return lambda: ImplicitALS(histories, prepared.num_items, mf, params.seed)


def _build_softmax(prepared: Prepared, queries: Queries, params: Params) -> Callable[[], Fit]:
    from bakeoff.models.neural.trainer import build

    return lambda: build(prepared, queries, params.softmax, params.seed)


@dataclass(frozen=True)
class _AtOnce:
    """A model without epochs."""

    learn: Callable[[], object]

    def run_epoch(self) -> float:
        """All of it."""
        self.learn()
        return 0.0


def _build_popularity(prepared: Prepared, queries: Queries, _: Params) -> Callable[[], Fit]:
    return lambda: _AtOnce(lambda: queries.histories.item_counts(prepared.num_items))


def _build_ease(prepared: Prepared, queries: Queries, params: Params) -> Callable[[], Fit]:
    from bakeoff.models.ease import ease

    one = Histories.from_rows(np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1, np.int64), 1)
    ease.fit(one, 2, params.ease)  # loads what is not part of a fit
    return lambda: _AtOnce(lambda: ease.fit(queries.histories, prepared.num_items, params.ease))


BUILDS = {"popularity": _build_popularity, "ease": _build_ease, "mf": _build_mf, "softmax": _build_softmax}


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
