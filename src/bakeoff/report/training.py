"""What training did and what it cost."""

from dataclasses import dataclass

import pandas as pd

from bakeoff.report.evidence import Evidence
from bakeoff.report.models import is_order_blind

PHASES = {"selection_seconds": "choosing the epoch", "refit_seconds": "refit"}
REST = "other"
SELECTION_METRIC = "ndcg@10"
"""Validation metric of the learning curves."""


@dataclass(frozen=True)
class TrainingFigure:
    """One model.

    Attributes:
        model: its name.
        dim: dimension of its embeddings.
        num_parameters: number of trained parameters.
        selected_epoch: chosen on validation; None if there was nothing to choose.
        last_epoch: the last one that was tried.
        best_value: validation metric at the chosen epoch; NaN likewise.
        wall_seconds: of the whole training stage; NaN if it was not measured, as for all costs.
        cpu_seconds: summed over cores.
        peak_memory_bytes: largest resident memory.
        seconds_per_epoch: of the passes that chose the epoch.
        ranking_seconds: wall seconds to rank the whole catalogue for all test users and new users.
    """

    model: str
    dim: int
    num_parameters: int
    selected_epoch: int | None
    last_epoch: int
    best_value: float
    wall_seconds: float
    cpu_seconds: float
    peak_memory_bytes: float
    seconds_per_epoch: float
    ranking_seconds: float

    @property
    def stopped_at_limit(self) -> bool:
        """Whether the chosen epoch is the last one: more epochs might have been better."""
        return self.selected_epoch is not None and self.selected_epoch == self.last_epoch


def training_figures(evidence: Evidence, metric: str = SELECTION_METRIC) -> list[TrainingFigure]:
    """One figure per model."""
    figures = []
    for name, model in evidence.models.items():
        curve = {point["epoch"]: point for point in model.training["curve"]}
        epoch = model.training["selected_epoch"]
        cost = model.training_cost
        figures.append(
            TrainingFigure(
                model=name,
                dim=int(model.training["dim"]),
                num_parameters=int(model.training["num_parameters"]),
                selected_epoch=epoch,
                last_epoch=max(curve, default=0),
                best_value=float(curve.get(epoch, {}).get(f"valid_{metric}", float("nan"))),
                wall_seconds=cost.get("wall_seconds", float("nan")),
                cpu_seconds=cost.get("cpu_seconds", float("nan")),
                peak_memory_bytes=cost.get("peak_memory_bytes", float("nan")),
                seconds_per_epoch=cost.get("seconds_per_epoch", float("nan")),
                ranking_seconds=float(model.evaluation_cost.get("ranking_seconds", float("nan"))),
            )
        )
    return figures


def learning_curves(evidence: Evidence) -> pd.DataFrame:
    """Model, epoch, loss, validation figures and whether it was chosen, of the models that have epochs."""
    frames = [
        pd.DataFrame(model.training["curve"]).assign(
            model=name, chosen=lambda frame, model=model: frame.epoch == model.training["selected_epoch"]
        )
        for name, model in evidence.models.items()
        if model.training["curve"]
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["model", "epoch", "chosen"])


def training_phases(evidence: Evidence) -> pd.DataFrame:
    """Wall seconds by model and phase; the rest of the wall time is a phase of its own."""
    rows = []
    for name, model in evidence.models.items():
        cost = model.training_cost
        if "wall_seconds" not in cost:
            continue
        known = {label: float(cost.get(key) or 0.0) for key, label in PHASES.items()}
        rest = max(float(cost["wall_seconds"]) - sum(known.values()), 0.0)
        rows += [(name, label, value) for label, value in {**known, REST: rest}.items()]
    return pd.DataFrame(rows, columns=["model", "phase", "seconds"])


def masked_shares(evidence: Evidence) -> dict[str, float]:
    """Model → share of candidate pairs that the mask removed; models with sampled negatives."""
    notes = {name: model.training.get("notes", {}) for name, model in evidence.models.items()}
    name_of_note = "masked_false_negatives_share"
    return {name: float(note[name_of_note]) for name, note in notes.items() if note.get(name_of_note) is not None}


def order_blind(evidence: Evidence) -> frozenset[str]:
    """Models that see which items a user had, but not their order."""
    return frozenset(
        name for name, model in evidence.models.items() if is_order_blind(name, model.training.get("settings", {}))
    )
