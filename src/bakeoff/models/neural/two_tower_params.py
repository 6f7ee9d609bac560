"""The two-tower model: the softmax DNN with a network on the item side."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, model_validator

from bakeoff.core.parameters import Dimension, Search, Share
from bakeoff.models.neural.params import NegativesParams, SoftmaxParams


class TwoTowerNegativesParams(NegativesParams):
    """What the two-tower model is trained against: items that have a train event, and none that have not.

    Nobody could have chosen a new item yet. Samplers that draw it all the same (uniform, log-uniform, full) teach the
    tower that its kind is never chosen: on MovieLens 100K its recall@100 fell from .27 to 0. So they are not offered.
    """

    sampler: Annotated[
        Literal["in-batch", "popularity", "mixed"], Search(choices=("in-batch", "popularity", "mixed"))
    ] = "mixed"
    """Where negatives come from: other users' targets; train frequency^β; or both."""
    mixture: Annotated[tuple[Literal["in-batch", "popularity"], ...], Field(min_length=1)] = ("in-batch", "popularity")
    """Samplers whose candidates are put together (mixed)."""
    popularity_exponent: NonNegativeFloat = 0.5
    """β: the popularity sampler draws items in proportion to train frequency^β; 0: all that have a train event
    alike."""


class TwoTowerParams(SoftmaxParams):
    """Two-tower: item features map to item embeddings, so that items without a train event can be ranked."""

    item_hidden: Annotated[tuple[Dimension, ...], Search(choices=((), (64,), (128,)))] = (64,)
    """Widths of the ReLU hidden layers of the item tower; none: an embedding is linear in the features."""
    use_item_id: bool = True
    """Whether an item that was trained on has an embedding of its own beside that of its features."""
    # 0 is not searched: validation has next to no events on new items, and would choose it at their cost.
    item_id_dropout: Annotated[Share, Search(choices=(0.1, 0.2, 0.3, 0.5))] = 0.1
    """Share of items whose own embedding is dropped in a training step, so that their features carry weight."""
    item_text_dropout: Annotated[Share, Search(choices=(0.5, 0.7, 0.9))] = 0.9
    """Share of items whose words are dropped in a training step, so that they are not learned as an id."""
    negatives: TwoTowerNegativesParams = TwoTowerNegativesParams()
    """Negative sampling."""

    @model_validator(mode="after")
    def _items_are_told_apart(self) -> Self:
        if not self.use_item_features and not self.use_item_id:
            raise ValueError("use_item_features and use_item_id are both false: nothing is left to tell items apart by")
        return self
