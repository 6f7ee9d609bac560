from collections.abc import Callable
from itertools import count

import ibis
import pandas as pd
import pyarrow as pa
import pytest

from bakeoff.data.params import SplitParams
from bakeoff.data.split.methods import find_cuts
from bakeoff.data.split.split import assign_parts

EVENTS = pa.schema([("user_id", pa.string()), ("item_id", pa.string()), ("timestamp", pa.int64())])


@pytest.fixture(scope="session")
def as_table() -> Callable:
    """Puts columns into a table of one shared engine: `as_table({"user_id": [...], ...}, schema)`."""
    connection = ibis.duckdb.connect()
    numbers = count()

    def create(columns: dict[str, list], schema: pa.Schema | None = None) -> ibis.Table:
        table = pa.table(columns, schema=schema)
        return connection.create_table(f"table_{next(numbers)}", ibis.memtable(table))

    return create


@pytest.fixture(scope="session")
def as_events(as_table) -> Callable:
    """Rows (user, item, timestamp[, split]) → table of events."""

    def create(rows: list[tuple]) -> ibis.Table:
        names = ["user_id", "item_id", "timestamp", "split"][: len(rows[0]) if rows else 3]
        columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
        return as_table(columns, EVENTS.append(pa.field("split", pa.string())) if "split" in names else EVENTS)

    return create


@pytest.fixture(scope="session")
def assign(as_events) -> Callable:
    """Rows and `split:` params → data frame with position and part, by user and position."""

    def run(rows: list[tuple], seed: int = 42, **split: object) -> pd.DataFrame:
        exact = {name: float(value) if name.endswith("_share") else value for name, value in split.items()}
        events, asked = as_events(rows), SplitParams(**{"new_user_share": 0} | exact)
        parts = assign_parts(events, asked, seed, find_cuts(events, events.select("user_id").distinct(), asked, seed))
        return parts.to_pyarrow().to_pandas().sort_values(["user_id", "position"], ignore_index=True)

    return run
