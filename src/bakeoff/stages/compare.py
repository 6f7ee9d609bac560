"""Stage `compare`: read what every model left, write the report for people, reviews and `dvc metrics`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bakeoff.errors import BakeoffError
from bakeoff.params import Params
from bakeoff.report import markdown, page
from bakeoff.report.evidence import Evidence, ModelEvidence
from bakeoff.report.metrics import metrics
from bakeoff.report.models import CONTENDERS, REFERENCE
from bakeoff.report.provenance import read_data_hash
from bakeoff.report.summary import summarize
from bakeoff.stages.files import write_json, write_text
from bakeoff.workspace import MODELS, Workspace


def run(params: Params, workspace: Workspace, models: Sequence[str] = MODELS) -> None:
    """Compare the evaluated models; those that were skipped are named with the reason.

    Raises:
        BakeoffError: an input is missing or can't be read, or the models can't be compared.
    """
    evidence = read_evidence(params, workspace, models)
    summary = summarize(evidence, params)
    write_json(workspace.reports / "metrics.json", metrics(summary, evidence))
    write_text(workspace.reports / "comparison.md", markdown.render(summary, evidence))
    write_text(workspace.reports / "index.html", page.render(summary, evidence))


def read_evidence(params: Params, workspace: Workspace, models: Sequence[str] = MODELS) -> Evidence:
    """Everything that the report rests on, models in the order of `models`.

    Raises:
        BakeoffError: a file is missing or can't be read, or a model was skipped that the verdict needs.
    """
    skipped = _skipped(workspace, models)
    searches = {name: path for name in models if (path := workspace.tuning(name)).exists()}
    split = workspace.split
    parts = [_table(split / f"{part}.parquet").assign(part=part) for part in ("train", "valid", "test")]
    users = _table(workspace.vocabulary / "users.parquet")
    features = [name for name in params.data.user_features if name in users]
    data_dvc = workspace.root / "data.dvc"
    return Evidence(
        models={name: _model(workspace, name) for name in models if name not in skipped},
        events=pd.concat(parts, ignore_index=True),
        new_events=_table(split / "new_users.parquet"),
        users=users[["user_id", *features]],
        items=_table(workspace.vocabulary / "items.parquet"),
        validation=_json(workspace.reports / "validation.json"),
        split=_json(workspace.reports / "split.json"),
        dataset=_json(workspace.data / "dataset.json"),
        data_hash=read_data_hash(data_dvc.read_text(encoding="utf-8")) if data_dvc.exists() else None,
        skipped=skipped,
        tuning={name: _json(path) for name, path in searches.items()},
    )


def _skipped(workspace: Workspace, models: Sequence[str]) -> dict[str, str]:
    """Model → why it could not be trained on this data."""
    notes = {name: _json(workspace.evaluation(name) / "metrics.json").get("skipped") for name in models}
    reasons = {name: str(reason) for name, reason in notes.items() if reason is not None}
    for name in (*CONTENDERS, REFERENCE):
        if name in reasons:
            raise BakeoffError(f"{name} was skipped ({reasons[name]}), and there is no verdict without it.")
    return reasons


def _model(workspace: Workspace, name: str) -> ModelEvidence:
    folder = workspace.evaluation(name)
    return ModelEvidence(
        users=_table(folder / "users.parquet"),
        new_users=_table(folder / "new_users.parquet"),
        lists=_table(folder / "recommendations.parquet"),
        new_lists=_table(folder / "new_user_recommendations.parquet"),
        metrics=_json(folder / "metrics.json"),
        training=_json(workspace.model(name) / "training.json"),
        training_cost=_cost(workspace.cost(f"train_{name}")),
        evaluation_cost=_cost(workspace.cost(f"evaluate_{name}")),
    )


def _table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise _missing(path) from None
    except (OSError, ValueError) as error:
        raise BakeoffError(f"{path} can't be read as Parquet: {error}. Delete it and run `dvc repro`.") from None


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _missing(path) from None
    except ValueError as error:
        raise BakeoffError(f"{path} can't be read as JSON: {error}. Delete it and run `dvc repro`.") from None


def _cost(path: Path) -> dict[str, float]:
    """Measured cost; empty where there is none: a report without it is still a report."""
    return _json(path) if path.exists() else {}


def _missing(path: Path) -> BakeoffError:
    return BakeoffError(
        f"{path} does not exist: an earlier stage has not run. Run `dvc repro`, which runs what is missing."
    )
