"""Data sets and their splits, made by this project's own stages in a scratch workspace."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from peers.data import Data
from ruamel.yaml import YAML

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import replaced
from bakeoff.core.histories import Histories
from bakeoff.core.workspace import Workspace
from bakeoff.data.fetch import command as fetch
from bakeoff.data.fetch.canonical_tables import Tables, save_csv
from bakeoff.data.fetch.own_sources import Request
from bakeoff.data.fetch.publishers import datasets
from bakeoff.data.prepared.tables import Prepared, load_held_out, load_prepared
from bakeoff.params import Params, parse_params
from bakeoff.stages import split, validate
from harness.code import SPLIT_CODE, code_hash

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Benchmark:
    """A data set under one split.

    Attributes:
        name: on the command line, in settings and results.
        title: in headings.
        folder: below the folder of raw data.
        split: what the split is, in a sentence.
        params: what it changes in params.yaml.
        core: events that each user and each item must have; others are left out, until all that is left has them.
        metrics: columns of the table; differences are taken in the first one. All systems are tuned by NDCG@10.
        searched: seconds that `bakeoff tune` had for each contender's settings; None: it did not choose them, or its
            record in tuning/ says so.
        one_seed: systems whose fit takes too long here for several seeds; their rows say that they had one.
    """

    name: str
    title: str
    folder: str
    split: str
    params: Mapping[str, Any]
    core: int = 0
    metrics: tuple[str, ...] = ("ndcg@10", "recall@20")
    searched: float | None = None
    one_seed: tuple[str, ...] = ()

    def is_in(self, raw: Path | None) -> bool:
        """Whether a folder of raw data has that of this data set."""
        return raw is not None and (raw / self.folder).is_dir()


_TEMPORAL = "the last 20 % of each user's events are test, the 10 % before them validation; every rating is a positive"
_TEMPORAL_PARAMS = {"method": "user-temporal", "test_share": 0.2, "valid_share": 0.1, "new_user_share": 0.0}
_GLOBAL = (
    "the last 20 % of all events are test, the 10 % before them validation, the same two points in time for everyone; "
    "who has no event before them is left out; every rating is a positive"
)
_GLOBAL_PARAMS = {"method": "global-temporal", "test_share": 0.2, "valid_share": 0.1, "new_user_share": 0.0}
_NO_COLUMNS = {"timestamp": None, "rating": None, "split": "split", "title": None}

BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark("ml-100k", "MovieLens 100K", "ml-100k", _TEMPORAL, {"split": _TEMPORAL_PARAMS}),
        Benchmark(
            "ml-100k-random",
            "MovieLens 100K, split at random",
            "ml-100k",
            "a tenth of the events is test, another tenth validation, both drawn at random; every rating is a positive",
            {"split": {"method": "random", "test_share": 0.1, "valid_share": 0.1, "new_user_share": 0.0}},
        ),
        Benchmark(
            "ml-100k-global",
            "MovieLens 100K, one point in time",
            "ml-100k",
            _GLOBAL,
            {"split": _GLOBAL_PARAMS},
            searched=890,
        ),
        Benchmark(
            "ml-1m",
            "MovieLens 1M",
            "ml-1m",
            _TEMPORAL,
            {"data": {"dataset": "ml-1m"}, "split": _TEMPORAL_PARAMS},
            one_seed=("gru4rec", "sasrec"),
        ),
        Benchmark(
            "ml-1m-global",
            "MovieLens 1M, one point in time",
            "ml-1m",
            _GLOBAL,
            {"data": {"dataset": "ml-1m"}, "split": _GLOBAL_PARAMS},
            searched=600,
        ),
        Benchmark(
            "ml-1m-last",
            "MovieLens 1M, each user's last event",
            "ml-1m",
            "each user's last event is test, the one before it validation, events at the same time in the order of the "
            "file; users and items with fewer than five events are left out; every rating is a positive",
            {
                "data": {"dataset": "ml-1m"},
                "split": {"method": "leave-last-out", "new_user_share": 0.0, "ties": "file"},
            },
            core=5,
            metrics=("ndcg@10", "hit_rate@10"),
            one_seed=("sasrec", "softmax_ids"),
        ),
        Benchmark(
            "gowalla",
            "Gowalla",
            "gowalla",
            "test is the published one of the NGCF and LightGCN papers; a tenth of the published train is validation",
            {
                "data": {"dataset": "gowalla", "user_features": {}, "item_features": {}, "columns": _NO_COLUMNS},
                "split": {"method": "predefined", "valid_share": 0.1, "new_user_share": 0.0},
            },
            metrics=("recall_of_all@20", "ndcg@20"),
        ),
    )
}
DEFAULT = ("ml-100k", "ml-100k-random", "ml-100k-global")
"""What needs no folder of raw data: `bakeoff fetch` gets it."""


@dataclass(frozen=True)
class Split:
    """A prepared split: what systems are given, and what they are to find.

    Attributes:
        workspace: its directory.
        params: of params.yaml, the data set's overrides in.
        data: by phase (`valid`: learn from train, `test`: from train and validation) what a system is given.
        truth: by phase the events to find; rows as in data.
        facts: sizes and first and last day, for the reader.
    """

    workspace: Workspace
    params: Params
    data: Mapping[str, Data]
    truth: Mapping[str, Histories]
    facts: Mapping[str, Any] = field(default_factory=dict)


def present(raw: Path | None) -> list[str]:
    """Names of the data sets that can be run: the default ones, and those whose folder is there."""
    return [name for name, benchmark in BENCHMARKS.items() if name in DEFAULT or benchmark.is_in(raw)]


FEATURES = ("user_features", "item_features")
"""Keys of params.yaml whose value is one table's features."""


