"""A quarter of the town, as `bakeoff split` would have written it."""

import json

import numpy as np
import pandas as pd
import town
from hand_made_split import complete

from bakeoff.params import Params

NUM_USERS = 75
PARAMS = Params.model_validate(
    {
        "seed": 1,
        "softmax": {
            **town.PARAMS.softmax.model_dump(),
            "dim": 16,
            "hidden": [16],
            "users_per_batch": 19,
            "max_epochs": 4,
            "dropout": 0.3,
        },
        "two_tower": {
            **town.PARAMS.two_tower.model_dump(),
            "dim": 16,
            "hidden": [16],
            "item_hidden": [16],
            "users_per_batch": 19,
            "max_epochs": 2,
        },
    }
)
"""Four steps an epoch, the last of 18 users: what two workers get is never even."""


GROUPS = [f"g{group}" for group in range(town.NUM_GROUPS)]


def write(workspace, groups=False):
    """Train and valid: the last event of each user is the latter; perhaps the group of each item as its feature."""
    world, _ = town.town()
    histories = world.people.histories.take(range(NUM_USERS))
    events = pd.DataFrame(
        {
            "user_id": [f"u{user}" for user in histories.rows],
            "item_id": [f"i{item}" for item in histories.items],
            "timestamp": histories.timestamps,
            "position": histories.position,
        }
    )
    is_last = ~events["user_id"].duplicated(keep="last")
    workspace.vocabulary.mkdir(parents=True)
    events[~is_last].to_parquet(workspace.split / "train.parquet")
    events[is_last].to_parquet(workspace.split / "valid.parquet")
    users = pd.DataFrame({"user_id": [f"u{user}" for user in range(NUM_USERS)], "is_new": False})
    items = pd.DataFrame({"item_id": [f"i{item}" for item in range(world.num_items)], "title": "a thing"})
    users.to_parquet(workspace.vocabulary / "users.parquet")
    encoding = world.encoding.model_dump(mode="json")
    if groups:
        items["group"] = np.repeat(GROUPS, world.num_items // len(GROUPS))
        encoding["item"] |= {"tags": {"group": GROUPS}}
    items.to_parquet(workspace.vocabulary / "items.parquet")
    (workspace.vocabulary / "features.json").write_text(json.dumps(encoding))
    complete(workspace)
