"""The nearest-neighbour model as Bakeoff knows it: its settings and its spec."""

from pydantic import NonNegativeFloat

from bakeoff.core.parameters import Frozen
from bakeoff.models.base.specs import ModelSpec


class ItemKNNParams(Frozen):
    """Nearest neighbours of items, by cosine."""

    shrinkage: NonNegativeFloat = 1.0
    """Added to the denominator of each cosine, so that pairs seen rarely count less."""


SPECS = (
    ModelSpec(
        name="item_knn",
        label="Item-kNN",
        role="baseline",
        params=ItemKNNParams,
        fit="item_knn.model:fit",
        load="item_knn.model:load",
        graph="item_knn.graph:ItemKNNEncoder",
        meaning="Scores an item by its cosines with the items of the history.",
        precomputed="The cosines of items with items are stored, n × n.",
        is_order_blind=lambda settings: True,
    ),
)
