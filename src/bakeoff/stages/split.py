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
from bakeoff.data.engine.engine import Engine, Partitioned, num_pieces, opened, rows_of, same
from bakeoff.data.features.encoding import TableEncoding
from bakeoff.data.features.feature_encoder import encoded_features, fit_features
from bakeoff.data.params import PARTS
from bakeoff.data.prepared.split_files import DISLIKES, REPEAT
from bakeoff.data.split.methods import method_of
from bakeoff.data.split.split import count_dropped, disliked, divide, weighted
from bakeoff.data.split.split_invariants import Promise, check_promises
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
    with opened() as engine:
        raw = {name: _read(engine, workspace, name, columns) for name, columns in _columns(params).items()}
        counted = liked = raw["interactions"]
        if params.data.weight_columns:
            counted = engine.kept("weighted", weighted(counted, params.data))
            liked = engine.kept("liked", counted.filter(counted.weight > 0))
        parts = divide(engine, liked, params.split, params.seed)
        users = engine.kept("user_vocabulary", user_vocabulary(parts, raw["users"]))
        items = engine.kept("item_vocabulary", item_vocabulary(parts, raw["items"]))
        events = _events(engine, parts, users, items)
        sizes = _sizes(events.whole, users, items)
        _check_sizes(sizes, params)
        data, warm = params.data, users.filter(~users.is_new)
        encoding = fit_features(warm, items, data.user_features, data.item_features, engine.blocks)
        split = params.split
        promises = check_promises(
            events, method=split.method, users=users, items=items, keep_repeats=split.keep_repeats
        )
        idle = raw["users"].anti_join(users, "user_id").count().to_pyarrow().as_py()
        (dropped,) = rows_of(count_dropped(liked, params.split.min_rating, parts))
        if params.data.weight_columns:
            num_events, num_counted = (each.count().to_pyarrow().as_py() for each in (raw["interactions"], counted))
            dropped["without_weight"] = num_events - num_counted
        report = _report(params, promises, sizes, {**dropped, "users_without_events": idle})
        write_json(workspace.split_report, report)
        _stop_if_broken(workspace, promises)
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


def _columns(params: Params) -> dict[str, list[str]]:
    """Table → its columns that a split needs: others stay behind, and may be called as they like."""
    rating = [] if params.split.min_rating is None else ["rating"]
    part = ["split"] if params.split.method == "predefined" else []
    columns = {
        "interactions": ["user_id", "item_id", "timestamp", *rating, *part, *params.data.weight_columns],
        "users": ["user_id", *params.data.user_features],
        "items": ["item_id", "title", *params.data.item_features],
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
    if not path.exists():
        raise BakeoffError(f"{path} is missing: run `bakeoff validate` first.")
    try:
        return engine.read(path, columns)
    except BakeoffError as error:
        raise BakeoffError(f"{error}: run `dvc repro --force validate`.") from None


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
    num_events, num_users = (table.count().to_pyarrow().as_py() for table in (parts, users))
    return engine.ranged("events", indexed, "user_index", num_users, num_pieces(num_events))


def _sizes(events: ir.Table, users: ir.Table, items: ir.Table) -> dict[str, int]:
    counts = {row["part"]: row["rows"] for row in rows_of(events.group_by("part").aggregate(rows=ibis._.count()))}
    (num,) = rows_of(users.aggregate(all=ibis._.count(), new=ibis._.count(where=ibis._.is_new)))
    return {
        **{part: counts.get(part, 0) for part in PARTS},
        "new_users": num["new"],
        "warm_users": num["all"] - num["new"],
        "items": items.count().to_pyarrow().as_py(),
        "new_user_events": counts.get("new_history", 0) + counts.get("new_test", 0),
    }


def _check_sizes(sizes: Mapping[str, int], params: Params) -> None:
    split = params.split
    if sizes["train"] == 0:
        raise BakeoffError(
            f"No user has a train event: all {sizes['new_users']} count as new ones (split.method "
            f"{split.method}, split.new_user_share {split.new_user_share}). Lower the share, or give more "
            "data."
        )
    if sizes["test"] == 0:
        raise BakeoffError(
            f"No warm user has a test event, so there is nothing to measure on (split.method {split.method}, "
            f"split.test_share {split.test_share}; {sizes['warm_users']} warm users with {sizes['train']} "
            "train events). Raise the share, or give more events per user."
        )


def _report(
    params: Params, promises: list[Promise], sizes: Mapping[str, int], dropped: Mapping[str, int]
) -> dict[str, Any]:
    fields = ("promise", "success", "unexpected")
    return {
        "method": params.split.method,
        "promises": [{field: getattr(promise, field) for field in fields} for promise in promises],
        "weakness": method_of(params.split.method).weakness,
        "one_cut": method_of(params.split.method).one_cut,
        "sizes": dict(sizes),
        "dropped": dict(dropped),
        "notes": _notes(params, dropped),
        "success": all(promise.success for promise in promises),
    }


def _notes(params: Params, dropped: Mapping[str, int]) -> list[str]:
    """What a reader of the figures should know about who and what is in no part, in sentences."""
    reasons = {
        "without_weight": "events are of a kind that counts nothing (data.event_weights): they are left out.",
        "below_min_rating": f"events are rated below {params.split.min_rating} or not at all: no positives.",
        "repeated": "events share user, item and time with another: one of them counts."
        if params.split.keep_repeats
        else "events repeat an earlier one of the same user and item: only the earliest counts.",
        "users_without_events": "users have no event and are in no part.",
    }
    notes = [f"{dropped[name]:,} {sentence}" for name, sentence in reasons.items() if dropped.get(name)]
    if params.split.keep_repeats:
        notes.append("Later events of the same user and item count too, and lists may hold what users have had.")
    note = method_of(params.split.method).note(params.split)
    return [*notes, note] if note else notes


def _stop_if_broken(workspace: Workspace, promises: list[Promise]) -> None:
    broken = [
        f"  {promise.promise}. Not so {promise.unexpected:,} times, as in: {'; '.join(promise.examples)}."
        for promise in promises
        if not promise.success
    ]
    if broken:
        report = workspace.split_report.relative_to(workspace.root).as_posix()
        raise BakeoffError(
            f"The split breaks what it promises, so it is not used ({report} has all promises):\n" + "\n".join(broken)
        )


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
    features = engine.kept(f"{name}_features", encoded_features(table, index, encoding, engine.function))
    _write(engine, features, folder / f"{name}_features.parquet", index)


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
