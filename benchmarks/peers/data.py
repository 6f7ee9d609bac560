"""What a system gets: known events of every user, the users to rank for, and features. Never the test items."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Data:
    """Histories of n users over a catalogue, and the rows to answer for.

    Attributes:
        offsets: int64 [n + 1]; user u holds entries offsets[u] to offsets[u + 1] (excluded) of items, oldest first.
        items: int32 [nnz], item indices in [0, num_items).
        timestamps: int64 [nnz], UTC seconds; all 0 where the data has none.
        rows: int64 [q], users that lists are wanted for.
        num_items: size of the catalogue.
        user_dense: float32 [n, D], standardised features.
        user_categorical: int32 [n, C], codes from 0 (unknown).
        item_dense: float32 [num_items, E].
        item_tags: float32 [num_items, T], 0 or 1.
    """

    offsets: NDArray[np.int64]
    items: NDArray[np.int32]
    timestamps: NDArray[np.int64]
    rows: NDArray[np.int64]
    num_items: int
    user_dense: NDArray[np.float32]
    user_categorical: NDArray[np.int32]
    item_dense: NDArray[np.float32]
    item_tags: NDArray[np.float32]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        with np.load(path) as arrays:
            values: dict[str, Any] = {name: arrays[name] for name in arrays.files}
        return cls(**{**values, "num_items": int(values["num_items"])})

    def save(self, path: Path) -> None:
        """Write all of it to one .npz file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **vars(self))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def users(self) -> NDArray[np.int64]:
        """[nnz] user of each event."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def has_times(self) -> bool:
        """Whether the order of a history means anything."""
        return bool((self.timestamps != self.timestamps[:1]).any())

    def weights(self, recency_scale: float | None) -> NDArray[np.float32]:
        """[nnz] weight of each event in a query: 1, or exp(−l/τ) for the event at lag l from the user's last."""
        if recency_scale is None:
            return np.ones(len(self.items), np.float32)
        lag = self.offsets[1:][self.users] - 1 - np.arange(len(self.items))
        return np.exp(-lag / recency_scale).astype(np.float32)

    def matrix(self, recency_scale: float | None = None) -> Any:
        """Users × items as a scipy CSR matrix of float32; see `weights`."""
        from scipy.sparse import csr_matrix

        values = self.weights(recency_scale)
        return csr_matrix((values, self.items, self.offsets), shape=(len(self), self.num_items))
