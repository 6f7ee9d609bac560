"""Collects what the report rests on from the files of the earlier stages."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from bakeoff.core.errors import BakeoffError, reading
from bakeoff.core.workspace import Workspace
from bakeoff.data.fetch.versioning import read_data_hash
from bakeoff.models.base import specs
from bakeoff.report import input_files
from bakeoff.report.evidence import Evidence, ModelEvidence, NotMeasured, VariantGroup
from bakeoff.report.examples import LIST_LENGTH
from bakeoff.report.input_files import STEP, UserSample, read_coded, read_json, read_optional_json, read_table
from bakeoff.report.models import CONTENDERS, REFERENCE
from bakeoff.report.params import ReportParams

GROUPS = ("features", "new-items", "folding", "depth")
"""Groups of variants that the report reads."""
IDS = ("user_id", "item_id")
PARTS = ("train", "valid", "test")


def read_evidence(params: ReportParams, workspace: Workspace, models: Sequence[str] | None = None) -> Evidence:
    """What the comparison rests on, models in the order of `models`; every model there is if None.

    If there are more than `compare.max_users` warm or new users, a seeded sample of them is read; the metrics of all
    users stay on disk, so that memory does not grow with them.

    Raises:
        BakeoffError: a file is missing or can't be read, a model was skipped that the verdict needs, or the models were
            evaluated on different users.
    """
    models = specs.names() if models is None else models
    skipped = _skipped(workspace, models)
    shown = [name for name in models if name not in skipped]
    sample = input_files.read_sample(workspace.evaluation(shown[0]), params.compare.max_users, params.seed)
    users = read_table(workspace.vocabulary / "users.parquet", sample.either)
    features = [name for name, kind in params.data.user_features.items() if name in users and kind != "vector"]
    data_dvc = workspace.root / "data.dvc"
    # Ranks that are read: those of the primary metric, of recall by item, and of the examples.
    longest = max(int(params.compare.primary_metric.partition("@")[2]), *params.evaluate.cutoffs[:2], LIST_LENGTH)
    found = {name: _model(workspace, name, longest, sample) for name in shown}
    warm, new = (
        {name: workspace.evaluation(name) / f"{of}.parquet" for name in shown} for of in ("users", "new_users")
    )
    input_files.check_same_users(warm, ["user_id"])
    input_files.check_same_users(new, ["user_id", STEP])
    return Evidence(
        models=found,
        events=_events(workspace.split, sample.warm),
        new_events=read_table(workspace.split / "new_users.parquet", sample.new),
        users=users[["user_id", *features]],
        items=read_table(workspace.vocabulary / "items.parquet"),
        validation=read_json(workspace.validation_report),
        split=read_json(workspace.split_report),
        dataset=read_json(workspace.data / "dataset.json"),
        data_hash=read_data_hash(data_dvc.read_text(encoding="utf-8")) if data_dvc.exists() else None,
        skipped=skipped,
        tuning={name: read_json(path) for name in models if (path := workspace.tuning(name)).exists()},
        everyone=None if sample.warm is None else input_files.per_user_on_disk(warm),
    )


def with_measured(evidence: Evidence, workspace: Workspace) -> Evidence:
    """The evidence with what was measured for the claims and with the items as each model places them.

    Raises:
        BakeoffError: a file is missing or can't be read.
    """
    models = {
        name: replace(
            model,
            neighbours=read_coded(folder / "neighbours.parquet", ("item_id", "neighbour_id")).to_pandas(),
            positions=read_table(folder / "map.parquet"),
        )
        for name, model in evidence.models.items()
        for folder in [workspace.items(name)]
    }
    measured = {
        **{name: _variants(workspace, name) for name in GROUPS},
        "planted": _group(workspace.planted / "planted.json", "items"),
        "growth": _cost(workspace.cost("growth"), "Growth"),
        "serving": _cost(workspace.cost("serving"), "Serving"),
        "rerank": _group(workspace.rerank / "rerank.json", entries="systems"),
    }
    return replace(evidence, models=models, measured=measured)


def _skipped(workspace: Workspace, models: Sequence[str]) -> dict[str, str]:
    """Model → why it could not be trained on this data."""
    notes = {name: read_json(workspace.evaluation(name) / "metrics.json").get("skipped") for name in models}
    reasons = {name: str(reason) for name, reason in notes.items() if reason is not None}
    for name in (*CONTENDERS, REFERENCE):
        if name in reasons:
            raise BakeoffError(f"{name} was skipped ({reasons[name]}), and there is no verdict without it.")
    return reasons


def _events(split: Path, warm: pc.Expression | None) -> pd.DataFrame:
    """Train, valid and test events, with the name of the part."""
    tables = [read_coded(split / f"{part}.parquet", IDS, rows=warm) for part in PARTS]
    codes = pa.array(np.repeat(np.arange(len(PARTS), dtype=np.int8), [table.num_rows for table in tables]))
    together = pa.concat_tables(tables, promote_options="default").append_column(
        "part", pa.DictionaryArray.from_arrays(codes, list(PARTS))
    )
    return together.unify_dictionaries().to_pandas()


def _model(workspace: Workspace, name: str, longest: int, sample: UserSample) -> ModelEvidence:
    folder = workspace.evaluation(name)
    return ModelEvidence(
        **{of: read_table(folder / f"{of}.parquet", sample.warm) for of in ("users", "shuffled_users", "sampled")},
        new_users=read_table(folder / "new_users.parquet", sample.new),
        lists=_lists(folder / "recommendations.parquet", longest, sample.warm),
        new_lists=_lists(folder / "new_user_recommendations.parquet", longest, sample.new, STEP),
        metrics=read_json(folder / "metrics.json"),
        training=read_json(workspace.training(name)),
        training_cost=read_optional_json(workspace.cost(f"train/{name}")),
        evaluation_cost=read_optional_json(workspace.cost(f"evaluate/{name}")),
        shuffled_lists=_lists(folder / "shuffled_recommendations.parquet", longest, sample.warm),
    )


def _lists(path: Path, longest: int, users: pc.Expression | None, *more: str) -> pd.DataFrame:
    """The first places of each list, without scores: whole lists of 100 for 10⁵ users take gigabytes."""
    first = pc.field("rank") <= longest
    rows = first if users is None else first & users
    return read_coded(path, (*IDS, *more), [*IDS, *more, "rank"], rows).to_pandas()


def _variants(workspace: Workspace, name: str) -> VariantGroup | NotMeasured:
    cost = read_optional_json(workspace.cost(f"variants/{name}")).get("variants", {})
    return _group(workspace.variants(name) / "variants.json", "new_users", cost=cost)


def _group(
    path: Path, *tables: str, entries: str = "variants", cost: Mapping[str, Any] | None = None
) -> VariantGroup | NotMeasured:
    """The group that the JSON at `path` describes, with `users` and these tables next to it.

    Unless the JSON says that the stage was skipped.
    """
    notes = read_json(path)
    if "skipped" in notes:
        return NotMeasured(str(notes["skipped"]))
    found = {name: read_table(path.with_name(f"{name}.parquet")) for name in ("users", *tables)}
    found["users"] = found["users"].rename(columns={"system": "variant"})
    with reading(path, "another version wrote it, delete it and run `dvc repro`", KeyError):
        return VariantGroup(notes, notes[entries], **found, cost=cost or {})


def _cost(path: Path, what: str) -> Mapping[str, Any] | NotMeasured:
    """Measured costs; a report without them is still a report."""
    notes = read_optional_json(path)
    if not notes:
        return NotMeasured(f"{what} was not measured.")
    return NotMeasured(str(notes["skipped"])) if "skipped" in notes else notes
