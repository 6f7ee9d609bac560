"""Bytes of a CSV file, read as validation reads a file."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from bakeoff.data.validate import csv_reader


def read_csv(data: bytes, file: str) -> csv_reader.RawTable:
    """All blocks of a file with this content as one."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv"
        path.write_bytes(data)
        blocks = list(csv_reader.read_csv(path, file))
    columns = pa.concat_tables(block.columns for block in blocks)
    return csv_reader.RawTable(file, columns, np.concatenate([block.lines for block in blocks]))
