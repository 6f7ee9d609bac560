"""A small split, as `bakeoff split` would have written it, and settings that train on it in a second."""

import json

import numpy as np
import pandas as pd
from hand_made_split import complete

from bakeoff.params import Params

ITEMS = [f"i{j}" for j in range(1, 13)]
WARM = [f"u{u}" for u in range(1, 15)]
NEW = ["n1", "n2"]

PARAMS = Params.model_validate(
    {
        "seed": 7,
        "data": {
            "user_features": {"age": "dense", "job": "categorical"},
            "item_features": {"year": "dense", "genres": "tags"},
        },
        "recent_popularity": {"window_days": 0.001},
        "ease": {"regularization": 2, "recency_scale": 3},
        "mf": {"dim": 4, "max_epochs": 3},
        "softmax": {
            "dim": 4,
            "hidden": [4],
            "max_epochs": 2,
            "users_per_batch": 4,
            "cuts_per_user": 2,
            "target_window": 2,
            "recency_scales": [1, 8],
        },
        "two_tower": {
            "dim": 4,
            "hidden": [4],
            "item_hidden": [4],
            "max_epochs": 2,
            "users_per_batch": 4,
            "cuts_per_user": 2,
            "target_window": 2,
            "recency_scales": [1, 8],
        },
        "evaluate": {"cutoffs": [2, 10], "list_length": 10, "first_interactions": [0, 1]},
        "evidence": {"serving_seconds": 0},
    }
)
FEATURES = {
    "user": {"dense": {"age": {"mean": 40.0, "std": 10.0}}, "categorical": {"job": ["cook", "nurse"]}},
    "item": {"dense": {"year": {"mean": 2000.0, "std": 5.0}}, "tags": {"genres": ["Comedy", "Drama"]}},
}


def write_split(workspace, with_valid=True):
    """Every warm user has five events: three train, one valid, one test; the last item has none at all."""
    rng = np.random.default_rng(3)
    everyone = [*WARM, *NEW]
    events = pd.DataFrame(
        [
            {"user_id": user, "item_id": item, "timestamp": 1_000 + 60 * place, "position": np.int32(place)}
            for user in everyone
            for place, item in enumerate(rng.choice(ITEMS[:-1], 5, replace=False))
        ]
    )
    warm, new = events[events["user_id"].isin(WARM)], events[events["user_id"].isin(NEW)]
    place = warm["position"]
    parts = {"train": warm[place < 3], "valid": warm[(place == 3) & with_valid], "test": warm[place == 4]}
    parts["new_users"] = new.assign(part=np.where(new["position"] < 4, "history", "test"))
    workspace.vocabulary.mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        part.to_parquet(workspace.split / f"{name}.parquet", index=False)
    users = pd.DataFrame({"user_index": np.arange(len(everyone), dtype=np.int32), "user_id": everyone})
    users = users.assign(
        is_new=users["user_id"].isin(NEW),
        age=rng.normal(40, 10, len(everyone)),
        job=rng.choice(["cook", "nurse"], len(everyone)),
    )
    users.to_parquet(workspace.vocabulary / "users.parquet", index=False)
    counts = {name: _counts(*chosen) for name, chosen in _counted(parts).items()}
    items = pd.DataFrame({"item_index": np.arange(len(ITEMS), dtype=np.int32), "item_id": ITEMS})
    items = items.assign(
        title=[f"Title [of] {item} :star: (a film with a long name)" for item in ITEMS],
        year=rng.normal(2000, 5, len(ITEMS)),
        genres=rng.choice(["Drama", "Comedy", "Comedy|Drama"], len(ITEMS)),
        **counts,
    )
    items.to_parquet(workspace.vocabulary / "items.parquet", index=False)
    (workspace.vocabulary / "features.json").write_text(json.dumps(FEATURES), encoding="utf-8")
    complete(workspace)


def _counted(parts):
    return {"train_count": [parts["train"]], "fit_count": [parts["train"], parts["valid"]]}


def _counts(*parts):
    return pd.concat(parts)["item_id"].value_counts().reindex(ITEMS, fill_value=0).to_numpy(np.int64)
