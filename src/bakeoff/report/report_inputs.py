"""Reads what the comparison rests on: every file of the earlier stages, each with a way out where it is missing."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import draw_users
from bakeoff.core.workspace import Workspace
from bakeoff.models import specs
from bakeoff.params import Params
from bakeoff.report.evidence import Evidence, ModelEvidence
from bakeoff.report.examples import LIST_LENGTH
from bakeoff.report.measured import GROUPS, Measured, Planted, Rerank, Skipped, VariantGroup
from bakeoff.report.models import CONTENDERS, REFERENCE
from bakeoff.report.per_user import OnDisk
from bakeoff.report.provenance import read_data_hash

T = TypeVar("T")

IDS = ("user_id", "item_id")
STEP = "first_interactions"


@dataclass(frozen=True)
class _LookedAt:
    """Whom the report looks at, as filters of tables; None: everyone.

    Attributes:
        warm: rows of test users.
        new: rows of new users.
        anyone: rows of either.
    """

    warm: pc.Expression | None = None
    new: pc.Expression | None = None
    anyone: pc.Expression | None = None


def read_evidence(params: Params, workspace: Workspace, models: Sequence[str] | None = None) -> Evidence:
    """Everything that the report rests on, models in the order of `models`; all that there are if None.

    Of more than `compare.max_users` test users, or new ones, a seeded sample is read, and the metrics of all stay on
    disk: what is in memory does not grow with them.

    Raises:
        BakeoffError: a file is missing or can't be read, or a model was skipped that the verdict needs.
    """
    models = specs.names() if models is None else models
    skipped = _skipped_models(workspace, models)
    searches = {name: path for name in models if (path := workspace.tuning(name)).exists()}
    split = workspace.split
    asked = _asked(params, workspace.evaluation(next(name for name in models if name not in skipped)))
    users = _table(workspace.vocabulary / "users.parquet", asked.anyone)
    features = [name for name in params.data.user_features if name in users]
    data_dvc = workspace.root / "data.dvc"
    return Evidence(
        models={name: _model(workspace, name, _longest_list(params), asked) for name in models if name not in skipped},
        events=_events(split, asked.warm),
        new_events=_table(split / "new_users.parquet", asked.new),
        users=users[["user_id", *features]],
        items=_table(workspace.vocabulary / "items.parquet"),
        validation=_json(workspace.validation_report),
        split=_json(workspace.split_report),
        dataset=_json(workspace.data / "dataset.json"),
        measured=_measured(workspace),
        data_hash=read_data_hash(data_dvc.read_text(encoding="utf-8")) if data_dvc.exists() else None,
        skipped=skipped,
        tuning={name: _json(path) for name, path in searches.items()},
        everyone=None if asked.warm is None else _everyone(workspace, models, skipped),
    )


def _everyone(workspace: Workspace, models: Sequence[str], skipped: Mapping[str, str]) -> OnDisk:
    return OnDisk({name: workspace.evaluation(name) / "users.parquet" for name in models if name not in skipped})


def _skipped_models(workspace: Workspace, models: Sequence[str]) -> dict[str, str]:
    """Model → why it could not be trained on this data."""
    notes = {name: _json(workspace.evaluation(name) / "metrics.json").get("skipped") for name in models}
    reasons = {name: str(reason) for name, reason in notes.items() if reason is not None}
    for name in (*CONTENDERS, REFERENCE):
        if name in reasons:
            raise BakeoffError(f"{name} was skipped ({reasons[name]}), and there is no verdict without it.")
    return reasons


def _asked(params: Params, folder: Path) -> _LookedAt:
    """Whom to look at, of those about whom a model was asked."""
    most = params.compare.max_users
    sizes = {
        "users": _read(folder / "users.parquet", pq.read_metadata).num_rows,
        "new_users": _read(folder / "new_users.parquet", _num_new_users),
    }
    if max(sizes.values()) <= most:
        return _LookedAt()
    warm, new = (_ids(folder / f"{name}.parquet", draw_users(size, most, params.seed)) for name, size in sizes.items())
    return _LookedAt(*(pc.field("user_id").isin(ids) for ids in (warm, new, pa.concat_arrays([warm, new]))))


def _num_new_users(path: Path) -> int:
    """They stand in their table once for each number of events that a model was told: those of the first come first."""
    count, first = 0, None
    with pq.ParquetFile(path) as table:
        for batch in table.iter_batches(columns=[STEP]):
            first = batch[STEP][0] if first is None else first
            of_first = pc.sum(pc.equal(batch[STEP], first)).as_py()
            count += of_first
            if of_first < batch.num_rows:
                break
    return count


def _ids(path: Path, rows: NDArray[np.int64]) -> pa.StringArray:
    """The users of these rows, ascending; no more of the table than a batch is in memory."""
    found, start = [pa.array([], pa.string())], 0
    with pq.ParquetFile(path) as table:
        for batch in table.iter_batches(columns=["user_id"]):
            first, last = np.searchsorted(rows, [start, start + batch.num_rows])
            found.append(batch["user_id"].take(pa.array(rows[first:last] - start)).cast(pa.string()))
            start += batch.num_rows
    return pa.concat_arrays(found)


def _longest_list(params: Params) -> int:
    """Ranks that a section looks at: of the primary metric, of recall by item, of the examples."""
    cutoffs = params.evaluate.cutoffs
    return max(int(params.compare.primary_metric.partition("@")[2]), *cutoffs[:2], LIST_LENGTH)


def _events(split: Path, asked: pc.Expression | None) -> pd.DataFrame:
    """Train, valid and test, with the name of the part."""
    parts = ("train", "valid", "test")
    tables = [_coded(split / f"{part}.parquet", IDS, filters=asked) for part in parts]
    codes = pa.array(np.repeat(np.arange(len(parts), dtype=np.int8), [table.num_rows for table in tables]))
    together = pa.concat_tables(tables, promote_options="default").append_column(
        "part", pa.DictionaryArray.from_arrays(codes, list(parts))
    )
    return together.unify_dictionaries().to_pandas()


def _model(workspace: Workspace, name: str, longest: int, asked: _LookedAt) -> ModelEvidence:
    folder = workspace.evaluation(name)
    return ModelEvidence(
        users=_table(folder / "users.parquet", asked.warm),
        new_users=_table(folder / "new_users.parquet", asked.new),
        lists=_lists(folder / "recommendations.parquet", longest, asked.warm),
        new_lists=_lists(folder / "new_user_recommendations.parquet", longest, asked.new, STEP),
        metrics=_json(folder / "metrics.json"),
        training=_json(workspace.training(name)),
        training_cost=_cost(workspace.cost(f"train_{name}")),
        evaluation_cost=_cost(workspace.cost(f"evaluate_{name}")),
        shuffled_users=_table(folder / "shuffled_users.parquet", asked.warm),
        shuffled_lists=_lists(folder / "shuffled_recommendations.parquet", longest, asked.warm),
        sampled=_table(folder / "sampled.parquet", asked.warm),
        neighbours=_coded(workspace.items(name) / "neighbours.parquet", ("item_id", "neighbour_id")).to_pandas(),
        positions=_table(workspace.items(name) / "map.parquet"),
    )


def _measured(workspace: Workspace) -> Measured:
    return Measured(
        variants={name: _variants(workspace, name) for name in GROUPS},
        planted=_or_skipped(workspace.planted / "planted.json", lambda notes: _planted(workspace, notes)),
        growth=_measured_cost(workspace.cost("growth"), "Growth"),
        serving=_measured_cost(workspace.cost("serving"), "Serving"),
        rerank=_or_skipped(workspace.rerank / "rerank.json", lambda notes: _rerank(workspace, notes)),
    )


def _variants(workspace: Workspace, name: str) -> VariantGroup | Skipped:
    folder = workspace.variants(name)

    def read(notes: Mapping[str, Any]) -> VariantGroup:
        return VariantGroup(
            sentence=str(notes["sentence"]),
            variants=notes["variants"],
            users=_table(folder / "users.parquet"),
            new_users=_table(folder / "new_users.parquet"),
            notes=notes,
            cost=_cost(workspace.cost(f"variants_{name}")).get("variants", {}),
        )

    return _or_skipped(folder / "variants.json", read)


def _planted(workspace: Workspace, notes: Mapping[str, Any]) -> Planted:
    items, users = (_table(workspace.planted / f"{name}.parquet") for name in ("items", "users"))
    return Planted(notes, notes["variants"], items, users, int(notes["candidates"]))


def _rerank(workspace: Workspace, notes: Mapping[str, Any]) -> Rerank:
    return Rerank(
        sentence=str(notes["sentence"]),
        systems=notes["systems"],
        users=_table(workspace.rerank / "users.parquet"),
    )


def _or_skipped(path: Path, read: Callable[[Mapping[str, Any]], T]) -> T | Skipped:
    """What `read` makes of the JSON at `path`, unless that says that the stage was skipped."""
    notes = _json(path)
    if "skipped" in notes:
        return Skipped(str(notes["skipped"]))
    try:
        return read(notes)
    except KeyError as error:
        raise BakeoffError(f"{path} has no {error}: another version wrote it. Delete it and run `dvc repro`.") from None


def _measured_cost(path: Path, what: str) -> Mapping[str, Any] | Skipped:
    """A report without costs is still a report."""
    notes = _cost(path)
    if not notes:
        return Skipped(f"{what} was not measured.")
    return Skipped(str(notes["skipped"])) if "skipped" in notes else notes


def _lists(path: Path, longest: int, asked: pc.Expression | None, *more: str) -> pd.DataFrame:
    """The first places of each list, without scores: with 10⁵ users and lists of 100 the whole takes gigabytes."""
    first = pc.field("rank") <= longest
    table = _coded(path, (*IDS, *more), [*IDS, *more, "rank"], first if asked is None else first & asked)
    return table.to_pandas()


def _coded(path: Path, coded: Sequence[str], columns: Any = None, filters: Any = None) -> pa.Table:
    """A table whose columns named by `coded` hold every text once, and a number in its place in each row."""
    return _read(path, lambda it: pq.read_table(it, columns=columns, filters=filters, read_dictionary=list(coded)))


def _table(path: Path, rows: pc.Expression | None = None) -> pd.DataFrame:
    return _read(path, lambda it: pd.read_parquet(it, filters=rows))


def _read(path: Path, read: Callable[[Path], T]) -> T:
    try:
        return read(path)
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


def _cost(path: Path) -> dict[str, Any]:
    """Measured cost; empty where there is none: a report without it is still a report."""
    return _json(path) if path.exists() else {}


def _missing(path: Path) -> BakeoffError:
    return BakeoffError(
        f"{path} does not exist: an earlier stage has not run. Run `dvc repro`, which runs what is missing."
    )
