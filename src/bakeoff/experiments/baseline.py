"""What the training stages of models without epochs share: fit once on all that is known, export, describe."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bakeoff.core.cost import measure
from bakeoff.core.histories import Histories
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import Prepared, load_prepared
from bakeoff.experiments.skipped import skip_training
from bakeoff.experiments.training import warm_users, write_model
from bakeoff.models.base.encoder import Encoder


@dataclass(frozen=True)
class Baseline:
    """A fitted model.

    Attributes:
        encoder: what is exported.
        num_parameters: its weights.
        num_train_events: events that it rests on.
        settings: parameters that were in force, as JSON values.
        notes: figures about the fit that a report may show.
    """

    encoder: Encoder
    num_parameters: int
    num_train_events: int
    settings: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, float] = field(default_factory=dict)


def train_baseline(
    workspace: Workspace,
    name: str,
    fit: Callable[[Histories, int], Baseline],
    why_not: Callable[[Prepared], str | None] = lambda prepared: None,
) -> Baseline | None:
    """Fit on train and validation together, export, and note the cost; there is no epoch to choose.

    Args:
        workspace: where the split is read and models/<name> is written.
        name: of the model.
        fit: given the known events of the warm users and the number of items, the fitted model.
        why_not: given the split, a sentence that says why the model can't be trained on it, or None.

    Returns:
        What was fitted; None if the model was skipped.

    Raises:
        BakeoffError: there is no split, or it has no train event.
    """
    with measure(workspace, f"train_{name}") as cost:
        prepared = load_prepared(workspace)
        known = prepared.known().take(warm_users(prepared))
        cost.note(selection_seconds=0.0, refit_seconds=0.0, seconds_per_epoch=0.0)
        reason = why_not(prepared)
        if reason is not None:
            skip_training(workspace, name, reason)
            return None
        start = time.perf_counter()
        baseline = fit(known, prepared.num_items)
        cost.note(refit_seconds=time.perf_counter() - start)
        description: dict[str, Any] = {
            "model": name,
            "dim": int(baseline.encoder.item_embeddings.shape[1]),
            "selected_epoch": None,
            "selection_metric": None,
            "num_parameters": baseline.num_parameters,
            "num_train_events": baseline.num_train_events,
            "fallback": getattr(baseline.encoder, "FALLBACK", None),
            "curve": [],
            "refit_curve": [],
            "settings": baseline.settings,
            "notes": baseline.notes,
        }
        write_model(workspace, name, baseline.encoder, prepared, description)
    return baseline
