"""What others find in the files of an evaluation."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

EMBEDDINGS = "item_embeddings.npy"
"""float32 [num_items, dim]: whoever looks at the embedding space alone need not load the model."""


def chosen_ids(ids: Any, index: NDArray[np.integer]) -> pa.Array:
    """The ids, a column of text, at these places."""
    return pa.array(ids, pa.string()).take(pa.array(index))
