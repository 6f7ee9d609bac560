"""Stage `growth`: what training costs as the data grows, and what a step costs as the catalogue grows."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from bakeoff.core.cost import measure
from bakeoff.core.errors import BakeoffError
from bakeoff.core.processes import run_alone
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_prepared
from bakeoff.experiments.growth.child import CatalogueTask, ShareTask
from bakeoff.experiments.growth.exponents import fit_exponent
from bakeoff.models.base.model_files import why_skipped
from bakeoff.params import Params

CONTENDERS = ("mf", "softmax")
BASELINES = ("popularity", "ease")
"""Which learn all at once: one epoch."""
MODELS = (*BASELINES, *CONTENDERS)

DEFAULT_EPOCHS = 4
"""Of a model that is not trained yet."""

COSTS = {
    "wall": "fit_seconds",
    "cpu": "cpu_seconds",
    "memory": "peak_memory_bytes",
    "epoch": "cpu_seconds_per_epoch",
}
"""What grows → the figure that an exponent is fitted to. Of an epoch CPU time: it holds nothing that does not grow,
such as tracing, and a busy machine distorts it less."""


def run(params: Params, workspace: Workspace) -> None:
    """Train contenders and baselines on shares of the users, and time steps on made catalogues; write growth.json.

    Every fit is a process of its own, one at a time, so that CPU time and memory are that size's alone. Reads
    artifacts/split and what artifacts/training/<name>.json says about epochs; writes artifacts/cost/growth.json.

    Raises:
        BakeoffError: there is no split, or it has no train event; a file is damaged; a process died.
    """
    with measure(workspace, "growth") as cost:
        if len(load_prepared(workspace).train.items) == 0:
            raise BakeoffError("The train part has no event: lower split.test_share or split.new_user_share.")
        sizes, catalogues = [], []
        epochs = {name: _epochs(workspace, name) for name in MODELS if why_skipped(workspace, name) is None}
        for model in epochs:
            for share in sorted(set(params.evidence.growth_shares)):
                task = ShareTask(workspace.root, params, model, share, epochs[model])
                tasks: list[Callable[[], Any]] = [task]
                if model == "softmax" and share == max(params.evidence.growth_shares):
                    tasks.append(CatalogueTask(params))  # where TensorFlow is there already
                size, *others = run_alone(tasks)
                sizes.append(size)
                catalogues += [row for rows in others for row in rows]
                _print_size(size)
        exponents = {name: _exponents([size for size in sizes if size["model"] == name]) for name in MODELS}
        cost.note(sizes=sizes, exponents=exponents, catalogues=catalogues)
    _print_summary(exponents, catalogues)


def _epochs(workspace: Workspace, model: str) -> int:
    """Those that training chose on validation."""
    if model in BASELINES:
        return 1
    path = workspace.training(model)
    if not path.exists():
        return DEFAULT_EPOCHS
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["selected_epoch"])
    except (ValueError, KeyError, TypeError) as error:
        raise BakeoffError(
            f"{path} does not say which epoch was selected ({type(error).__name__}: {error}): run "
            f"`dvc repro --force train_{model}`."
        ) from None


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


def _print_summary(exponents: dict[str, Any], catalogues: Sequence[dict[str, Any]]) -> None:
    for model, fits in exponents.items():
        said = [
            f"{cost} {fit['exponent']:.2f} ({fit['low']:.2f} to {fit['high']:.2f})" for cost, fit in fits.items() if fit
        ]
        if said:
            print(f"{model} grows with events to the power of: {', '.join(said)}")
    for row in catalogues:
        if "skipped" in row:
            print(f"  {row['skipped']}")
        else:
            full, sampled = row["full_step_seconds"], row["sampled_step_seconds"]
            print(f"  {row['items']:,} items: a full step {1000 * full:.1f} ms, a sampled one {1000 * sampled:.1f} ms")
