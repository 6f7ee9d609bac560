"""Histories of users in compressed sparse rows, the queries made of them, and samples of users."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.integer]
"""Whole numbers of any width."""

PAD = -1
"""Fills a padded history where there is no item."""

EVENTS_PER_BLOCK = 1 << 22
"""Events processed at once where all are processed: temporary values take tens of bytes per event."""


def offsets_of(lengths: Ints) -> NDArray[np.int64]:
    """Offsets int64 [n + 1] of n rows of these lengths: the start of each row, and the end of the last one."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def row_blocks(offsets: NDArray[np.int64], events: int | None = None) -> Iterator[slice]:
    """Consecutive slices of rows with these offsets; one empty slice where there are no rows.

    Args:
        offsets: int64 [n + 1].
        events: largest number in a slice, unless a single row has more; EVENTS_PER_BLOCK if None.
    """
    num_rows, start, size = len(offsets) - 1, 0, EVENTS_PER_BLOCK if events is None else events
    while start < num_rows or start == 0:
        reached = int(np.searchsorted(offsets, offsets[start] + size, side="right")) - 1
        stop = min(max(reached, start + 1), num_rows)
        yield slice(start, stop)
        start = max(stop, 1)


def has_order(*timestamps: Ints) -> bool:
    """Whether times say anything about the order of events: some differ, or there is a lone event that has a time.

    Where all are the same, 0 or not, ties are in an order of chance, which nothing may be learned from.

    Args:
        timestamps: [n] each, UTC seconds of the events; 0 where unknown.
    """
    given = [times for times in timestamps if len(times)]
    if sum(map(len, given)) <= 1:
        return any(times.any() for times in given)
    return bool(min(times.min() for times in given) != max(times.max() for times in given))


def draw_users(num_users: int, count: int, seed: int) -> NDArray[np.int64]:
    """Draw at most `count` of the numbers below `num_users`, ascending; all of them if they are no more."""
    if num_users <= count:
        return np.arange(num_users)
    return np.sort(np.random.default_rng(seed).choice(num_users, count, replace=False))


