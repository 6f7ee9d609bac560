"""Raw tables on their way to the engine: typed block by block, and left in scratch as Parquet."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bakeoff.data.engine.engine import BLOCK_ROWS, Engine, part_name
from bakeoff.data.validate.reader import RawTable

if TYPE_CHECKING:
    from bakeoff.data.validate.quarantine import Stored
    from bakeoff.data.validate.tables import Subject


def stored(
    engine: Engine, name: str, blocks: Iterable[RawTable], subject_of: Callable[[RawTable], "Subject"]
) -> "Stored":
    """Type a table block by block and put it where the engine reads it.

    Args:
        engine: whose scratch is used.
        name: of the table, unique within the engine.
        blocks: the file, one block at least.
        subject_of: types a block.
    """
    from bakeoff.data.validate.quarantine import FACT, RAW, TYPED, Stored

    folder = engine.scratch / f"{name}.parquet"
    folder.mkdir()
    num_rows = 0
    for number, raw in enumerate(blocks):
        subject = subject_of(raw)
        rows = num_rows + np.arange(len(raw), dtype=np.int64)
        columns = {"row": pa.array(rows), "line": pa.array(raw.lines)}
        for prefix, table in ((RAW, raw.columns), (TYPED, subject.typed), (FACT, subject.facts)):
            columns |= _numbered(prefix, table)
        pq.write_table(pa.table(columns), folder / part_name(number), row_group_size=BLOCK_ROWS)
        num_rows += len(raw)
    return Stored(
        raw.file,
        engine.parts(folder),
        num_rows,
        list(raw.names),
        list(subject.typed.column_names),
        list(subject.facts.column_names),
        subject.known,
        subject.checks,
        subject.unique,
        subject.unique_columns,
    )


def _numbered(prefix: str, table: pa.Table) -> Mapping[str, pa.ChunkedArray]:
    return {f"{prefix}{place}": column for place, column in enumerate(table.columns)}
