"""How the cost of training grows with the data, and the cost of a step with the catalogue."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import psutil
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from bakeoff.core.cost import own_peak_memory_bytes
from bakeoff.core.histories import Queries
from bakeoff.core.processes import run_alone
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import Prepared, load_prepared
from bakeoff.experiments.params import ExperimentSettings
from bakeoff.experiments.subsets import with_users
from bakeoff.experiments.training.runner import REFERENCES, Experiment, Pace, Seconds, run_epochs
from bakeoff.models.base.specs import contenders, spec

SECONDS_PER_FIT = 4.0
"""After which no further epoch of a fit begins; two always run. The others are assumed to cost the same."""

SECONDS_PER_CATALOGUE = 4.0
"""After which no further turn of steps begins."""

USERS_PER_BATCH = 8
"""Of generated catalogues: with 64 queries a full step over 10⁶ items takes a second or two."""

COSTS = {"cpu": "cpu_seconds", "memory": "peak_memory_bytes"}
"""Cost → the figure that an exponent is fitted to."""

FEWEST_SIZES = 3
"""A line through two points fits whatever they are: its slope would have no interval."""


def growth_models() -> tuple[str, ...]:
    """Models whose growth is measured: reference models and contenders."""
    return (*REFERENCES, *contenders())


def measure_growth(settings: ExperimentSettings, root: Path, epochs: Mapping[str, int]) -> dict[str, Any]:
    """Train models on shares of the users, and time steps on generated catalogues; prints a line for each fit.

    A model's fits share a process of their own, the smallest share first: CPU time is the fit's, and the peak of memory
    is that of the largest share so far, which is the fit's own. A second process would only load libraries again.

    Args:
        settings: the settings.
        root: of the workspace with the split.
        epochs: that each model is trained for; models without an entry are left out.

    Returns:
        `sizes`, `exponents` and `catalogues` of growth.json.

    Raises:
        BakeoffError: a file of the split is damaged, or a process died.
    """
    sizes: list[dict[str, Any]] = []
    catalogues: list[dict[str, Any]] = []
    shares = sorted(set(settings.evidence.growth_shares))
    for model in epochs:
        fits = [partial(measure_share, root, settings, model, share, epochs[model]) for share in shares]
        # In the process that has loaded TensorFlow already.
        steps = [partial(measure_catalogues, settings)] if model == "softmax" else []
        found: list[Any] = run_alone([*fits, *steps])
        catalogues += [row for rows in found[len(shares) :] for row in rows]
        sizes += found[: len(shares)]
    exponents = {name: _exponents([size for size in sizes if size["model"] == name]) for name in growth_models()}
    return {"sizes": sizes, "exponents": exponents, "catalogues": catalogues}


def _exponents(sizes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Cost → exponent with its interval, null with fewer than three sizes."""
    events = [size["events"] for size in sizes]
    return {name: fit_exponent(events, [size[figure] for size in sizes]) for name, figure in COSTS.items()}


def fit_exponent(sizes: ArrayLike, costs: ArrayLike) -> dict[str, float] | None:
    """Slope of log cost on log size by least squares, with Student's t interval (95 %) of n − 2 degrees of freedom.

    Args:
        sizes: [n], > 0.
        costs: [n], > 0, such as seconds or bytes.

    Returns:
        `exponent`, the b of cost ∝ size^b, and the ends `low` and `high` of its interval; None with fewer than three
        different sizes, or where a size or a cost is not positive.
    """
    x, y = np.asarray(sizes, np.float64), np.asarray(costs, np.float64)
    if len(np.unique(x)) < FEWEST_SIZES or not (x > 0).all() or not (y > 0).all():
        return None
    (slope, _), covariance = np.polyfit(np.log(x), np.log(y), 1, cov=True)
    half = stdtrit(len(x) - 2, 0.975) * np.sqrt(covariance[0, 0])
    return {"exponent": float(slope), "low": float(slope - half), "high": float(slope + half)}


def measure_share(root: Path, settings: ExperimentSettings, model: str, share: float, epochs: int) -> dict[str, Any]:
    """Train a model on a share of the users; a row of `sizes` in growth.json."""
    whole = load_prepared(Workspace(root))
    users = users_of_share(whole, share, settings.seed)

    def training_on(users: NDArray[np.int64]) -> tuple[Experiment, Queries]:
        prepared = with_users(whole, users)
        experiment = Experiment(spec(model), settings.models[model], prepared, settings.seed)
        return experiment, experiment.queries(prepared.known())

    experiment, queries = training_on(users)
    # Imports and compiled kernels are no part of a fit: those of MF differ for short and long histories.
    ends = np.unique(np.argsort(queries.histories.lengths)[[0, -1]])
    timed_fit(*training_on(users[ends]), 1)
    sizes = {"users": len(users), "items": whole.num_items, "events": len(queries.histories.items)}
    fit, memory = measure_fit(experiment, queries, epochs, SECONDS_PER_FIT), own_peak_memory_bytes()
    print(
        f"{model}: {sizes['events']:,} events of {len(users):,} users: {epochs} epochs in {fit['fit_seconds']:.1f} s, "
        f"{fit['cpu_seconds']:.1f} s of CPU, {memory / 2**20:,.0f} MiB",
        flush=True,
    )
    return {"model": model, "share": share, **sizes, **fit, "peak_memory_bytes": memory}


def users_of_share(prepared: Prepared, share: float, seed: int) -> NDArray[np.int64]:
    """Rows of a seeded share of the users that are trained on, ascending; a larger share contains the smaller ones."""
    users = np.flatnonzero(prepared.train.lengths)
    drawn = np.random.default_rng(seed).permutation(users)[: max(1, round(share * len(users)))]
    return np.sort(drawn)


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

    def in_time(planned: range) -> Iterator[int]:
        return takewhile(lambda epoch: epoch <= 2 or Seconds.now().since(start).wall < seconds, planned)

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
    }


def timed_fit(experiment: Experiment, queries: Queries, epochs: int, pace: Pace = iter) -> list[Seconds]:
    """Train a model and return the cost of each epoch that was run; a model without epochs counts as one."""
    if experiment.spec.has_epochs:
        return run_epochs(experiment.trainer(queries), epochs, pace=pace).training
    start = Seconds.now()
    experiment.fitted(queries)
    return [Seconds.now().since(start)]


def measure_catalogues(settings: ExperimentSettings) -> list[dict[str, Any]]:
    """Time full and sampled steps on generated catalogues; a row of `catalogues` in growth.json for each size."""
    from bakeoff.experiments.step_time import Steps, measure_steps, needed_bytes  # loads TensorFlow

    negatives = settings.softmax.negatives
    drawn = negatives.sampler in ("uniform", "popularity", "log-uniform")
    steps = Steps(
        sampler=negatives.sampler if drawn else "in-batch",
        num_sampled=negatives.num_sampled,
        users_per_batch=USERS_PER_BATCH,
        full=1,
        sampled=10,
        seconds=SECONDS_PER_CATALOGUE,
    )
    rows = []
    for items in settings.evidence.growth_catalogues:
        needed, available = needed_bytes(items, steps), psutil.virtual_memory().available
        row: dict[str, Any] = {"items": items, "queries_per_step": steps.queries_per_step}
        if needed > available:
            free = f"{available / 2**30:.1f} are free"
            reason = f"A catalogue of {items:,} items needs {needed / 2**30:.1f} GiB, and {free}."
            row |= {"full_step_seconds": None, "sampled_step_seconds": None, "repeats": 0, "skipped": reason}
            print(reason, flush=True)
        else:
            row |= measure_steps(items, steps, settings.seed)
        rows.append(row)
    return rows
