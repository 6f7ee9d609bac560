"""Settings of the nearest-neighbour model."""

from pydantic import NonNegativeFloat

from bakeoff.core.parameters import Frozen


class ItemKNNParams(Frozen):
    """Nearest neighbours of items, by cosine."""

    shrinkage: NonNegativeFloat = 1.0
    """Added to the denominator of each cosine, so that pairs seen rarely count less."""
