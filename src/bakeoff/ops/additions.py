"""Items that were added to a model without training it again: their file, and a retriever that ranks them too.

The file belongs to one set of item embeddings, whose hash is in its name: the vectors of another version mean nothing
in its space. Another promotion leaves it where it is, and a rollback finds it again.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.core.errors import reading
from bakeoff.core.files import written
from bakeoff.core.histories import Queries

FOLDER = ".bakeoff/catalogue"
"""Below the root of a workspace; DVC keeps nothing there."""

EMBEDDING = " "
"""Column of the embeddings, float32 [d] each; no feature can have this name. The other columns of added items are
item_id, title and the raw features that lists are filtered by."""

NOTHING = pd.DataFrame(columns=["item_id", "title", EMBEDDING])
"""No added item."""


def embeddings_of(added: pd.DataFrame) -> NDArray[np.float32]:
    """Embeddings of added items, [m, d]."""
    return np.stack(added[EMBEDDING].to_list())


def additions_path(root: Path, model: str, item_ids: Sequence[str], embeddings: NDArray[np.float32]) -> Path:
    """Where the items that were added to a model are.

    Args:
        root: of the workspace.
        model: its name.
        item_ids: n ids, in the order of the item indices.
        embeddings: float32 [n, d] of these items, which no other version shares.
    """
    digest = hashlib.sha256("\0".join(item_ids).encode())
    digest.update(np.ascontiguousarray(embeddings, np.float32).data)
    return root / FOLDER / f"{model}-{digest.hexdigest()[:16]}.parquet"


def read_additions(path: Path) -> pd.DataFrame:
    """What was added.

    Raises:
        BakeoffError: the file is damaged.
    """
    if not path.exists():
        return NOTHING
    what, remedy = f"{path}, the items that were added,", "delete it, and run `bakeoff catalogue add` again"
    with reading(what, remedy, OSError, ValueError, LookupError, pa.ArrowException):
        return pd.read_parquet(path).astype({EMBEDDING: object})


def write_additions(path: Path, added: pd.DataFrame) -> None:
    """Write the file; readers see the old one or the new one."""
    with written(path) as part:
        added.to_parquet(part, index=False)


def readable(queries: Queries, num_trained: int) -> Queries:
    """The queries without the added items of their histories, which no model reads."""
    is_read = queries.histories.items < num_trained
    return queries if is_read.all() else replace(queries, histories=queries.histories.keep(is_read))


class ExtendedRetriever:
    """A model that ranks added items behind its own n."""

    def __init__(self, retriever: Any, embeddings: NDArray[np.float32], added: NDArray[np.float32]) -> None:
        """Extend a retriever, or an EncoderRetriever, with these embeddings [n, d], by others [m, d]."""
        self._retriever, self.num_trained = retriever, len(embeddings)
        self.item_embeddings = np.concatenate([embeddings, added])
        self.explains: bool = getattr(retriever, "explains", False)

    def embed_queries(self, queries: Queries) -> NDArray[np.float32]:
        """[len(queries), d]."""
        return np.asarray(self._retriever.embed_queries(readable(queries, self.num_trained)), np.float32)

    def uses_fallback(self, queries: Queries) -> NDArray[np.bool_]:
        """[len(queries)]."""
        return np.asarray(self._retriever.uses_fallback(readable(queries, self.num_trained)), np.bool_)

    def contributions(self, query: Queries, items: NDArray[np.integer]) -> NDArray[np.float64]:
        """See `EncoderRetriever.contributions`; 0 where the item, or that of the history, was added."""
        found = np.zeros((len(items), len(query.histories.items)))
        own, read = items < self.num_trained, query.histories.items < self.num_trained
        if own.any():
            asked = readable(query, self.num_trained)
            found[np.ix_(own, read)] = self._retriever.contributions(asked, items[own])
        return found
