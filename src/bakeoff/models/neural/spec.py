"""The softmax DNN and the two-tower model as the rest of the project knows them."""

from bakeoff.models.base.spec import DataFacts, ModelSpec
from bakeoff.models.neural.params import SoftmaxParams, TwoTowerParams

_STAR = "M0,-1.2L0.3,-0.4L1.15,-0.37L0.48,0.16L0.7,0.97L0,0.5L-0.7,0.97L-0.48,0.16L-1.15,-0.37L-0.3,-0.4Z"
"""Five points, as a path."""

_PRECOMPUTED = (
    "Item embeddings are stored, and a query is embedded when it is asked: its history and features go through the "
    "query tower"
)

NO_FEATURES = (
    "Items have no features, and without them the two-tower model is the softmax DNN: "
    "name some under data.item_features in params.yaml."
)


def why_not(facts: DataFacts, section: TwoTowerParams) -> str | None:
    """Why the two-tower model can't be trained on this data, or None."""
    return None if facts.has_item_features else NO_FEATURES


SPECS = (
    ModelSpec(
        name="softmax",
        label="Softmax DNN",
        noun="the softmax DNN",
        role="contender",
        rank=50,
        meaning="A neural network turns what is known of a user (history, features) into a query embedding; the "
        "output layer holds one embedding per item, and a softmax over items is trained to predict what "
        "comes next.",
        params=SoftmaxParams,
        trainer="bakeoff.models.neural.trainer:build",
        load="bakeoff.models.neural.encoder:load",
        graph="bakeoff.models.neural.encoder:encoder_of",
        precomputed=f"{_PRECOMPUTED}.",
        embeds_items_by="use_item_features",
        light="#b5430a",
        dark="#ff9a5e",
        shape="diamond",
        dash=(1, 0),
    ),
    ModelSpec(
        name="two_tower",
        label="Two-tower",
        noun="the two-tower model",
        role="other",
        rank=60,
        meaning="Like the softmax DNN, with a second network that turns the features of an item into its embedding: "
        "items that nobody has had yet can be recommended too.",
        params=TwoTowerParams,
        trainer="bakeoff.models.neural.trainer:build",
        load="bakeoff.models.neural.encoder:load",
        graph="bakeoff.models.neural.encoder:encoder_of",
        why_not=why_not,
        precomputed=f"{_PRECOMPUTED}; the item tower has run beforehand.",
        embeds_items_by="item_hidden",
        light="#7d2a86",
        dark="#c56fdc",
        shape=_STAR,
        dash=(10, 3),
    ),
)
