"""How the cost of training grows with the data, and the cost of a step with the catalogue."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bakeoff.core.processes import run_alone
from bakeoff.experiments.growth.child import CatalogueTask, ShareTask
from bakeoff.experiments.growth.exponents import fit_exponent
from bakeoff.experiments.runner import REFERENCES
from bakeoff.experiments.settings import ExperimentSettings
from bakeoff.models.base.specs import contenders

COSTS = {
    "wall": "fit_seconds",
    "cpu": "cpu_seconds",
    "memory": "peak_memory_bytes",
    "epoch": "cpu_seconds_per_epoch",
}
"""Cost → the figure that an exponent is fitted to. CPU time for an epoch: it excludes what does not grow, such as
tracing, and a busy machine distorts it less."""


def growth_models() -> tuple[str, ...]:
    """Models whose growth is measured: reference models and contenders."""
    return (*REFERENCES, *contenders())


def measure_growth(settings: ExperimentSettings, root: Path, epochs: Mapping[str, int]) -> dict[str, Any]:
    """Train models on shares of the users, and time steps on generated catalogues; prints a line for each fit.

    Every fit runs in a process of its own, one at a time, so that CPU time and memory belong to that fit alone.

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
    for model in epochs:
        for share in sorted(set(settings.evidence.growth_shares)):
            tasks: list[Callable[[], Any]] = [ShareTask(root, settings, model, share, epochs[model])]
            if model == "softmax" and share == max(settings.evidence.growth_shares):
                tasks.append(CatalogueTask(settings))  # in the process that has loaded TensorFlow already
            size, *others = run_alone(tasks)
            sizes.append(size)
            catalogues += [row for rows in others for row in rows]
            _print_size(size)
    exponents = {name: _exponents([size for size in sizes if size["model"] == name]) for name in growth_models()}
    return {"sizes": sizes, "exponents": exponents, "catalogues": catalogues}


def _exponents(sizes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Cost → exponent with its interval, null with fewer than three sizes."""
    events = [size["events"] for size in sizes]
    fits = {name: fit_exponent(events, [size[figure] for size in sizes]) for name, figure in COSTS.items()}
    return {name: None if fit is None else asdict(fit) for name, fit in fits.items()}


def _print_size(size: dict[str, Any]) -> None:
    memory = size["peak_memory_bytes"] / 2**20
    print(
        f"{size['model']}: {size['events']:,} events of {size['users']:,} users: {size['epochs']} epochs in "
        f"{size['fit_seconds']:.1f} s, {size['cpu_seconds']:.1f} s of CPU, {memory:,.0f} MiB",
        flush=True,
    )
