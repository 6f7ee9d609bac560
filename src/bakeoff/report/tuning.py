"""How each model's settings were searched: effort, outcome and progress, from committed records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bakeoff.core.errors import BakeoffError
from bakeoff.report import formats
from bakeoff.report.evidence import Evidence
from bakeoff.report.models import CONTENDERS, look, model_noun

FAIR = 0.1
"""Largest relative difference in effort that gets no note."""


@dataclass(frozen=True)
class SettingSearch:
    """The search for one model's settings, on validation.

    Attributes:
        model: its name.
        trials: all that were started.
        pruned: those that were stopped early.
        failed: those that ended with an error.
        wall_seconds: of the whole search.
        seconds: of all trials together, over all processes.
        jobs: processes that shared it.
        dataset: name of the data that it was done on.
        metric: what was maximised.
        best: its highest value; NaN if no trial was completed.
        epoch: of the best trial; None where the model has none.
        params: setting → value in the best trial, as text.
        history: value per trial in their order; NaN where it was not completed.
    """

    model: str
    trials: int
    pruned: int
    failed: int
    wall_seconds: float
    seconds: float
    jobs: int
    dataset: str
    metric: str
    best: float
    epoch: int | None
    params: Mapping[str, str]
    history: Sequence[float]


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
    frames = []
    for search in found:
        best = pd.Series(search.history, dtype="float64").cummax().ffill()
        rows = {
            "model": search.model,
            "trial": best.index + 1,
            "value": best,
            "better": best.gt(best.shift().fillna(-1)),
        }
        frames.append(pd.DataFrame(rows).dropna(subset="value"))
    return (
        pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["model", "trial", "value", "better"])
    )


def warnings(found: Sequence[SettingSearch], models: Sequence[str], dataset: str) -> list[str]:
    """Notes on searches of unequal effort or on other data; empty if there are none."""
    if not found:
        return []
    notes = _unequal(found, models)
    foreign = sorted({search.dataset for search in found} - {dataset})
    if foreign:
        notes.append(
            f"Settings were searched on {formats.listing(foreign)} and not on this data; they may not be the best here."
        )
    return notes


def _unequal(found: Sequence[SettingSearch], models: Sequence[str]) -> list[str]:
    """A note if trials or wall time of the models other than baselines differ by more than FAIR."""
    by_model = {search.model: search for search in found}
    tuned = [name for name in models if name in CONTENDERS or (name in by_model and not look(name).is_baseline)]
    trials = {name: by_model[name].trials if name in by_model else 0 for name in tuned}
    seconds = {name: by_model[name].wall_seconds if name in by_model else 0.0 for name in tuned}
    parts = []
    if _differ(trials):
        parts.append(
            formats.listing([f"{formats.count(n)} trials for {model_noun(name)}" for name, n in trials.items()])
        )
    if _differ(seconds):
        parts.append(formats.listing([f"{formats.seconds(n)} for {model_noun(name)}" for name, n in seconds.items()]))
    if not parts:
        return []
    return [f"The effort was not equal: {'; '.join(parts)}. The model that was searched longer has an advantage."]


def _differ(effort: Mapping[str, float]) -> bool:
    most, least = max(effort.values()), min(effort.values())
    return most - least > FAIR * most


def _search(name: str, record: Mapping[str, Any]) -> SettingSearch:
    try:
        history = sorted(record["history"], key=lambda trial: int(trial["number"]))
        return SettingSearch(
            model=name,
            trials=int(record["trials"]),
            pruned=int(record["pruned"]),
            failed=int(record["failed"]),
            wall_seconds=float(record["wall_seconds"]),
            seconds=sum(float(trial["seconds"]) for trial in history),
            jobs=int(record["jobs"]),
            dataset=str(record["dataset"]),
            metric=str(record["metric"]),
            best=_number(record["best"]["value"]),
            epoch=record["best"]["epoch"],
            params={key: _plain(value) for key, value in record["best"]["params"].items()},
            history=[_number(t["value"]) if t["state"] == "complete" else float("nan") for t in history],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BakeoffError(
            f"The record of the search for {name} can't be read ({type(error).__name__}: {error}). "
            f"Restore tuning/{name}.json, or delete it and run `bakeoff tune {name}`."
        ) from None


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _plain(value: object) -> str:
    """0.0030000000000000001 is written 0.003; other types stay as they are."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
