"""Compile the loops of ranking and of MF into Numba's cache: `python -m bakeoff.ops.kernels`.

Stages that start together would each compile them, some eight seconds of a core each. `bakeoff run` does it once, while
Prefect's server starts.
"""

import numpy as np

import bakeoff.models.mf.kernels  # noqa: F401  # compiled as it is imported
from bakeoff.core.histories import Histories, Queries
from bakeoff.evaluation.ranking import rank
from bakeoff.models.popularity.popularity import PopularityRetriever


def main() -> None:
    """Rank a catalogue of three items for two users."""
    seen, truth = (Histories.from_rows(np.arange(2), np.full(2, item), np.zeros(2, np.int64), 2) for item in (0, 1))
    users = Queries(seen, np.zeros((2, 0), np.float32), np.zeros((2, 0), np.int32))
    rank(PopularityRetriever(np.array([2, 1, 1])), users, exclude=seen, truth=truth, list_length=2, users_per_block=2)


if __name__ == "__main__":
    main()
