"""Every retriever of the project, trained on a small world: what the contract suite runs on."""

from dataclasses import dataclass

import numpy as np
from small import FAST, FAST_TWO_TOWER, histories, no_features, queries

from bakeoff.core.histories import Queries
from bakeoff.data.features.encoding import EncodedFeatures, FeatureEncoding
from bakeoff.models.base import specs
from bakeoff.models.base.specs import resolve
from bakeoff.models.base.storage import KnownUsers
from bakeoff.models.ease.spec import EASEParams
from bakeoff.models.mf.spec import MFParams
from bakeoff.models.popularity.spec import RecentPopularityParams
from bakeoff.params import Params

NAMES = list(specs.names())
"""Whatever the pipeline trains has to pass the suite."""

ATTENTION = {"softmax with attention": "softmax", "two_tower with attention": "two_tower"}
"""Further cases of the suite, and the model of each: its query tower is a transformer."""

SMALL = Params(
    seed=1,
    recent_popularity=RecentPopularityParams(window_days=1),
    ease=EASEParams(regularization=2, recency_scale=8),
    mf=MFParams(dim=4, unobserved_weight=0.1, regularization=0.01),
    softmax=FAST,
    two_tower=FAST_TWO_TOWER,
)
"""Settings for worlds of a few users and items."""

ENCODING = FeatureEncoding.model_validate(
    {"user": {"dense": {"age": {"mean": 30, "std": 10}}, "categorical": {"job": ["cook", "nurse"], "town": []}}}
)

NO_ENCODING = FeatureEncoding()


@dataclass(frozen=True)
class World:
    """People with a history, and a catalogue; item j is called `item j`, user u `user u`."""

    people: Queries
    num_items: int
    item_features: EncodedFeatures
    encoding: FeatureEncoding = NO_ENCODING
    trained_dislikes: None = None

    @property
    def item_ids(self):
        return [f"item {j}" for j in range(self.num_items)]

    @property
    def user_ids(self):
        return [f"user {u}" for u in range(len(self.people))]

    @property
    def users(self):
        return KnownUsers({user: row for row, user in enumerate(self.user_ids)}, self.people)

    @property
    def catalogue(self):
        return self.item_ids, self.users, self.encoding.user


def spec_of(name):
    """Spec of a model or of a case of ATTENTION."""
    return specs.spec(ATTENTION.get(name, name))


def fitted(name, world, epochs, params=SMALL):
    """A trained retriever with the settings that were in force; the world takes the place of a split."""
    spec, section = spec_of(name), params.section(ATTENTION.get(name, name))
    if name in ATTENTION:
        one_block = section.attention.model_copy(update={"blocks": 1})  # a graph of two takes twice as long to trace
        section = section.model_copy(update={"tower": "attention", "attention": one_block})
    if not spec.has_epochs:
        found = resolve(spec.fit)(world, world.people, section, params.seed)
        return found.retriever, found.settings
    trainer = resolve(spec.trainer)(world, world.people, section, params.seed)
    for _ in range(epochs):
        trainer.run_epoch()
    return trainer.retriever(), trainer.settings()


def train(name, world, epochs, params=SMALL):
    """A trained retriever of the model with this name."""
    return fitted(name, world, epochs, params)[0]


def checkerboard(size=20):
    """User u likes the items of u's parity, in random order; item u is withheld from user u. No features at all."""
    rng = np.random.default_rng(0)
    rows = [rng.permutation([j for j in range(size) if j % 2 == u % 2 and j != u]).tolist() for u in range(size)]
    return World(queries(rows), size, no_features(size))


NEVER_SEEN = (12, 13)
"""Items of the shop that nobody has."""

GLUTTON = 14
"""User of the shop who has every item that anybody has."""


def shop():
    """15 users, of whom 0 and 1 are alike in all respects and the last has everything; 14 items, 2 without events."""
    rng = np.random.default_rng(1)
    rows = [rng.choice(12, rng.integers(1, 7), replace=False).tolist() for _ in range(15)]
    rows[1], rows[GLUTTON] = rows[0], list(range(12))
    dense = rng.normal(0, 1, (15, 1)).astype(np.float32)
    categorical = np.stack([rng.integers(0, 3, 15), np.zeros(15)], axis=1).astype(np.int32)
    dense[1], categorical[1] = dense[0], categorical[0]
    features = EncodedFeatures(
        rng.normal(0, 1, (14, 1)).astype(np.float32), rng.integers(0, 3, (14, 1)).astype(np.int32), (2,)
    )
    return World(Queries(histories(rows), dense, categorical), 14, features, ENCODING)


def kiosk():
    """One user and one item."""
    return World(queries([[0]]), 1, no_features(1))
