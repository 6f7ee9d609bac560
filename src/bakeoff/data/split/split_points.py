"""What all events together decide about the split of each user, so that users can be looked at a part at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeVar

import ibis
import ibis.expr.types as ir
import numpy as np

from bakeoff.data.params import SplitParams


def placed(table: ir.Table, bucket: ir.Value, order_by: Sequence[ir.Value]) -> ir.Table:
    """Number the rows by bucket and, within it, by other values.

    A window over a whole table is one task, on whatever cluster: its rows are numbered within buckets instead, and
    only the sizes of the buckets are added up in one place.

    Args:
        table: has no column of the names used here.
        bucket: whole number or text of a row of `table`, never null: rows of a lower one come first.
        order_by: values of a row of `table` that decide within a bucket.

    Returns:
        the table and `place`, int64 from 0.
    """
    columns = table.columns
    keys = {f"order_{number}": value for number, value in enumerate(order_by)}
    table = table.mutate(bucket=bucket, **keys)
    sizes = table.group_by("bucket").aggregate(size=ibis._.count())
    up_to = ibis.window(order_by="bucket", rows=(None, 0))
    starts = sizes.select("bucket", start=(ibis._.size.sum().over(up_to) - ibis._.size).cast("int64"))
    within = ibis.row_number().over(ibis.window(group_by="bucket", order_by=list(keys)))
    joined = table.mutate(within=within).inner_join(starts, "bucket")
    return joined.select(*columns, place=joined.start + joined.within.cast("int64"))


def value_at(
    table: ir.Table, bucket: ir.Value, order_by: Mapping[str, ir.Value], places: Sequence[int]
) -> list[tuple[Any, ...]]:
    """Values at places of the order that `placed` makes; only the buckets that hold these places are sorted.

    Args:
        table: the rows.
        bucket: of a row of `table`, as for `placed`: what comes to this process is a count for each.
        order_by: values that decide within a bucket, by names other than the one used here.
        places: from 0.

    Returns:
        for each place the values of `order_by`.
    """
    sizes = table.select(bucket=bucket).group_by("bucket").aggregate(size=ibis._.count()).order_by("bucket")
    counted = sizes.to_pyarrow()
    ends = np.cumsum(counted["size"].to_numpy())
    found = []
    for place in places:
        number = int(np.searchsorted(ends, place, side="right"))
        before = int(ends[number - 1]) if number else 0
        rows = table.filter(bucket == counted["bucket"][number].as_py()).select(**order_by)
        within = ibis.row_number().over(ibis.window(order_by=list(order_by)))
        (row,) = rows.mutate(within=within).filter(ibis._.within == place - before).to_pyarrow().to_pylist()
        found.append(tuple(row[name] for name in order_by))
    return found


TIE_DIGITS = 12
"""Of the md5: enough that hardly two events of the data share them, and a text so short is sorted where it lies."""
EventKey = tuple[int, str, str, str]
"""timestamp, tie, user_id, item_id: what orders all events."""

Count = TypeVar("Count", int, ir.IntegerValue)


@dataclass(frozen=True)
class Cuts:
    """Where the order of all users, or that of all events, is cut.

    Attributes:
        last_held_out: chance and user_id of the last user that is held out; None: nobody is.
        first_valid: of a global-temporal split the first event that is not train; None: all are, or another method.
        first_test: likewise the first of test.
        has_valid: whether the events have a `split` column that names any valid event.
    """

    last_held_out: tuple[str, str] | None = None
    first_valid: EventKey | None = None
    first_test: EventKey | None = None
    has_valid: bool = False


def is_at_least(values: Sequence[ir.Value], bound: Sequence[Any]) -> ir.BooleanValue:
    """Whether values are not before a bound, where the first that differs decides."""
    *firsts, last = zip(values, bound, strict=True)
    reached = last[0] >= last[1]
    for value, limit in reversed(firsts):
        reached = (value > limit) | ((value == limit) & reached)
    return reached


def is_at_most(values: Sequence[ir.Value], bound: Sequence[Any]) -> ir.BooleanValue:
    """Whether values are not behind a bound, likewise."""
    return ~is_at_least(values, bound) | ibis.and_(
        *(value == limit for value, limit in zip(values, bound, strict=True))
    )


def user_chance(users: ir.Table, seed: int) -> ir.StringValue:
    """The order in which users are held out."""
    return chance(seed, "new", users.user_id)


def tie(events: ir.Table, seed: int) -> ir.StringValue:
    """The order of events of the same time."""
    # In id order they would leak: ids often tell when an item appeared, or how popular it is.
    return chance(seed, events.user_id, events.item_id).substr(0, TIE_DIGITS)


def chance(seed: int, *parts: str | ir.StringValue) -> ir.StringValue:
    """Lower-case hexadecimal md5 of the UTF-8 text `seed|part|part…`, the same on any engine."""
    text: ir.StringValue = ibis.literal(str(seed))
    for part in parts:
        text = text + "|" + part
    return _md5(text)


def share_of(count: Count, share: float) -> Count:
    """⌊count · share⌋ for the decimal that people write.

    In whole numbers, because engines differ in how they multiply by 0.29: in binary, 100 · 0.29 is below 29.
    """
    fraction = Fraction(str(share)).limit_denominator(1_000_000)
    return (count * fraction.numerator) // fraction.denominator


def _md5_signature(text: str) -> str:
    raise NotImplementedError(f"md5({text!r}) is computed by the engine")


# SQL's function by its name: more engines have it than have Ibis' own hexdigest.
_md5 = ibis.udf.scalar.builtin(_md5_signature, name="md5")


def last_held_out(everyone: ir.Table, share: float, seed: int) -> tuple[str, str] | None:
    """Chance and user_id of the last user that is held out; None: nobody is."""
    # round(x) = ⌊(⌊2x⌋ + 1) / 2⌋, a half rounded up.
    count = (share_of(2 * everyone.count().to_pyarrow().as_py(), share) + 1) // 2
    if not count:
        return None
    by_chance = {"chance": user_chance(everyone, seed), "user_id": everyone.user_id}
    bucket = user_chance(everyone, seed).substr(0, 3)  # 4,096 of about the same size
    ((first, user),) = value_at(everyone, bucket, by_chance, [count - 1])
    return first, user


def first_held_out_events(events: ir.Table, split: SplitParams, seed: int) -> list[EventKey | None]:
    """The first valid and the first test event: the last ⌊count · test_share⌋ are test, as many before them valid."""
    count = events.count().to_pyarrow().as_py()
    first_test = count - share_of(count, split.test_share)
    first_valid = first_test - share_of(count, split.valid_share)
    timed = events.mutate(tie=tie(events, seed))
    by_time = {name: timed[name] for name in ("timestamp", "tie", "user_id", "item_id")}
    places = [first_valid, first_test]
    inside = [place for place in places if place < count]
    found: list[Any] = value_at(timed, timed.timestamp // 3600, by_time, inside)
    return [*found, *[None] * (len(places) - len(inside))]
