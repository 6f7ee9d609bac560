"""A table in pieces that are prepared one after the other: nothing that is sorted at once grows with the data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import ibis.expr.types as ir


@dataclass(frozen=True)
class Divided:
    """A table and its pieces.

    Attributes:
        pieces: each row is in one of them, one piece at least; whoever divides says by what.
        whole: all rows.
    """

    pieces: tuple[ir.Table, ...]
    whole: ir.Table

    @classmethod
    def undivided(cls, table: ir.Table) -> Self:
        """A table in one piece."""
        return cls((table,), table)

    def map(self, of_piece: Callable[[ir.Table], ir.Table]) -> Self:
        """What is made of each piece; of the whole table it must make the same rows."""
        pieces = tuple(map(of_piece, self.pieces))
        return type(self)(pieces, pieces[0] if len(pieces) == 1 else of_piece(self.whole))
