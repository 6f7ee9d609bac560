"""Stage `split`: validated tables → train, valid, test, new users, vocabulary; what the split promises."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend

from bakeoff.errors import BakeoffError
from bakeoff.params import Params
from bakeoff.preparation.features import FeatureEncoding, fit_features
from bakeoff.preparation.split import assign_parts, check_fits_method, count_dropped, positives
from bakeoff.preparation.vocabulary import item_vocabulary, user_vocabulary
from bakeoff.stages.files import replaced, write_json
from bakeoff.validation.promises import Promise, check_promises, weakness
from bakeoff.workspace import Workspace

EVENT_COLUMNS = ("user_id", "item_id", "timestamp", "position")


def run(params: Params, workspace: Workspace) -> None:
    """Split the validated events and check the split.

    Reads artifacts/validated; writes artifacts/split and reports/split.json. Same input and params, same
    bytes.

    Raises:
        BakeoffError: the data can't carry the method, a part that later stages need is empty, or the split
            breaks a promise (reports/split.json is written then, artifacts/split is not).
    """
    with _engine() as connection:
        raw = {name: _read(connection, workspace, name) for name in ("interactions", "users", "items")}
        chosen = connection.create_table("positives", positives(raw["interactions"], params.split.min_rating))
        check_fits_method(chosen, params.split)
        events = connection.create_table("events", assign_parts(chosen, params.split, params.seed))
        index = connection.create_table("user_vocabulary", user_vocabulary(events, raw["users"]))
        users = index.order_by("user_index").to_pyarrow()
        items = item_vocabulary(events, raw["items"]).order_by("item_index").to_pyarrow()
        table = _in_order(events, index).to_pyarrow()
        dropped = _dropped(raw, events, params)
    sizes = _sizes(table, users, items)
    _check_sizes(sizes, params)
    encoding = _encoding(params, users, items)
    promises = check_promises(
        table.to_pandas(),
        method=params.split.method,
        user_ids=users["user_id"].to_pandas(),
        item_ids=items["item_id"].to_pandas(),
    )
    report = _report(params, promises, sizes, dropped)
    write_json(workspace.reports / "split.json", report)
    _stop_if_broken(promises)
    _write_split(workspace, table, users, items, encoding)
    _print_summary(report)


@contextmanager
def _engine() -> Iterator[Backend]:
    """The embedded engine. What does not fit in memory spills to a folder that goes when it goes."""
    with TemporaryDirectory() as spill:
        connection = ibis.duckdb.connect(temp_directory=spill)
        try:
            yield connection
        finally:
            connection.disconnect()


def _read(connection: Backend, workspace: Workspace, name: str) -> ir.Table:
    path = workspace.validated / f"{name}.parquet"
    if not path.exists():
        raise BakeoffError(f"{path} is missing: run `bakeoff validate` first.")
    try:
        return connection.read_parquet(path, table_name=name)
    except duckdb.Error as error:
        reason = str(error).splitlines()[0].replace(str(path.resolve()), str(path))
        raise BakeoffError(f"{path} can't be read ({reason}): run `dvc repro --force validate`.") from None


def _in_order(events: ir.Table, index: ir.Table) -> ir.Table:
    """Events sorted by (user_index, position)."""
    joined = events.inner_join(index.select("user_id", "user_index"), "user_id")
    return joined.order_by("user_index", "position").select(*EVENT_COLUMNS, "part")


def _dropped(raw: Mapping[str, ir.Table], events: ir.Table, params: Params) -> dict[str, int]:
    idle = raw["users"].anti_join(events, "user_id").count().to_pyarrow().as_py()
    counts = count_dropped(raw["interactions"], params.split.min_rating).to_pyarrow().to_pylist()[0]
    return {**counts, "users_without_events": idle}


def _sizes(table: pa.Table, users: pa.Table, items: pa.Table) -> dict[str, int]:
    counts = {row["values"]: row["counts"] for row in table["part"].value_counts().to_pylist()}
    num_new = pc.sum(users["is_new"]).as_py()
    return {
        **{part: counts.get(part, 0) for part in ("train", "valid", "test")},
        "new_users": num_new,
        "warm_users": users.num_rows - num_new,
        "items": items.num_rows,
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


def _encoding(params: Params, users: pa.Table, items: pa.Table) -> FeatureEncoding:
    warm = users.filter(pc.invert(users["is_new"]))
    data = params.data
    return fit_features(warm.to_pandas(), items.to_pandas(), data.user_features, data.item_features)


def _report(
    params: Params, promises: list[Promise], sizes: Mapping[str, int], dropped: Mapping[str, int]
) -> dict[str, Any]:
    fields = ("promise", "success", "unexpected")
    return {
        "method": params.split.method,
        "promises": [{field: getattr(promise, field) for field in fields} for promise in promises],
        "weakness": weakness(params.split.method),
        "sizes": dict(sizes),
        "dropped": dict(dropped),
        "notes": _notes(params, dropped),
        "success": all(promise.success for promise in promises),
    }


def _notes(params: Params, dropped: Mapping[str, int]) -> list[str]:
    """What a reader of the figures should know about who and what is in no part, in sentences."""
    reasons = {
        "below_min_rating": f"events are rated below {params.split.min_rating} or not at all: no positives.",
        "repeated": "events repeat an earlier one of the same user and item: only the earliest counts.",
        "users_without_events": "users have no event and are in no part.",
    }
    notes = [f"{dropped[name]:,} {sentence}" for name, sentence in reasons.items() if dropped[name]]
    if params.split.method == "predefined" and params.split.new_user_share:
        notes.append(
            "Nobody is held out as a new user, whatever split.new_user_share says: the published test stays "
            "whole. Users without a train event are the new ones."
        )
    if params.split.method == "global-temporal":
        notes.append("Users without an event before the first cut count as new ones, too.")
    return notes


def _stop_if_broken(promises: list[Promise]) -> None:
    broken = [
        f"  {promise.promise}. Not so {promise.unexpected:,} times, as in: {'; '.join(promise.examples)}."
        for promise in promises
        if not promise.success
    ]
    if broken:
        raise BakeoffError(
            "The split breaks what it promises, so it is not used (reports/split.json has all promises):\n"
            + "\n".join(broken)
        )


def _write_split(
    workspace: Workspace, table: pa.Table, users: pa.Table, items: pa.Table, encoding: FeatureEncoding
) -> None:
    with replaced(workspace.split) as folder:
        vocabulary = folder / workspace.vocabulary.relative_to(workspace.split)
        vocabulary.mkdir()
        for part in ("train", "valid", "test"):
            events = table.filter(pc.equal(table["part"], part)).select(EVENT_COLUMNS)
            pq.write_table(events, folder / f"{part}.parquet")
        pq.write_table(_new_users(table), folder / "new_users.parquet")
        pq.write_table(users, vocabulary / "users.parquet")
        pq.write_table(items, vocabulary / "items.parquet")
        write_json(vocabulary / "features.json", encoding.model_dump())


def _new_users(table: pa.Table) -> pa.Table:
    new = table.filter(pc.starts_with(table["part"], "new_"))
    part = pc.replace_substring(new["part"], "new_", "")
    return new.set_column(new.schema.get_field_index("part"), "part", part)


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
