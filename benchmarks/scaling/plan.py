"""At which sizes which stages run."""

import argparse
from collections.abc import Collection
from dataclasses import dataclass

from scaling.data import Size, size_of

SIZES = (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
TABLES = (30_000_000, 100_000_000)
"""Interactions at which TABLE_STAGES alone run: pieces, sorting and spilling show only where data are large."""
TABLE_STAGES = ("validate", "split")
REPEATED = (*TABLE_STAGES, "train@mf", "train@softmax", "train@two_tower", "serving")
"""Stages that are meant to grow as the interactions do run several times at each size, and the median counts. A run
differs from the next by a tenth, and a machine is faster at one hour than at another: so all sizes have had one round
before the next begins."""
RUNS = {1: "one run", 2: "the more expensive of two runs", 3: "the median of three runs"}
"""By the number of rounds, which run of REPEATED counts."""
STEADY, STEADY_ITEMS = (300_000, 1_000_000, 3_000_000, 10_000_000), 10_000
"""Interactions that grow while the catalogue stays as it is, and its items."""
STEADY_STAGES = (*TABLE_STAGES, "train@mf", "train@softmax", "train@two_tower")
"""Stages that run there: tables, and trainings, each step of which a larger catalogue makes more expensive."""
CATALOGUES = (1_000, 100_000, 1_000_000)
"""Sizes of the catalogue in a further series, with INTERACTIONS each."""
INTERACTIONS = 300_000
SMALLEST = 2_000
"""Interactions of a data set that costs what starting costs, and little else."""


@dataclass(frozen=True)
class Plan:
    """Sizes, each series in its order.

    Attributes:
        growing: those that grow in everything, for all stages.
        tables: those among them at which TABLE_STAGES alone run.
        steady: those that grow in interactions and users alone, for STEADY_STAGES.
        catalogues: those that grow in items alone, the usual one of so many interactions among them, for all stages.
    """

    growing: tuple[Size, ...]
    tables: tuple[Size, ...]
    steady: tuple[Size, ...]
    catalogues: tuple[Size, ...]

    @property
    def start(self) -> Size:
        """The smallest of those that grow in everything."""
        return size_of(SMALLEST)

    @property
    def steady_start(self) -> Size:
        """The smallest of the steady ones."""
        return size_of(SMALLEST, STEADY_ITEMS)

    def stages(self) -> dict[Size, Collection[str] | None]:
        """The stages of each size but the catalogues, in the order in which they run; None: all."""
        steady = (self.steady_start, *self.steady) if self.steady else ()
        alone = dict.fromkeys(steady, STEADY_STAGES) | dict.fromkeys(self.tables, TABLE_STAGES)
        full = dict.fromkeys((self.start, *(size for size in self.growing if size not in self.tables)))
        return dict(sorted((alone | full).items(), key=lambda each: (each[0].interactions, each[0].items)))


def plan(arguments: argparse.Namespace) -> Plan:
    """The requested sizes: `sizes`, `tables` and `steady` are interactions, `catalogues` items.

    Raises:
        ValueError: one of the sizes is too small to be made.
    """
    tables = set(arguments.tables) - set(arguments.sizes)
    growing = [size_of(interactions) for interactions in sorted({*arguments.sizes, *tables})]
    catalogues = {size_of(INTERACTIONS, items) for items in arguments.catalogues}
    if catalogues:
        catalogues.add(size_of(INTERACTIONS))
    return Plan(
        tuple(growing),
        tuple(size for size in growing if size.interactions in tables),
        tuple(size_of(interactions, STEADY_ITEMS) for interactions in sorted(set(arguments.steady))),
        tuple(sorted(catalogues, key=lambda size: size.items)),
    )
