"""What training, evaluation and reports read of a split: tables, features and histories in memory."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.errors import BakeoffError
from bakeoff.preparation.features import EncodedFeatures, FeatureEncoding
from bakeoff.preparation.histories import Histories, Queries
from bakeoff.workspace import Workspace

T = TypeVar("T")


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
    """

    users: pd.DataFrame
    items: pd.DataFrame
    user_features: EncodedFeatures
    item_features: EncodedFeatures
    encoding: FeatureEncoding
    train: Histories
    valid: Histories

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


@dataclass(frozen=True)
class HeldOut:
    """What no training sees; rows are user_index over all users.

    Attributes:
        test: events of warm users that are asked about.
        new_history: what new users tell about themselves; rows of warm users are empty.
        new_test: events of new users that are asked about; rows of warm users are empty.
    """

    test: Histories
    new_history: Histories
    new_test: Histories


def load_prepared(workspace: Workspace) -> Prepared:
    """Read what training may see of `artifacts/split`: vocabulary, features, train and valid.

    Raises:
        BakeoffError: a file is missing or damaged, or an event names what is not in the vocabulary.
    """
    users = _read(workspace.vocabulary / "users.parquet", pd.read_parquet)
    items = _read(workspace.vocabulary / "items.parquet", pd.read_parquet)
    encoding = _read(workspace.vocabulary / "features.json", _read_encoding)
    return Prepared(
        users=users,
        items=items,
        user_features=encoding.user.encode(users),
        item_features=encoding.item.encode(items),
        encoding=encoding,
        train=_histories(_part(workspace, "train"), users, items),
        valid=_histories(_part(workspace, "valid"), users, items),
    )


def load_held_out(workspace: Workspace, prepared: Prepared) -> HeldOut:
    """Read the test part and the new users of the same split.

    Raises:
        BakeoffError: as load_prepared.
    """
    users, items = prepared.users, prepared.items
    new = _part(workspace, "new_users")
    return HeldOut(
        test=_histories(_part(workspace, "test"), users, items),
        new_history=_histories(new[new["part"] == "history"], users, items),
        new_test=_histories(new[new["part"] == "test"], users, items),
    )


def _part(workspace: Workspace, name: str) -> pd.DataFrame:
    return _read(workspace.split / f"{name}.parquet", pd.read_parquet)


def _read_encoding(path: Path) -> FeatureEncoding:
    return FeatureEncoding.model_validate_json(path.read_bytes())


def _read(path: Path, read: Callable[[Path], T]) -> T:
    try:
        return read(path)
    except FileNotFoundError:
        raise BakeoffError(f"{path} is missing: run `bakeoff split` first.") from None
    except (OSError, ValueError) as error:  # Arrow's and pydantic's errors are ValueErrors
        reason = str(error).splitlines()[0]
        raise BakeoffError(f"{path} can't be read ({reason}): run `dvc repro --force split`.") from None


def _histories(part: pd.DataFrame, users: pd.DataFrame, items: pd.DataFrame) -> Histories:
    rows = _index(part["user_id"], users["user_id"])
    columns = _index(part["item_id"], items["item_id"])
    return Histories.from_rows(rows, columns, part["timestamp"].to_numpy(), len(users))


def _index(ids: pd.Series, vocabulary: pd.Series) -> NDArray[np.int64]:
    index: NDArray[np.int64] = pd.Index(vocabulary).get_indexer(ids)
    if (index < 0).any():
        stranger = ids[index < 0].iloc[0]
        raise BakeoffError(
            f"{ids.name} {stranger!r} has events but is not in the vocabulary: the files of artifacts/split "
            "are of different runs. Run `dvc repro split`."
        )
    return index
