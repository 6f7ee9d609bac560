"""A table with a row per item, divided among the workers of a team: none of them need hold all of it."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.team import Team

ROWS_PER_MEETING = 1 << 16
"""Rows that are sent at once where a whole table is."""


class Division:
    """Who has which rows: of w workers, worker k has rows k, k + w, k + 2 w and so on.

    Rows are in the order of what is popular or new in many data sets: so each has its share of those that are in use.
    """

    def __init__(self, team: Team, num_rows: int) -> None:
        """Divide so many rows among the team."""
        self._team, self.num_rows = team, num_rows

    @property
    def own(self) -> slice:
        """Rows of this worker."""
        return self.own_from(0)

    def own_from(self, start: int) -> slice:
        """Those of this worker among the rows from `start` on."""
        return slice((self._team.index - start) % self._team.count, None, self._team.count)

    @property
    def num_own(self) -> int:
        """How many."""
        return len(range(self.num_rows)[self.own])

    def share_of(self, table: Any, rows: Any) -> Any:
        """What this worker adds to these rows: they are its own or, where another has them, 0.

        Args:
            table: float32 [num_own, d].
            rows: int32 [M].

        Returns:
            float32 [M, d]; summed over the team, the rows.
        """
        is_own = tf.equal(rows % self._team.count, self._team.index)
        return tf.where(is_own[:, tf.newaxis], tf.gather(table, tf.where(is_own, rows // self._team.count, 0)), 0.0)

    def own_gradient(self, gradient: Any, rows: Any) -> Any:
        """The gradient of this worker's table.

        Args:
            gradient: float32 [M, d], of these rows.
            rows: int32 [M], distinct.
        """
        mine = tf.where(tf.equal(rows % self._team.count, self._team.index))[:, 0]
        own = tf.gather(rows, mine) // self._team.count
        return tf.IndexedSlices(tf.gather(gradient, mine), own, dense_shape=(self.num_own, gradient.shape[1]))

    def whole(self, table: Any, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """These rows, on every worker: a meeting."""
        return self._team.total(np.asarray(self.share_of(table, tf.constant(rows, tf.int32))))

    def gathered(self, tables: Mapping[str, Any]) -> dict[str, NDArray[np.float32]]:
        """All rows of these tables, for the chief; nothing for others. A meeting."""
        found: dict[str, NDArray[np.float32]] = {}
        for name, table in tables.items():
            parts = [self.whole(table, rows) for rows in self._meetings()]
            if self._team.is_chief:
                found[name] = np.concatenate(parts)
        return found

    def scatter(self, tables: Mapping[str, Any], values: Mapping[str, NDArray[Any]]) -> None:
        """Give every worker its rows of what the chief has: a meeting. Values of others are not looked at.

        Args:
            tables: variables [num_own, d] by name.
            values: float32 [num_rows, d] by the same names.
        """
        for name, table in tables.items():
            own = []
            for rows in self._meetings():
                sent = np.zeros((len(rows), table.shape[1]), np.float32)
                received = self._team.total(values[name][rows] if self._team.is_chief else sent)
                own.append(received[self.own_from(int(rows[0]))])
            table.assign(np.concatenate(own))

    def _meetings(self) -> Iterator[NDArray[np.int64]]:
        for start in range(0, self.num_rows, ROWS_PER_MEETING):
            yield np.arange(start, min(start + ROWS_PER_MEETING, self.num_rows))
