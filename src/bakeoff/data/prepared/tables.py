"""What training, evaluation and reports read of a split: all that is large lies in files, which are mapped."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError, first_line
from bakeoff.core.histories import Histories, Queries
from bakeoff.core.workspace import Workspace
from bakeoff.data.features.encoding import EncodedFeatures, FeatureEncoding, TableEncoding
from bakeoff.data.prepared import split_files

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
        dislikes: what users are known to dislike, no item twice in a row, with weights below 0; None: no such events.
        keeps_repeats: whether users may have an item again, which is a hit then; lists may hold what they have had.
    """

    users: pa.Table
    items: pa.Table
    user_features: EncodedFeatures
    item_features: EncodedFeatures
    encoding: FeatureEncoding
    train: Histories
    valid: Histories
    keep: Callable[[Iterable[Histories]], Histories] = Histories.joined
    dislikes: Histories | None = None
    keeps_repeats: bool = False

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

    @cached_property
    def train_users(self) -> NDArray[np.int64]:
        """[num_items] users with a train event of each item: `train_counts`, unless users have items again."""
        return self.train.row_counts(self.num_items) if self.keeps_repeats else self.train_counts

    def user_ids(self, rows: NDArray[np.integer]) -> pa.StringArray:
        """[n] ids of the users with index `rows`."""
        return ids_at(self.users["user_id"], rows)

    @cached_property
    def item_ids(self) -> pa.StringArray:
        """[num_items] ids of the catalogue."""
        return ids_at(self.items["item_id"], np.arange(self.num_items))

    def per_user_table(self, rows: NDArray[np.integer], columns: Mapping[str, Any], **names: str) -> pa.Table:
        """A table with a row for each of these users: constant text columns, user_id, and what is known of each."""
        constant = {name: pa.array([value] * len(rows), pa.string()) for name, value in names.items()}
        return pa.table({**constant, "user_id": self.user_ids(rows), **columns})

    def known(self) -> Histories:
        """Train and valid events in time order: what is known of a warm user before the test events."""
        return self._known

    @cached_property
    def _known(self) -> Histories:
        return self.keep(self.train.merged_blocks(self.valid))

    def known_of(self, rows: NDArray[np.integer]) -> Histories:
        """What `known` holds of the users with index `rows`, in that order; nothing is merged for others."""
        return self.train.take(rows).merged(self.valid.take(rows))

    @property
    def trained_dislikes(self) -> Histories | None:
        """What the users with train events dislike, a row for each of these users; None: no such events."""
        return None if self.dislikes is None else self.dislikes.take(np.flatnonzero(self.train.lengths))

    def left_out(self, histories: Histories) -> Histories:
        """What lists for users with these histories must not contain: all of them, or nothing where repeats count."""
        return histories.first(0) if self.keeps_repeats else histories

    def queries(self, histories: Histories, rows: NDArray[np.integer]) -> Queries:
        """Queries of the users with index `rows`, in that order, who have these histories (of all users)."""
        return self.queries_of(histories.take(rows), rows)

    def queries_of(self, histories: Histories, rows: NDArray[np.integer]) -> Queries:
        """Queries of the users with index `rows`, to whom the rows of `histories` belong, one after the other."""
        features = self.user_features
        return Queries(histories, features.dense[rows], features.categorical[rows])


@dataclass(frozen=True)
class HeldOut:
    """What no training sees; rows are user_index over all users.

    Attributes:
        test: test events of warm users.
        new_history: events of new users that are known when they are served; rows of warm users are empty.
        new_test: test events of new users; rows of warm users are empty.
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
    encoding = _read(vocabulary / "features.json", lambda path: FeatureEncoding.model_validate_json(path.read_bytes()))
    users, items = (
        _read(vocabulary / f"{name}.parquet", partial(split_files.read_vocabulary, directory=directory))
        for name in ("users", "items")
    )
    events = partial(_events, workspace, num_users=len(users), num_items=len(items))
    dislikes = f"{vocabulary.name}/{split_files.DISLIKES}"
    return Prepared(
        users=users,
        items=items,
        user_features=_features(workspace, "user", encoding.user, len(users)),
        item_features=_features(workspace, "item", encoding.item, len(items)),
        encoding=encoding,
        train=events("train.parquet"),
        valid=events("valid.parquet"),
        keep=partial(split_files.kept, directory=directory),
        dislikes=events(dislikes) if (workspace.split / dislikes).exists() else None,
        keeps_repeats=split_files.has_column(workspace.split / "train.parquet", split_files.REPEAT),
    )


def load_held_out(workspace: Workspace, prepared: Prepared) -> HeldOut:
    """Read the test part and the new users of the same split.

    Raises:
        BakeoffError: as load_prepared.
    """
    files = (("test.parquet", None), ("new_users.parquet", "history"), ("new_users.parquet", "test"))
    return HeldOut(*(_events(workspace, name, prepared.num_users, prepared.num_items, part) for name, part in files))


def _events(workspace: Workspace, file: str, num_users: int, num_items: int, part: str | None = None) -> Histories:
    """Histories of a file of the split; of a part of its events, if one is named."""
    directory = workspace.split.parent
    return _read(
        workspace.split / file, lambda path: split_files.read_histories(path, num_users, num_items, directory, part)
    )


def _features(workspace: Workspace, name: str, encoding: TableEncoding, count: int) -> EncodedFeatures:
    path = workspace.vocabulary / f"{name}_features.parquet"
    found = _read(path, partial(split_files.read_features, encoding=encoding, directory=workspace.split.parent))
    if len(found.dense) != count:
        raise split_files.mixed_runs(f"{path} has {len(found.dense)} rows, and there are {count} {name}s")
    return found


def _read(path: Path, read: Callable[[Path], T]) -> T:
    try:
        return read(path)
    except FileNotFoundError:
        raise BakeoffError(f"{path} is missing: run `bakeoff split` first.") from None
    except (OSError, ValueError) as error:  # Arrow's and pydantic's errors are ValueErrors
        raise BakeoffError(f"{path} can't be read ({first_line(error)}): run `dvc repro --force split`.") from None
