"""Stage `split`: validated tables → train, valid, test, new users, vocabulary; what the split promises."""

from collections.abc import Mapping, Sequence
from operator import methodcaller
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import replaced, write_json
from bakeoff.core.workspace import Workspace
from bakeoff.data.engine.engine import Engine, Partitioned, num_pieces, num_rows, opened, rows_of, same
from bakeoff.data.features.encoding import TableEncoding
from bakeoff.data.features.feature_encoder import encoded_features, fit_features
from bakeoff.data.params import PARTS, DataParams, SplitParams
from bakeoff.data.prepared.split_files import DISLIKES, REPEAT
from bakeoff.data.split.split import count_dropped, disliked, divide, weighted
from bakeoff.data.split.split_invariants import check_promises, check_sizes, refuse_broken, sizes_of, split_report
from bakeoff.data.split.vocabulary import item_vocabulary, user_vocabulary
from bakeoff.params import Params

EVENT_COLUMNS = ("user_id", "item_id", "timestamp", "position", "user_index", "item_index")
ORDER = ("user_index", "position")
"""By which events are sorted, over all files of a part."""


def run(params: Params, workspace: Workspace) -> None:
    """Split the validated events and check the split.

    Reads artifacts/validated; writes artifacts/split and artifacts/checks/split.json. Same input and params, same
    bytes; the same rows on each engine.

    Raises:
        BakeoffError: the data can't carry the method, a part that later stages need is empty, or the split
            breaks a promise (artifacts/checks/split.json is written then, artifacts/split is not).
    """
    data, split = params.data, params.split
    with opened() as engine:
        raw = {name: _read(engine, workspace, name, columns) for name, columns in _columns(data, split).items()}
        counted = liked = raw["interactions"]
        if data.weight_columns:
            counted = engine.kept("weighted", weighted(counted, data))
            liked = engine.kept("liked", counted.filter(counted.weight > 0))
        parts = divide(engine, liked, split, params.seed)
        users = engine.kept("user_vocabulary", user_vocabulary(parts, raw["users"]))
        items = engine.kept("item_vocabulary", item_vocabulary(parts, raw["items"]))
        events = _events(engine, parts, users, items)
        sizes = sizes_of(events.whole, users, items)
        check_sizes(sizes, split)
        warm = users.filter(~users.is_new)
        encoding = fit_features(warm, items, data.user_features, data.item_features, engine.blocks)
        promises = check_promises(
            events, method=split.method, users=users, items=items, keep_repeats=split.keep_repeats
        )
        (dropped,) = rows_of(count_dropped(liked, split.min_rating, parts))
        if data.weight_columns:
            dropped["without_weight"] = num_rows(raw["interactions"]) - num_rows(counted)
        dropped["users_without_events"] = num_rows(raw["users"].anti_join(users, "user_id"))
        report = split_report(split, promises, sizes, dropped)
        write_json(workspace.split_report, report)
        refuse_broken(promises, workspace.split_report.relative_to(workspace.root).as_posix())
        dislikes = _dislikes(engine, counted, parts, users, items, params)
        with replaced(workspace.split) as folder:
            _write_events(engine, events, folder)
            (vocabulary := folder / workspace.vocabulary.name).mkdir()
            _write_entities(engine, "user", users, encoding.user, vocabulary)
            _write_entities(engine, "item", items, encoding.item, vocabulary)
            if dislikes is not None:
                _write(engine, dislikes, vocabulary / DISLIKES, "user_index", "timestamp", "item_index")
            write_json(vocabulary / "features.json", encoding.model_dump())
    _print_summary(report)


def _columns(data: DataParams, split: SplitParams) -> dict[str, list[str]]:
    """Table → its columns that a split needs: others stay behind, and may be called as they like."""
    rating = [] if split.min_rating is None else ["rating"]
    part = ["split"] if split.method == "predefined" else []
    row = ["row"] if split.ties == "file" else []
    columns = {
        "interactions": ["user_id", "item_id", "timestamp", *rating, *part, *row, *data.weight_columns],
        "users": ["user_id", *data.user_features],
        "items": ["item_id", "title", *data.item_features],
    }
    for table, names in columns.items():
        alike = [name for name in names if [each.lower() for each in names].count(name.lower()) > 1]
        if len(set(alike)) > 1:
            raise BakeoffError(
                f"{alike[0]!r} and {alike[1]!r} of the {table} differ in case alone, which DuckDB does not tell apart: "
                "rename one where the data comes from, or leave it out of the features in params.yaml."
            )
    return columns


