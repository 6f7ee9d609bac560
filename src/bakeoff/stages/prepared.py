"""What training, evaluation and reports read of a split: tables, features and histories in memory."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.errors import BakeoffError
from bakeoff.preparation.features import EncodedFeatures, FeatureEncoding
from bakeoff.preparation.histories import Histories, Queries
from bakeoff.workspace import Workspace


@dataclass(frozen=True)
class Prepared:
    """A split, indexed.

    Attributes:
        users: vocabulary/users.parquet; row u is the user with user_index u, warm users first.
        items: vocabulary/items.parquet; row i is the item with item_index i.
        user_features: encoded features of all users.
        item_features: encoded features of all items.
        encoding: how raw features are encoded, for people who are not in the split.
        train: events to learn from. Rows of all Histories here are user_index over all users.
        valid: events of warm users on which settings and epochs are chosen.
        test: events of warm users that are asked about.
        new_history: what new users tell about themselves; rows of warm users are empty.
        new_test: events of new users that are asked about; rows of warm users are empty.
    """

    users: pd.DataFrame
    items: pd.DataFrame
    user_features: EncodedFeatures
    item_features: EncodedFeatures
    encoding: FeatureEncoding
    train: Histories
    valid: Histories
    test: Histories
    new_history: Histories
    new_test: Histories

    @property
    def num_users(self) -> int:
        """Warm and new users."""
        return len(self.users)

    @property
    def num_items(self) -> int:
        """Items of the catalogue, with or without events."""
        return len(self.items)

    @property
    def num_warm_users(self) -> int:
        """Users with train events: the rows 0 to num_warm_users − 1."""
        return int((~self.users["is_new"]).sum())

    def known(self) -> Histories:
        """Train and valid events in time order: what is known of a warm user when test is asked about."""
        return self.train.merged(self.valid)

    def queries(self, histories: Histories, rows: NDArray[np.integer]) -> Queries:
        """Queries of the users with index `rows`, in that order, who have these histories (of all users)."""
        features = self.user_features
        return Queries(histories.take(rows), features.dense[rows], features.categorical[rows])


def load_prepared(workspace: Workspace) -> Prepared:
    """Read `artifacts/split`.

    Raises:
        BakeoffError: a file is missing, or an event names a user or an item that is not in the vocabulary.
    """
    folder = workspace.split
    vocabulary = workspace.vocabulary
    try:
        users = pd.read_parquet(vocabulary / "users.parquet")
        items = pd.read_parquet(vocabulary / "items.parquet")
        encoding = FeatureEncoding.model_validate_json((vocabulary / "features.json").read_bytes())
        events = {name: pd.read_parquet(folder / f"{name}.parquet") for name in ("train", "valid", "test", "new_users")}
    except FileNotFoundError as error:
        raise BakeoffError(f"{error.filename or error} is missing: run `bakeoff split` first.") from None

    def histories(part: pd.DataFrame) -> Histories:
        rows = _index(part["user_id"], users["user_id"])
        columns = _index(part["item_id"], items["item_id"])
        return Histories.from_rows(rows, columns, part["timestamp"].to_numpy(), len(users))

    new_users = events["new_users"]
    return Prepared(
        users=users,
        items=items,
        user_features=encoding.user.encode(users),
        item_features=encoding.item.encode(items),
        encoding=encoding,
        train=histories(events["train"]),
        valid=histories(events["valid"]),
        test=histories(events["test"]),
        new_history=histories(new_users[new_users["part"] == "history"]),
        new_test=histories(new_users[new_users["part"] == "test"]),
    )


def _index(ids: pd.Series, vocabulary: pd.Series) -> NDArray[np.int64]:
    index: NDArray[np.int64] = pd.Index(vocabulary).get_indexer(ids)
    if (index < 0).any():
        stranger = ids[index < 0].iloc[0]
        raise BakeoffError(
            f"{ids.name} {stranger!r} has events but is not in the vocabulary: the files of artifacts/split "
            "are of different runs. Run `dvc repro split`."
        )
    return index
