"""The one abstraction that carries every model: queries and items in the same space, score = dot product."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Queries


class Retriever(Protocol):
    """Ranks a catalogue of `num_items` items for any block of queries by dot product."""

    @property
    def item_embeddings(self) -> NDArray[np.float32]:
        """[num_items, dim], row j is the embedding of the item with index j."""

    def embed_queries(self, queries: Queries) -> NDArray[np.float32]:
        """[len(queries), dim], one query embedding per query."""

    def uses_fallback(self, queries: Queries) -> NDArray[np.bool_]:
        """[len(queries)], where the model itself has no answer and its stated fallback answers instead."""
