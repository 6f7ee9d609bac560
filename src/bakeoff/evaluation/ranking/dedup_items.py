"""Removal of items that no list can hold: of items with equal embeddings only the first ones can be listed.

A catalogue has many equal items where a model cannot tell them apart: all items without interactions have the zeros of
matrix factorisation, or one embedding per combination of features. Each would be scored, and since float32 products
can't decide which of them comes first, every list that ends among them would need exact scores of the whole catalogue.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.core.histories import PAD, Histories, offsets_of


@dataclass(frozen=True)
class Reachable:
    """The m of n items of a catalogue that lists can hold, in the order of the catalogue.

    Attributes:
        items: int64 [m], their indices, ascending.
        place: int32 [n], place of each item of the catalogue among them; PAD where it is not one of them.
    """

    items: NDArray[np.int64]
    place: NDArray[np.int32]

    @classmethod
    def of(cls, catalogue: NDArray[np.float32], exclude: Histories, truth: Histories, k: int) -> Self:
        """The items that lists of k can hold.

        Of items that all score the same a list holds those of smallest index, after leaving out the excluded ones and
        putting those of the truth last. So k of them are enough, and one more for each that may be excluded or true.

        Args:
            catalogue: float32 [n, d], row by row in memory.
            exclude: rows of items that are left out, one row for each list.
            truth: rows of items that come last among equals.
            k: length of the lists.
        """
        shared = _shared(catalogue)
        if len(shared) == 0:
            items = np.arange(len(catalogue))
            return cls(items, items.astype(np.int32))
        num_before, has_equal = np.zeros(len(catalogue), np.int64), np.zeros(len(catalogue), np.bool_)
        num_before[shared], has_equal[shared] = _equals(catalogue[shared])
        passed_over = sum(_most(sets, has_equal) for sets in (exclude, truth))
        is_reachable = num_before < k + passed_over
        place = np.where(is_reachable, np.cumsum(is_reachable) - 1, PAD).astype(np.int32)
        return cls(np.flatnonzero(is_reachable), place)

    def rows(self, catalogue: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows [m, d] of the embeddings of all items; not copied where all items are reachable."""
        return catalogue if len(self.items) == len(catalogue) else catalogue[self.items]

    def within(self, sets: Histories) -> Histories:
        """The same rows without items that are not reachable, by place."""
        if len(self.items) == len(self.place):
            return sets
        place = self.place[sets.items]
        return replace(sets, items=place).keep(place != PAD)

    def items_at(self, places: NDArray[np.int32]) -> NDArray[np.int32]:
        """Item index of each place, in the same shape; PAD stays PAD."""
        return np.where(places == PAD, PAD, self.items[places]).astype(np.int32)


def _shared(catalogue: NDArray[np.float32]) -> NDArray[np.int64]:
    """Items that share their first two values with another item, ascending: a superset of those with an equal.

    Comparing whole embeddings would take a hundredth of the time of a ranking.
    """
    first = np.ascontiguousarray(catalogue[:, :2])
    bits = first.view(np.uint64 if first.shape[1] == 2 else np.uint32)[:, 0]
    in_order = np.sort(bits)
    return np.flatnonzero(np.isin(bits, in_order[1:][in_order[1:] == in_order[:-1]]))


def _equals(catalogue: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """[n] number of items of smaller index with the same embedding, bit by bit; [n] whether another item has it."""
    rows = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(catalogue.shape[1] * catalogue.itemsize), len(catalogue), [None, pa.py_buffer(catalogue)]
    )
    group = rows.dictionary_encode().indices.to_numpy()
    sizes = np.bincount(group)
    order = np.argsort(group, kind="stable")
    num_before = np.empty(len(group), np.int64)
    num_before[order] = np.arange(len(group)) - np.repeat(offsets_of(sizes)[:-1], sizes)
    return num_before, sizes[group] > 1


def _most(sets: Histories, counted: NDArray[np.bool_]) -> int:
    """The largest number of counted items in a row."""
    return max(
        int(np.bincount(block.rows[counted[block.items]], minlength=1).max(initial=0)) for _, block in sets.blocks()
    )