@dataclass(frozen=True)
class Histories:
    """Item sequences of n users, oldest first, in compressed sparse row form.

    The arrays may be mapped from a file that is larger than memory; code that processes all events uses `blocks`.

    Attributes:
        offsets: int64 [n + 1], ascending from 0; row u holds entries offsets[u] to offsets[u + 1] (excluded).
        items: int32 [nnz], item indices in [0, num_items).
        timestamps: int64 [nnz], UTC seconds, ascending within a row; all 0 where the data has none.
        weights: float32 [nnz], what each event counts in training, below 0 of a dislike; None: all count the same.
    """

    offsets: NDArray[np.int64]
    items: NDArray[np.int32]
    timestamps: NDArray[np.int64]
    weights: NDArray[np.float32] | None = None

    @classmethod
    def from_rows(
        cls, rows: Ints, items: Ints, timestamps: Ints, num_rows: int, weights: NDArray[np.float32] | None = None
    ) -> Self:
        """Group events by row, keeping their order within each row.

        Args:
            rows: [nnz], in [0, num_rows), in any order.
            items: [nnz], item index of each event.
            timestamps: [nnz], UTC seconds of each event.
            num_rows: number of rows of the result; rows without an event are empty.
            weights: [nnz], weight of each event; None: all count the same.
        """
        order = np.argsort(rows, kind="stable")
        offsets = offsets_of(np.bincount(rows, minlength=num_rows))
        times = timestamps[order].astype(np.int64)
        return cls(offsets, items[order].astype(np.int32), times, None if weights is None else weights[order])

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """[n] number of events of each row."""
        return np.diff(self.offsets)

    @property
    def rows(self) -> NDArray[np.int64]:
        """[nnz] row of each event."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def first_times(self) -> NDArray[np.int64]:
        """[n] UTC seconds of the first event of each row; 0 where there is none, or its time is unknown."""
        return self._times_at(self.offsets[:-1])

    @property
    def last_times(self) -> NDArray[np.int64]:
        """[n] UTC seconds of the last event of each row; 0 where there is none, or its time is unknown."""
        return self._times_at(self.offsets[1:] - 1)

    def _times_at(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """[n] UTC seconds of the event at a place of each row; 0 for empty rows."""
        times, held = np.zeros(len(self), np.int64), self.lengths > 0
        times[held] = self.timestamps[places[held]]
        return times

    def keys(self, stride: int) -> NDArray[np.int64]:
        """Row · stride + item of each event: equal for equal pairs, if every item is below `stride`."""
        return self.rows * np.int64(stride) + self.items

    @classmethod
    def joined(cls, blocks: Iterable[Self]) -> Self:
        """The rows of all blocks, one block after the other; at least one block. Without weights where one has none."""
        held = list(blocks)
        if len(held) == 1:
            return held[0]
        weights = [block.weights for block in held if block.weights is not None]
        return cls(
            offsets_of(np.concatenate([block.lengths for block in held])),
            np.concatenate([block.items for block in held]),
            np.concatenate([block.timestamps for block in held]),
            np.concatenate(weights) if len(weights) == len(held) else None,
        )

    def take(self, rows: Ints) -> Self:
        """Rows in the given order, repeats allowed; consecutive rows are not copied."""
        if len(rows) and rows[-1] - rows[0] + 1 == len(rows) and (np.diff(rows) == 1).all():
            return self.part(int(rows[0]), int(rows[-1]) + 1)
        lengths = self.lengths[rows]
        offsets = offsets_of(lengths)
        index = np.repeat(self.offsets[rows] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return self.chosen(offsets, index)

    def part(self, start: int, stop: int) -> Self:
        """Rows from `start` to `stop` (excluded); events are not copied."""
        offsets = self.offsets[start : stop + 1]
        events = slice(int(offsets[0]), int(offsets[-1]))
        return self.chosen(offsets - offsets[0], events)

    def blocks(self, events: int | None = None) -> Iterator[tuple[slice, Self]]:
        """Consecutive parts of the rows, each with the slice it covers; one empty part where there are no rows.

        Args:
            events: largest number in a part, unless a single row has more; EVENTS_PER_BLOCK if None.
        """
        for part in row_blocks(self.offsets, events):
            yield part, self.part(part.start, part.stop)

    def item_counts(self, num_items: int) -> NDArray[np.int64]:
        """[num_items] number of events of each item."""
        counts = np.zeros(num_items, np.int64)
        for _, block in self.blocks():
            counts += np.bincount(block.items, minlength=num_items)
        return counts

    def row_counts(self, num_items: int) -> NDArray[np.int64]:
        """[num_items] number of rows that hold each item, however often."""
        counts = np.zeros(num_items, np.int64)
        for _, block in self.blocks():
            keys = np.sort(block.keys(num_items), kind="stable")  # of whole rows, so that no pair is in two blocks
            different = keys[np.diff(keys, prepend=-1) > 0]
            counts += np.bincount(different % num_items, minlength=num_items)
        return counts

    def merged(self, other: Self) -> Self:
        """Events of both in time order, row by row; at equal timestamps those of `other` come last."""
        return self.joined(self.merged_blocks(other))

    def merged_blocks(self, other: Self) -> Iterator[Self]:
        """The rows of `merged` in consecutive blocks."""
        for part, block in self.blocks():
            others = other.part(part.start, part.stop)
            both, rows = self.joined([block, others]), np.concatenate([block.rows, others.rows])
            in_time_order = np.lexsort((both.timestamps, rows))  # stable
            yield both.chosen(offsets_of(block.lengths + others.lengths), in_time_order)

    def keep(self, mask: NDArray[np.bool_]) -> Self:
        """The same rows without the events for which the mask [nnz] is False."""
        lengths = np.bincount(self.rows[mask], minlength=len(self))
        return self.chosen(offsets_of(lengths), mask)

    def renumbered(self, numbers: NDArray[np.int32]) -> Self:
        """Events under other numbers of their items; those of items numbered PAD are left out.

        Args:
            numbers: int32 [num_items], the new number of each item.
        """
        items = numbers[self.items]
        return replace(self, items=items).keep(items != PAD)

    def first(self, count: int) -> Self:
        """At most the first `count` events of each row."""
        return self.keep(self.position < count)

    def last(self, count: int) -> Self:
        """At most the last `count` events of each row."""
        return self.keep(self.position >= np.repeat(self.lengths - count, self.lengths))

    def windows(self, size: int | None) -> Self:
        """Each row cut into round(length / size) windows of consecutive events, as even as can be; nothing is copied.

        Args:
            size: events of a window, about; a row of less than 1.5 sizes stays whole. None: all rows stay whole.
        """
        if size is None:
            return self
        lengths = self.lengths
        counts = np.maximum((2 * lengths + size) // (2 * size), 1)
        rows = np.repeat(np.arange(len(self)), counts)
        places = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)  # of a window in its row
        starts = self.offsets[rows] + lengths[rows] * places // counts[rows]
        return replace(self, offsets=np.append(starts, self.offsets[-1]))

    def padded(self, width: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The last `width` events of each row, oldest first, flush left, then PAD (items) and 0 (timestamps).

        Returns:
            items int32 [n, width] and timestamps int64 [n, width].
        """
        recent = self.last(width)
        items = np.full((len(self), width), PAD, np.int32)
        timestamps = np.zeros((len(self), width), np.int64)
        places = recent.rows, recent.position
        items[places], timestamps[places] = recent.items, recent.timestamps
        return items, timestamps

    @property
    def position(self) -> NDArray[np.int64]:
        """[nnz], place of each event in its row: 0 is the oldest."""
        return np.arange(len(self.items)) - np.repeat(self.offsets[:-1], self.lengths)

    def chosen(self, offsets: NDArray[np.int64], events: NDArray[Any] | slice) -> Self:
        """Some of the events, in rows with these offsets."""
        weights = None if self.weights is None else self.weights[events]
        return type(self)(offsets, self.items[events], self.timestamps[events], weights)


