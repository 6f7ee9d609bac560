"""What training and the search for settings did, and what they cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

import pandas as pd

from bakeoff.core.errors import reading
from bakeoff.data.params import SplitParams
from bakeoff.experiments.training.validation import SELECTION_METRIC
from bakeoff.report.evidence import Evidence, figure

USUAL_SPLIT: dict[str, Any] = {**SplitParams().model_dump(mode="json"), "event_weights": {}}
"""What a record of a search that was made before a setting of the split was there need not name."""


@dataclass(frozen=True)
class TrainingFigure:
    """One model.

    Attributes:
        model: its name.
        dim: dimension of its embeddings.
        num_parameters: number of trained parameters.
        selected_epoch: chosen on validation, the last one without validation; None if there was nothing to choose.
        last_epoch: the last one that was tried.
        best_value: validation metric at the chosen epoch; NaN where none was chosen by it.
        wall_seconds: of the whole training stage; NaN if it was not measured, as for all costs.
        cpu_seconds: summed over cores.
        peak_memory_bytes: largest resident memory.
        ranking_seconds: wall seconds to rank the whole catalogue for all test users and new users.
        seconds_per_query: the same for one user.
        is_warm: whether it started from an earlier model and tried a share of the epochs alone.
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
    ranking_seconds: float
    seconds_per_query: float
    is_warm: bool = False

    @property
    def is_chosen(self) -> bool:
        """Whether the epoch was chosen on validation."""
        return not isnan(self.best_value)

    @property
    def stopped_at_limit(self) -> bool:
        """Whether the chosen epoch of a full fit is the last one: more epochs might have been better."""
        return not self.is_warm and self.is_chosen and self.selected_epoch == self.last_epoch


def training_figures(evidence: Evidence) -> list[TrainingFigure]:
    """One figure per model."""
    figures = []
    for name, model in evidence.models.items():
        curve = {point["epoch"]: point for point in model.training["curve"]}
        epoch = model.training["selected_epoch"]
        costs = ("wall_seconds", "peak_memory_bytes")
        ranking, queries = (figure(model.evaluation_cost, key) for key in ("ranking_seconds", "ranked_queries"))
        figures.append(
            TrainingFigure(
                model=name,
                dim=int(model.training["dim"]),
                num_parameters=int(model.training["num_parameters"]),
                selected_epoch=epoch,
                last_epoch=max(curve, default=epoch or 0),
                best_value=figure(curve.get(epoch), f"valid_{SELECTION_METRIC}"),
                **{cost: figure(model.training_cost, cost) for cost in costs},
                cpu_seconds=training_cpu_seconds(model.training_cost),
                ranking_seconds=ranking,
                seconds_per_query=ranking / queries if queries else float("nan"),
                is_warm=model.training.get("warm_start", {}).get("fit") == "warm",
            )
        )
    return figures


def training_cpu_seconds(cost: Mapping[str, Any] | None) -> float:
    """CPU seconds in a cost file; NaN without any, and for several workers, whose CPU time the stage can't measure."""
    return float("nan") if cost and "workers" in cost else figure(cost, "cpu_seconds")


@dataclass(frozen=True)
class SettingSearch:
    """The search for one model's settings, on validation.

    Attributes:
        model: its name.
        trials: all that were started.
        pruned: those that were stopped early.
        failed: those that ended with an error.
        wall_seconds: of the whole search; NaN if they are not recorded.
        dataset: name of the data that it was done on.
        data: hash of that data, as in data.dvc; None if it is not recorded.
        split: settings and seed of the split that it was done on; empty if they are not recorded.
        metric: what was maximised.
        best: value of the best trial, or its mean over further seeds; NaN if no trial was completed.
        seeds: number of these further seeds.
        epoch: of the best trial; None where the model has none.
        params: setting → value in the best trial.
        history: value per trial in their order; NaN where it was not completed.
    """

    model: str
    trials: int
    pruned: int
    failed: int
    wall_seconds: float
    dataset: str
    data: str | None
    split: Mapping[str, Any]
    metric: str
    best: float
    seeds: int
    epoch: int | None
    params: Mapping[str, Any]
    history: Sequence[float]

    @property
    def highest(self) -> float:
        """The highest value of a trial; NaN if none was completed."""
        return max((value for value in self.history if not isnan(value)), default=nan)


def searches(evidence: Evidence) -> list[SettingSearch]:
    """One per model with a record, in the order of the report.

    Raises:
        BakeoffError: a record lacks what the report shows.
    """
    return [_search(name, evidence.tuning[name]) for name in evidence.models if name in evidence.tuning]


def progress(found: Sequence[SettingSearch]) -> pd.DataFrame:
    """Model, trial (from 1), value (the best so far), and whether the trial was better than all before.

    Trials before the first completed one are left out.
    """
    rows = [(search.model, *each) for search in found for each in enumerate(search.history, start=1)]
    table = pd.DataFrame(rows, columns=["model", "trial", "value"]).astype({"value": "float64"})
    table["value"] = table.groupby("model").value.transform(lambda values: values.cummax().ffill())
    before = table.groupby("model").value.shift().fillna(-1)
    return table.assign(better=table.value > before).dropna(subset="value").reset_index(drop=True)


def _search(name: str, record: Mapping[str, Any]) -> SettingSearch:
    remedy = f"restore tuning/{name}.json, or delete it and run `bakeoff tune {name}`"
    with reading(f"The record of the search for {name}", remedy, KeyError, TypeError, ValueError, AttributeError):
        history = sorted(record["history"], key=lambda trial: int(trial["number"]))
        return SettingSearch(
            model=name,
            **{key: int(record[key]) for key in ("trials", "pruned", "failed")},
            wall_seconds=figure(record, "wall_seconds"),
            dataset=str(record["dataset"]),
            data=record.get("data"),
            split=USUAL_SPLIT | record["split"] | {"seed": record["seed"]} if "split" in record else {},
            metric=str(record["metric"]),
            best=figure(record["best"], "value"),
            seeds=int(record["best"].get("seeds", 0)),
            epoch=record["best"]["epoch"],
            params=dict(record["best"]["params"]),
            history=[figure(trial, "value") if trial["state"] == "complete" else nan for trial in history],
        )
