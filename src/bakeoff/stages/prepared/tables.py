"""What training, evaluation and reports read of a split: vocabulary and features in memory, histories in files."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.errors import BakeoffError
from bakeoff.preparation.features import EncodedFeatures, FeatureEncoding
from bakeoff.preparation.histories import Histories, Queries
from bakeoff.stages.prepared.event_files import kept, read_histories
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
        keep: puts histories that are made of these, given in blocks, to where they stay.
    """

    users: pd.DataFrame
    items: pd.DataFrame
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
        return cls(users, items, encoding.user.encode(users), encoding.item.encode(items), encoding, train, valid)

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
        return self._known

    @cached_property
    def _known(self) -> Histories:
        return self.keep(self.train.merged_blocks(self.valid))

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
    events = _Events(workspace, users, items)
    prepared = Prepared.encoded(users, items, encoding, events.of("train"), events.of("valid"))
    return replace(prepared, keep=partial(kept, directory=workspace.split.parent))


def load_held_out(workspace: Workspace, prepared: Prepared) -> HeldOut:
    """Read the test part and the new users of the same split.

    Raises:
        BakeoffError: as load_prepared.
    """
    events = _Events(workspace, prepared.users, prepared.items)
    return HeldOut(
        test=events.of("test"),
        new_history=events.of("new_users", "history"),
        new_test=events.of("new_users", "test"),
    )


class _Events:
    """Reads the events of one split."""

    def __init__(self, workspace: Workspace, users: pd.DataFrame, items: pd.DataFrame) -> None:
        self._split = workspace.split
        self._users, self._items = pd.Index(users["user_id"]), pd.Index(items["item_id"])

    def of(self, name: str, part: str | None = None) -> Histories:
        """Histories of a file; of a part of its events, if one is named."""

        def read(path: Path) -> Histories:
            return read_histories(path, self._users, self._items, self._split.parent, part)

        return _read(self._split / f"{name}.parquet", read)


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
