"""The nearest-neighbour model as Bakeoff knows it."""

from bakeoff.models.base.spec import ModelSpec
from item_knn.params import ItemKNNParams

SPECS = (
    ModelSpec(
        name="item_knn",
        label="Item-kNN",
        role="baseline",
        params=ItemKNNParams,
        fit="item_knn.model:fit",
        load="item_knn.model:load",
        graph="item_knn.graph:encoder_of",
        meaning="Scores an item by its cosines with the items of the history.",
        precomputed="The cosines of items with items are stored, n × n.",
        order="blind",
    ),
)
