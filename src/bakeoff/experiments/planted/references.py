"""Popularity and EASE on the town: baselines beside the contenders, which learn all at once."""

from collections.abc import Iterator
from dataclasses import dataclass

from bakeoff.experiments.planted.generator import Town
from bakeoff.models.base.encoder import Encoder
from bakeoff.models.ease import ease
from bakeoff.models.popularity.popularity import PopularityEncoder
from bakeoff.params import Params


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