def _read(engine: Engine, workspace: Workspace, name: str, columns: Sequence[str]) -> ir.Table:
    path = workspace.validated / f"{name}.parquet"
    try:
        return engine.read(path, columns)
    except BakeoffError as error:
        raise BakeoffError(f"{error}: run `bakeoff validate`, or `dvc repro --force validate`.") from None


def _dislikes(
    engine: Engine, counted: ir.Table, parts: ir.Table, users: ir.Table, items: ir.Table, params: Params
) -> ir.Table | None:
    """What users dislike, by their indices; None where the settings know no dislikes."""
    if not params.split.dislike_weight and min(params.data.event_weights.values(), default=0.0) >= 0:
        return None
    pairs = disliked(counted, params.split, parts).inner_join(users.select("user_id", "user_index"), "user_id")
    indexed = pairs.inner_join(items.select("item_id", "item_index"), "item_id")
    return engine.kept("dislikes", indexed.select("user_index", "item_index", "timestamp", "weight"))


def _events(engine: Engine, parts: ir.Table, users: ir.Table, items: ir.Table) -> Partitioned:
    """All that is known of every event, some users after the other, by their indices.

    A key sorts them by user_index and position.
    """
    joined = parts.inner_join(users.select("user_id", "user_index"), "user_id")
    # An event on an item that is in no catalogue stays, for the promise that there is none.
    listed = items.select("item_index", listed_id="item_id")
    joined = joined.left_join(listed, joined.item_id == listed.listed_id)
    key = joined.user_index.cast("int64") * 2**31 + joined.position
    indexed = joined.select(*parts.columns, "user_index", "item_index", key=key)
    return engine.ranged("events", indexed, "user_index", num_rows(users), num_pieces(parts))


def _write_events(engine: Engine, events: Partitioned, folder: Path) -> None:
    columns = [*EVENT_COLUMNS, *(name for name in ("weight", REPEAT) if name in events.whole.columns)]
    for part in PARTS:
        of_part = events.map(methodcaller("filter", ibis._.part == part))
        engine.write(of_part, folder / f"{part}.parquet", ORDER, same(columns), "snappy")
    engine.write(events.map(_of_new_users), folder / "new_users.parquet", ORDER, same((*columns, "part")), "snappy")


def _write_entities(engine: Engine, name: str, table: ir.Table, encoding: TableEncoding, folder: Path) -> None:
    """Users or items, and their features encoded."""
    index = f"{name}_index"
    # Users' raw vectors are asked of other models, encoded by these; items' are read encoded alone.
    raw = table.drop(*encoding.vector) if name == "item" else table
    _write(engine, raw, folder / f"{name}s.parquet", index)
    _write(engine, encoded_features(engine, table, index, encoding), folder / f"{name}_features.parquet", index)


def _write(engine: Engine, table: ir.Table, path: Path, *order: str) -> None:
    engine.write(Partitioned.single(table), path, order, same(table.columns), "snappy")


def _of_new_users(events: ir.Table) -> ir.Table:
    return events.filter(events.part.startswith("new_")).mutate(part=ibis._.part.replace("new_", ""))


def _print_summary(report: Mapping[str, Any]) -> None:
    sizes = report["sizes"]
    print(
        f"{report['method']}: {sizes['train']:,} train, {sizes['valid']:,} valid and {sizes['test']:,} test "
        f"events of {sizes['warm_users']:,} warm users; {sizes['new_users']:,} new users with "
        f"{sizes['new_user_events']:,} events; {sizes['items']:,} items."
    )
    for note in report["notes"]:
        print(note)
    print(f"All {len(report['promises'])} promises hold. Known weakness: {report['weakness']}")
