"""A town that people could live in: planted tastes, popular items, sessions about one theme; and what is learned of it.

300 users, 200 items in 10 groups of 5 themes of 4 items. A user has two favourite groups and comes on six days; a
visit of five events keeps to one theme, but for some items that anybody might take, popular ones first.
"""

import numpy as np
from contenders import World
from small import FAST, FAST_TWO_TOWER, no_features

from bakeoff.core.histories import Histories, Queries
from bakeoff.evaluation.metrics.table import accuracy_per_user, means
from bakeoff.evaluation.ranking import rank
from bakeoff.models.ease.spec import EASEParams
from bakeoff.models.mf.spec import MFParams
from bakeoff.models.popularity.spec import RecentPopularityParams
from bakeoff.params import Params

NUM_USERS, NUM_ITEMS, NUM_GROUPS, THEMES, ITEMS_PER_THEME = 300, 200, 10, 5, 4
VISITS, EVENTS_PER_VISIT = 6, 5
TEST_SHARE = 0.2

LARGER = {"dim": 32, "hidden": (32,), "users_per_batch": 32, "learning_rate": 0.01, "max_epochs": 15}

PARAMS = Params(
    seed=1,
    recent_popularity=RecentPopularityParams(window_days=60),
    ease=EASEParams(regularization=50, recency_scale=3),
    mf=MFParams(dim=16, unobserved_weight=0.1, regularization=0.01, recency_scale=3),
    softmax=FAST.model_copy(update=LARGER),
    two_tower=FAST_TWO_TOWER.model_copy(update=LARGER),
)
"""Settings with which every model learns the town in seconds."""


def town():
    """The world before the test, and the test: the last fifth of each user's events."""
    users, items, times = _events(np.random.default_rng(0))
    return split_by_time(users, items, times, NUM_USERS, NUM_ITEMS)


def _events(rng):
    visits, events = (NUM_USERS, VISITS), (NUM_USERS, VISITS * EVENTS_PER_VISIT)
    favourites = rng.integers(0, NUM_GROUPS, (NUM_USERS, 2))
    mood = rng.random(visits)
    anything = rng.integers(0, NUM_GROUPS, visits)
    group = np.where(mood < 0.65, favourites[:, :1], np.where(mood < 0.95, favourites[:, 1:], anything))
    theme = np.repeat(group * THEMES + rng.integers(0, THEMES, visits), EVENTS_PER_VISIT, axis=1)
    on_theme = theme * ITEMS_PER_THEME + rng.integers(0, ITEMS_PER_THEME, events)
    popular = rng.permutation(NUM_ITEMS)[(NUM_ITEMS * rng.random(events) ** 2.5).astype(int)]
    items = np.where(rng.random(events) < 0.85, on_theme, popular)
    days = rng.integers(0, 100, (NUM_USERS, 1)) + np.cumsum(rng.integers(1, 20, visits), axis=1)
    minutes = np.tile(np.arange(EVENTS_PER_VISIT), VISITS)
    times = 1_600_000_000 + 86_400 * np.repeat(days, EVENTS_PER_VISIT, axis=1) + 60 * minutes
    users = np.repeat(np.arange(NUM_USERS), events[1])
    items, times = items.ravel(), times.ravel()
    first = np.sort(np.unique(users * NUM_ITEMS + items, return_index=True)[1])  # an item is taken once
    return users[first], items[first], times[first]


def split_by_time(users, items, times, num_users, num_items):
    """The last fifth of each user's events, at least one, is the test: a world without features, and Histories."""
    order = np.argsort(times, kind="stable")
    events = Histories.from_rows(users[order], items[order], times[order], num_users)
    late = events.position >= np.repeat(
        events.lengths - np.maximum(1, (TEST_SHARE * events.lengths).astype(int)), events.lengths
    )
    nothing = np.zeros((num_users, 0), np.float32)
    people = Queries(events.keep(~late), nothing, nothing.astype(np.int32))
    return World(people, num_items, no_features(num_items)), events.keep(late)


def ndcg_at_10(retriever, world, truth):
    """Mean NDCG@10 over users, by the evaluation's own code."""
    lists = rank(retriever, world.people, world.people.histories, truth, 10, users_per_block=512)
    return means(accuracy_per_user(lists, truth, (10,)))["ndcg@10"]
