"""Validated tables as data frames, read as an engine reads files."""

import ibis
import pyarrow as pa

from bakeoff.ops.drift.distributions import Snapshot


def snapshot_of(interactions, users, items):
    frames = {"interactions": interactions, "users": users, "items": items}

    def read(table, columns):
        frame = frames[table]
        taken = frame[[name for name in columns if name in frame]]
        return ibis.memtable(pa.Table.from_pandas(taken, preserve_index=False))

    return Snapshot(read)
