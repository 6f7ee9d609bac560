"""What `bakeoff fetch --from DIR` makes of a directory, without writing it."""

from pathlib import Path

from bakeoff.data.fetch.canonical_tables import Tables
from bakeoff.data.fetch.own import read_parts
from bakeoff.data.fetch.parts import complete
from bakeoff.data.params import DataParams


def read_directory(directory: Path, data: DataParams) -> Tables:
    """The tables of a directory; users and items that have no file are named by their ids."""
    return complete(read_parts(directory, data), data, str(directory))
