"""What training, evaluation and reports read of a split: all that is large lies in files, which are mapped."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import Histories, Queries
from bakeoff.core.workspace import Workspace
from bakeoff.data.features.encoding import EncodedFeatures, FeatureEncoding, TableEncoding
from bakeoff.data.prepared.history_io import kept, read_histories
from bakeoff.data.prepared.vocabulary_io import read_features, read_vocabulary

T = TypeVar("T")


@dataclass(frozen=True)
class Prepared:
    """A split, indexed.

    Attributes:
        users: vocabulary/users.parquet, user_id, is_new and raw features; row u is the user with user_index u, warm
            users first.
        items: vocabulary/items.parquet, item_id, title and raw features; row i is the item with item_index i.
        user_features: encoded features of all users.
        item_features: encoded features of all items.
        encoding: how raw features are encoded, for people who are not in the split.
        train: events to learn from. Rows of all Histories here are user_index over all users.
        valid: events of warm users on which settings and epochs are chosen.
        keep: puts histories that are made of these, given in blocks, to where they stay.
    """

    users: pa.Table
    items: pa.Table
    user_features: EncodedFeatures
    item_features: EncodedFeatures
    encoding: FeatureEncoding
    train: Histories
    valid: Histories
    keep: Callable[[Iterable[Histories]], Histories] = Histories.joined

    @classmethod
    def encoded(
        cls, users: pd.DataFrame, items: pd.DataFrame, encoding: FeatureEncoding, train: Histories, valid: Histories
    ) -> Self:
        """Of these tables and events, with the features that the encoding makes of the tables."""
        user_table, item_table = (pa.Table.from_pandas(table, preserve_index=False) for table in (users, items))
        user_features, item_features = encoding.user.encode(users), encoding.item.encode(items)
        return cls(user_table, item_table, user_features, item_features, encoding, train, valid)

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
        return len(self.warm_users)

    @cached_property
    def warm_users(self) -> NDArray[np.int64]:
        """[num_warm_users] their indices, ascending."""
        return np.flatnonzero(~self.users["is_new"].to_numpy())

    @cached_property
    def train_counts(self) -> NDArray[np.int64]:
        """[num_items] train events of each item."""
        return self.train.item_counts(self.num_items)

    def user_ids(self, rows: NDArray[np.integer]) -> pa.StringArray:
        """[n] ids of the users with index `rows`."""
        return ids_at(self.users["user_id"], rows)

    @cached_property
    def item_ids(self) -> pa.StringArray:
        """[num_items] ids of the catalogue."""
        return ids_at(self.items["item_id"], np.arange(self.num_items))

    def known(self) -> Histories:
        """Train and valid events in time order: what is known of a warm user when test is asked about."""
        return self._known

    @cached_property
    def _known(self) -> Histories:
        return self.keep(self.train.merged_blocks(self.valid))

    def known_of(self, rows: NDArray[np.integer]) -> Histories:
        """What `known` holds of the users with index `rows`, in that order; nothing is merged for others."""
        return self.train.take(rows).merged(self.valid.take(rows))

    def queries(self, histories: Histories, rows: NDArray[np.integer]) -> Queries:
        """Queries of the users with index `rows`, in that order, who have these histories (of all users)."""
        return self.queries_of(histories.take(rows), rows)

    def queries_of(self, told: Histories, rows: NDArray[np.integer]) -> Queries:
        """Queries of the users with index `rows`, to whom the rows of `told` belong, one after the other."""
        features = self.user_features
        return Queries(told, features.dense[rows], features.categorical[rows])


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


def ids_at(column: pa.ChunkedArray, rows: NDArray[np.integer]) -> pa.StringArray:
    """[n] ids in these rows of a column, in one piece."""
    return column.take(pa.array(rows)).cast(pa.string()).combine_chunks()


def load_prepared(workspace: Workspace) -> Prepared:
    """Read what training may see of `artifacts/split`: vocabulary, features, train and valid.

    Raises:
        BakeoffError: a file is missing or damaged, or an event names what is not in the vocabulary.
    """
    directory, vocabulary = workspace.split.parent, workspace.vocabulary
    encoding = _read(vocabulary / "features.json", _read_encoding)
    users, items = (
        _read(vocabulary / f"{name}.parquet", partial(read_vocabulary, directory=directory))
        for name in ("users", "items")
    )
    events = _Events(workspace, len(users), len(items))
    return Prepared(
        users=users,
        items=items,
        user_features=_features(workspace, "user", encoding.user, len(users)),
        item_features=_features(workspace, "item", encoding.item, len(items)),
        encoding=encoding,
        train=events.of("train"),
        valid=events.of("valid"),
        keep=partial(kept, directory=directory),
    )


def load_held_out(workspace: Workspace, prepared: Prepared) -> HeldOut:
    """Read the test part and the new users of the same split.

    Raises:
        BakeoffError: as load_prepared.
    """
    events = _Events(workspace, prepared.num_users, prepared.num_items)
    return HeldOut(
        test=events.of("test"),
        new_history=events.of("new_users", "history"),
        new_test=events.of("new_users", "test"),
    )


class _Events:
    """Reads the events of one split."""

    def __init__(self, workspace: Workspace, num_users: int, num_items: int) -> None:
        self._split, self._num_users, self._num_items = workspace.split, num_users, num_items

    def of(self, name: str, part: str | None = None) -> Histories:
        """Histories of a file; of a part of its events, if one is named."""

        def read(path: Path) -> Histories:
            return read_histories(path, self._num_users, self._num_items, self._split.parent, part)

        return _read(self._split / f"{name}.parquet", read)


def _features(workspace: Workspace, name: str, encoding: TableEncoding, count: int) -> EncodedFeatures:
    path = workspace.vocabulary / f"{name}_features.parquet"
    found = _read(path, partial(read_features, encoding=encoding, directory=workspace.split.parent))
    if len(found.dense) != count:
        raise BakeoffError(
            f"{path} has {len(found.dense)} rows, and there are {count} {name}s: the files of artifacts/split are of "
            "different runs. Run `dvc repro --force split`."
        )
    return found


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
