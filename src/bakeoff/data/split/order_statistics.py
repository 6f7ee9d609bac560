"""Places in an order of all rows, without all rows coming together in one process."""

from collections.abc import Mapping, Sequence
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np


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
