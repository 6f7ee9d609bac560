"""Bytes of a CSV file, read as validation reads a file, and written as `fetch` writes one."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from bakeoff.data.fetch.canonical_tables import save_csv
from bakeoff.data.validate import csv_reader


def read_csv(data: bytes, file: str) -> csv_reader.RawTable:
    """All blocks of a file with this content as one."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv"
        path.write_bytes(data)
        blocks = list(csv_reader.read_csv(path, file))
    columns = pa.concat_tables(block.columns for block in blocks)
    return csv_reader.RawTable(file, columns, np.concatenate([block.lines for block in blocks]))


def as_csv(table: pa.Table) -> str:
    """The file that `fetch` writes of a table."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv"
        save_csv(table, path)
        return path.read_bytes().decode()