def with_overrides(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values, those of `overrides` instead where it has them; FEATURES and empty mappings replace as a whole."""
    merged = dict(values)
    for key, value in overrides.items():
        inner = merged.get(key)
        both = isinstance(inner, Mapping) and isinstance(value, Mapping) and value and key not in FEATURES
        merged[key] = with_overrides(inner, value) if both and isinstance(inner, Mapping) else value
    return merged


def settings_of(benchmark: Benchmark, folder: Path | None = None) -> dict[str, Any]:
    """All of params.yaml under the data set's overrides and those of settings/<name>.yaml."""
    yaml = YAML(typ="safe")
    values = with_overrides(yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8")), benchmark.params)
    path = (folder or ROOT / "benchmarks/settings") / f"{benchmark.name}.yaml"
    if path.exists():
        values = with_overrides(values, yaml.load(path.read_text(encoding="utf-8")) or {})
    return values


def make_split(benchmark: Benchmark, raw: Path | None, scratch: Path) -> Split:
    """Fetch, validate and split into scratch, unless that has been done with these settings, by this code.

    Raises:
        BakeoffError: the raw data is missing or can't be read, or a stage refuses it.
    """
    values = settings_of(benchmark)
    params, workspace = parse_params(values, benchmark.name), Workspace(scratch / "workspace")
    made_of = {name: values[name] for name in ("seed", "data", "validation", "split")} | {"code": code_hash(SPLIT_CODE)}
    stamp = workspace.root / "made_of.json"
    if not stamp.exists() or json.loads(stamp.read_text(encoding="utf-8")) != json.loads(json.dumps(made_of)):
        workspace.root.mkdir(parents=True, exist_ok=True)
        _fetch(benchmark, params, workspace, raw)
        validate.run(params, workspace)
        split.run(params, workspace)
        stamp.write_text(json.dumps(made_of, indent=2) + "\n", encoding="utf-8")
    return load_split(workspace, params)


def load_split(workspace: Workspace, params: Params) -> Split:
    """A split that has been made."""
    prepared = load_prepared(workspace)
    test = load_held_out(workspace, prepared).test
    return Split(
        workspace=workspace,
        params=params,
        data={
            "valid": _data(prepared, prepared.train, np.flatnonzero(prepared.valid.lengths)),
            "test": _data(prepared, prepared.known(), np.flatnonzero(test.lengths)),
        },
        truth={"valid": prepared.valid, "test": test},
        facts=_facts(prepared, test),
    )


def _data(prepared: Prepared, histories: Histories, rows: NDArray[np.int64]) -> Data:
    users, items = prepared.user_features, prepared.item_features
    tags = [tags.toarray().astype(np.float32) for tags in items.tag_sets]
    return Data(
        offsets=histories.offsets,
        items=histories.items,
        timestamps=histories.timestamps,
        rows=rows,
        num_items=prepared.num_items,
        user_dense=users.dense,
        user_categorical=users.categorical,
        item_dense=items.dense,
        item_tags=np.concatenate([np.zeros((prepared.num_items, 0), np.float32), *tags], axis=1),
    )


def _facts(prepared: Prepared, test: Histories) -> dict[str, Any]:
    times = np.concatenate([prepared.known().timestamps, test.timestamps])
    days = [str(np.datetime64(int(t), "s").astype("datetime64[D]")) for t in (times.min(), times.max())]
    return {
        "users": prepared.num_users,
        "items": prepared.num_items,
        "train": len(prepared.train.items),
        "valid": len(prepared.valid.items),
        "test": len(test.items),
        "tested": int(np.count_nonzero(test.lengths)),
        "days": days if times.any() else None,
    }


def _fetch(benchmark: Benchmark, params: Params, workspace: Workspace, raw: Path | None) -> None:
    folder = raw / benchmark.folder if raw is not None and (raw / benchmark.folder).is_dir() else None
    known = datasets().get(params.data.dataset)
    if known is None and folder is None:
        raise BakeoffError(
            f"{benchmark.title} is in no folder {benchmark.folder}/: --data DIR names the folder of raw data."
        )
    if known is None or folder is None:
        fetch.run(params.data, workspace, Request(folder), force=True)
        return
    try:
        files = {Path(member).name: (folder / Path(member).name).read_bytes() for member in known.sources[0].members}
    except OSError as error:
        raise BakeoffError(f"{folder} is not {known.about.title} as published: {error}") from None
    with replaced(workspace.data) as data:
        tables = known.sources[0].parse(files)
        for name, table in (core_of(tables, benchmark.core) if benchmark.core else tables).items():
            save_csv(table, data / f"{name}.csv")


def core_of(tables: Tables, core: int) -> dict[str, pa.Table]:
    """What is left once users and items with fewer than `core` events are gone, and those that it leaves with fewer."""
    events, left = tables["interactions"], 0
    while left != len(events):
        left = len(events)
        for name in ("user_id", "item_id"):
            counts = pc.value_counts(events[name])
            kept = counts.field("values").filter(pc.greater_equal(counts.field("counts"), core))
            events = events.filter(pc.is_in(events[name], kept))
    found = {"interactions": events}
    for name, table in (("user_id", tables["users"]), ("item_id", tables["items"])):
        found[f"{name[:-3]}s"] = table.filter(pc.is_in(table[name], pc.unique(events[name])))
    return found
