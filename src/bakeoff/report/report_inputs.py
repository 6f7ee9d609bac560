"""Collects what the report rests on from the files of the earlier stages; no other module of it knows their formats."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError, reading
from bakeoff.core.histories import draw_users
from bakeoff.core.workspace import Workspace
from bakeoff.data.fetch.versioning import read_data_hash
from bakeoff.evaluation.metrics.formulas import FloatArray
from bakeoff.evaluation.stats.intervals import regrouped
from bakeoff.models.base import specs
from bakeoff.report.accuracy import Column, PerUser
from bakeoff.report.evidence import Evidence, ModelEvidence, NotMeasured, VariantGroup
from bakeoff.report.examples import LIST_LENGTH
from bakeoff.report.models import CONTENDERS, REFERENCE
from bakeoff.report.params import IDS, ReportParams

T = TypeVar("T")

GROUPS = ("features", "new-items", "folding", "depth")
"""Groups of variants that the report reads."""
PARTS = ("train", "valid", "test")
MISSING = "an earlier stage has not run. Run `dvc repro`, which runs what is missing"
STEP = "first_interactions"
USERS_AT_ONCE = 1 << 16
"""Users in a block of per-user metrics."""


def read_evidence(params: ReportParams, workspace: Workspace) -> Evidence:
    """What the comparison rests on, with every model that there is.

    If there are more than `compare.max_users` warm or new users, a seeded sample of them is read; the metrics of all
    users stay on disk, so that memory does not grow with them.

    Raises:
        BakeoffError: a file is missing or can't be read, a model was skipped that the verdict needs, or the models were
            evaluated on different users.
    """
    skipped = _skipped(workspace)
    shown = [name for name in specs.names() if name not in skipped]
    sample = read_sample(workspace.evaluation(shown[0]), params.compare.max_users, params.seed)
    users = read_table(workspace.vocabulary / "users.parquet", sample)
    kinds = params.data.user_features
    features = [name for name in kinds if name in users and kinds[name] != "vector" and name not in IDS]
    data_dvc = workspace.root / "data.dvc"
    # Ranks that are read: those of the primary metric, of recall by item, and of the examples.
    longest = max(int(params.compare.primary_metric.partition("@")[2]), *params.evaluate.cutoffs[:2], LIST_LENGTH)
    found = {name: _model(workspace, name, longest, sample) for name in shown}
    warm, new = (
        {name: workspace.evaluation(name) / f"{of}.parquet" for name in shown} for of in ("users", "new_users")
    )
    check_same_users(warm, ["user_id"])
    check_same_users(new, ["user_id", STEP])
    return Evidence(
        models=found,
        events=_events(workspace.split, sample),
        new_events=read_table(workspace.split / "new_users.parquet", sample),
        users=users[["user_id", *features]],
        items=read_table(workspace.vocabulary / "items.parquet"),
        validation=read_json(workspace.validation_report),
        split=read_json(workspace.split_report),
        dataset=read_json(workspace.data / "dataset.json", again="dvc checkout --force data.dvc"),
        data_hash=read_data_hash(data_dvc.read_text(encoding="utf-8")) if data_dvc.exists() else None,
        skipped=skipped,
        tuning={
            name: read_json(path, again=f"bakeoff tune {name}")
            for name in specs.names()
            if (path := workspace.tuning(name)).exists()
        },
        everyone=None if sample is None else per_user_on_disk(warm),
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


def _skipped(workspace: Workspace) -> dict[str, str]:
    """Model → why it could not be trained on this data."""
    notes = {name: read_json(workspace.evaluation(name) / "metrics.json").get("skipped") for name in specs.names()}
    reasons = {name: str(reason) for name, reason in notes.items() if reason is not None}
    for name in (*CONTENDERS, REFERENCE):
        if name in reasons:
            raise BakeoffError(f"{name} was skipped ({reasons[name]}), and there is no verdict without it.")
    return reasons


def _events(split: Path, users: pc.Expression | None) -> pd.DataFrame:
    """Train, valid and test events, with the name of the part."""
    tables = [(part, read_coded(split / f"{part}.parquet", IDS, rows=users)) for part in PARTS]
    named = [table.append_column("part", pa.repeat(part, len(table)).dictionary_encode()) for part, table in tables]
    return pa.concat_tables(named, promote_options="default").unify_dictionaries().to_pandas()


def _model(workspace: Workspace, name: str, longest: int, users: pc.Expression | None) -> ModelEvidence:
    folder = workspace.evaluation(name)
    return ModelEvidence(
        **{of: read_table(folder / f"{of}.parquet", users) for of in ("users", "sampled", "new_users")},
        lists=_lists(folder / "recommendations.parquet", longest, users),
        new_lists=_lists(folder / "new_user_recommendations.parquet", longest, users, STEP),
        metrics=read_json(folder / "metrics.json"),
        training=read_json(workspace.training(name)),
        training_cost=read_optional_json(workspace.cost(f"train/{name}")),
        evaluation_cost=read_optional_json(workspace.cost(f"evaluate/{name}")),
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


def read_json(path: Path, missing: str = MISSING, again: str = "dvc repro") -> Any:
    """Content of a JSON file.

    Args:
        path: of the file.
        missing: why it may be missing and what to do about it.
        again: the command that writes it.

    Raises:
        BakeoffError: it does not exist, or can't be read as JSON.
    """
    return _read(path, lambda it: json.loads(it.read_text(encoding="utf-8")), "JSON", missing, again)


def read_optional_json(path: Path) -> dict[str, Any]:
    """Content of a JSON file; empty if there is none, such as a cost that was not measured."""
    return read_json(path) if path.exists() else {}


def read_table(path: Path, rows: pc.Expression | None = None) -> pd.DataFrame:
    """A Parquet file, or the rows of it that a filter selects."""
    return _read(path, lambda it: pd.read_parquet(it, filters=rows))


def read_coded(
    path: Path, coded: Sequence[str], columns: Sequence[str] | None = None, rows: pc.Expression | None = None
) -> pa.Table:
    """A Parquet file whose columns `coded` are dictionaries: each text is in memory once."""
    return _read(path, lambda it: pq.read_table(it, columns=columns, filters=rows, read_dictionary=list(coded)))


def read_sample(folder: Path, most: int, seed: int) -> pc.Expression | None:
    """Selects the rows of the users that the report looks at, a seeded sample; None: there are few, and all count.

    Args:
        folder: the evaluation of any model.
        most: warm users that are looked at, and as many new ones.
        seed: of the sample.
    """
    files = (folder / "users.parquet", folder / "new_users.parquet")
    ids = [read_coded(file, [], ["user_id"])["user_id"].unique().cast(pa.string()) for file in files]
    if max(map(len, ids)) <= most:
        return None
    return pc.field("user_id").isin(pa.concat_arrays([each.take(draw_users(len(each), most, seed)) for each in ids]))


def per_user_on_disk(files: dict[str, Path]) -> PerUser:
    """Metrics of all users, read block by block; memory does not grow with their number.

    Args:
        files: model → users.parquet of its evaluation; all with the same users in the same order.
    """

    def blocks(columns: Sequence[Column]) -> Iterator[FloatArray]:
        for parts in zip(*(_blocks(files[model], [metric]) for model, metric in columns), strict=True):
            yield np.concatenate(parts, axis=1).astype(np.float64)

    return lambda columns: partial(blocks, columns)


def check_same_users(files: dict[str, Path], keys: Sequence[str]) -> None:
    """Check that all models were evaluated on the same users: a paired comparison needs it.

    Args:
        files: model → a table of its evaluation.
        keys: columns that tell the rows of such a table apart.

    Raises:
        BakeoffError: two models differ in their users, or in the order of these.
    """
    for found in zip_longest(*(_blocks(path, keys) for path in files.values())):
        for (name, one), (other, another) in pairwise(zip(files, found, strict=True)):
            if not np.array_equal(one, another):
                raise BakeoffError(
                    f"{other} was evaluated on other {files[other].stem.replace('_', ' ')} than {name}, or in another "
                    "order: their figures can't be compared. Run `dvc repro` so that every model is evaluated on the "
                    "present split."
                )


def _blocks(path: Path, columns: Sequence[str]) -> Iterator[NDArray[Any]]:
    """Blocks [m, c] of a table, USERS_AT_ONCE rows each except the last, whatever its row groups."""

    def batches() -> Iterator[NDArray[Any]]:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(USERS_AT_ONCE, columns=list(columns)):
                yield np.stack([batch.column(name).to_numpy(zero_copy_only=False) for name in columns], axis=1)

    return regrouped(batches(), USERS_AT_ONCE)


def _read(
    path: Path, read: Callable[[Path], T], kind: str = "Parquet", missing: str = MISSING, again: str = "dvc repro"
) -> T:
    try:
        return read(path)
    except FileNotFoundError:
        raise BakeoffError(f"{path} does not exist: {missing}.") from None
    except (OSError, ValueError) as error:
        raise BakeoffError(f"{path} can't be read as {kind} ({error}): delete it and run `{again}`.") from None