@dataclass(frozen=True)
class Queries:
    """A block of n queries: what is known of each user when recommendations are made.

    Attributes:
        histories: what each user interacted with so far; may be empty.
        dense: float32 [n, num_dense], standardised user features; 0 where unknown.
        categorical: int32 [n, num_categorical], codes of user features; 0 where unknown.
        times: int64 [n], UTC seconds at which each query is asked, 0 where unknown; None: unknown for all.
    """

    histories: Histories
    dense: NDArray[np.float32]
    categorical: NDArray[np.int32]
    times: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.histories)

    def take(self, rows: Ints) -> Self:
        """Queries in the given order, repeats allowed."""
        times = None if self.times is None else self.times[rows]
        return type(self)(self.histories.take(rows), self.dense[rows], self.categorical[rows], times)

    def padded(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Whole histories, padded to the longest; after a history's last event, timestamps hold the query's time.

        Returns:
            items int32 [n, W] and timestamps int64 [n, W], W ≥ 1; see `Histories.padded`.
        """
        lengths, times = self.histories.lengths, self.times
        # At least one column, so that a block of empty histories still has a shape to compute with.
        items, timestamps = self.histories.padded(max(1, int(lengths.max(initial=0)) + (times is not None)))
        if times is not None:
            timestamps[np.arange(len(self)), lengths] = times
        return items, timestamps

    def blocks(self, size: int) -> Iterator[tuple[slice, Self]]:
        """Consecutive blocks of at most `size` queries, each with the slice it covers."""
        for start in range(0, len(self), size):
            part = slice(start, min(start + size, len(self)))
            yield part, self.take(np.arange(part.start, part.stop))
