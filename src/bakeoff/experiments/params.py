"""Settings of the experiments that the claims are measured with."""

from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from bakeoff.core.parameters import Frozen, Share


class PlantedParams(Frozen):
    """A data set with known groups: users interact with items of their own group, but for some noise."""

    groups: Annotated[int, Field(ge=2)] = 4
    """Groups of users and items that share no item."""
    users_per_group: PositiveInt = 100
    """Users of each group."""
    items_per_group: PositiveInt = 80
    """Items of each group."""
    events_per_user: PositiveInt = 20
    """Events of each user."""
    noise: Share = 0.0
    """Share of a user's events that fall on items of other groups."""


class EvidenceParams(Frozen):
    """What is measured for the claims table."""

    epoch_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of their epochs for which variants of the networks are trained, with a learning rate that decays by then.
    On MovieLens 100K a half costs the softmax DNN 0.01 of NDCG@10, all variants of a group alike."""
    max_users: PositiveInt = 100_000
    """Users that variants are trained and evaluated on, and whose candidates are reranked; a seeded sample where
    there are more, which the report says."""
    depths: tuple[NonNegativeInt, ...] = (0, 1, 2, 3)
    """Numbers of hidden layers of the softmax DNN that are compared."""
    widths: tuple[PositiveInt, ...] = (64, 128)
    """Units of a hidden layer that are compared."""
    unobserved_weights: tuple[NonNegativeFloat, ...] = (0.0, 0.01, 0.1, 1.0, 10.0)
    """α₀ of MF with which folding is measured, on planted groups and on the data itself."""
    relatedness_weight: PositiveFloat = 10.0
    """α₀ of the ALS fit from which the relatedness of a user and an item is read where groups are not known."""
    new_item_share: Share = 0.1
    """Share of the items whose events are taken out of training, to ask about them as new items."""
    growth_shares: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.125, 0.25, 0.5, 1.0)
    """Shares of the users on which training cost is measured."""
    growth_catalogues: tuple[PositiveInt, ...] = (10_000, 100_000, 1_000_000)
    """Sizes of made catalogues on which a step with the full softmax and one with sampled negatives are timed."""
    serving_seconds: NonNegativeFloat = 0.8
    """Seconds for which an exported model gets one kind of request; each kind is sent at least twenty times."""
    sampled_candidates: PositiveInt = 99
    """Negatives per test item in the panel on sampled metrics."""
    rerank_candidates: tuple[PositiveInt, ...] = (100, 500)
    """Candidates of MF that the softmax DNN ranks again."""
    map_items: PositiveInt = 3_000
    """Items on the embedding map, and whose nearest items the report shows: those with the most events."""
    neighbour_items: PositiveInt = 100_000
    """Items whose nearest items are sought, each among all of them: those with the most events."""
    planted: PlantedParams = PlantedParams()
