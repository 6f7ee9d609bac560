"""The place of each row in an order of all rows, without all rows coming together in one process."""

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir


def placed(
    table: ir.Table, bucket: ir.Value, order_by: Sequence[ir.Value], counted: ir.Table | None = None
) -> ir.Table:
    """Number the rows by bucket and, within it, by other values.

    A window over a whole table is one task, on whatever cluster: its rows are numbered within buckets instead, and
    only the sizes of the buckets are added up in one place.

    Args:
        table: has no column of the names used here.
        bucket: whole number or text of a row of `table`, never null: rows of a lower one come first.
        order_by: values of a row of `table` that decide within a bucket.
        counted: a cheaper table whose column `bucket` has the same values as often; None: there is none.

    Returns:
        the table and `place`, int64 from 0.
    """
    columns = table.columns
    keys = {f"order_{number}": value for number, value in enumerate(order_by)}
    table = table.mutate(bucket=bucket, **keys)
    sizes = (table if counted is None else counted).group_by("bucket").aggregate(size=ibis._.count())
    up_to = ibis.window(order_by="bucket", rows=(None, 0))
    starts = sizes.select("bucket", start=(ibis._.size.sum().over(up_to) - ibis._.size).cast("int64"))
    within = ibis.row_number().over(ibis.window(group_by="bucket", order_by=list(keys)))
    joined = table.mutate(within=within).inner_join(starts, "bucket")
    return joined.select(*columns, place=joined.start + joined.within.cast("int64"))
