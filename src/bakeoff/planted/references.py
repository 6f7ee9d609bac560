"""Popularity and EASE on the town: baselines beside the contenders, which learn all at once."""

from collections.abc import Iterator
from dataclasses import dataclass

from bakeoff.models import ease
from bakeoff.models.encoder import Encoder
from bakeoff.models.popularity import PopularityEncoder
from bakeoff.params import Params
from bakeoff.planted.generator import Town


@dataclass(frozen=True)
class Reference:
    """A baseline with the shipped settings; attributes as those of a `Planted`."""

    name: str
    model: str
    label: str = "as shipped"
    base: bool = True
    unobserved_weight: float | None = None


def references(params: Params, town: Town) -> Iterator[tuple[Reference, Encoder]]:
    """Each with what it has learned of the train part; EASE where its matrix of items on items is allowed."""
    train, num_items = town.prepared.train, town.prepared.num_items
    yield Reference("popularity", "popularity"), PopularityEncoder(train.item_counts(num_items))
    if num_items <= params.ease.max_items:
        yield Reference("ease", "ease"), ease.fit(train, num_items, params.ease)
