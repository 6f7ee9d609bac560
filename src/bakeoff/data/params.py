"""Raw data: where it comes from, what a row must look like, how it is split."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from bakeoff.core.parameters import Frozen, Share

PARTS = ("train", "valid", "test")
"""Parts of a user's events, oldest first; the values of a predefined `split` column, and names of files."""
MAX_WEIGHT = 1e6
"""Highest weight of an event, and of a kind of events: their product is far from what float32 holds."""


Unit = Literal["s", "ms", "iso"]


class ColumnParams(Frozen):
    """How the columns of a team's own tables are named, in files and in what queries return.

    Other columns of the users and items files are kept under their names, others of the interactions left out.
    """

    user_id: str = "user_id"
    """Column with the user's id."""
    item_id: str = "item_id"
    """Column with the item's id."""
    timestamp: str | None = "timestamp"
    """Column with the time of the event; null if there is none."""
    timestamp_unit: Unit = "s"
    """Unix seconds, Unix milliseconds, or ISO 8601 text (UTC unless it names an offset). Times and dates of
    a Parquet file say it themselves."""
    rating: str | None = None
    """Column with a rating; null if events have none."""
    event: str | None = None
    """Column with the kind of the event (view, cart, buy, …), whose weights `data.event_weights` has; null if there is
    none."""
    weight: str | None = None
    """Column with a number from 0.000001 to 1,000,000, what the event counts in training; null if there is none."""
    split: str | None = None
    """Column that says train, valid or test (`split.method: predefined`); null if there is none."""
    title: str | None = "title"
    """Column of the items file with the name that people read; null: the id is the name."""
    user_id_in_users: str | None = None
    """Column of the users file with the id; null: as user_id."""
    item_id_in_items: str | None = None
    """Column of the items file with the id; null: as item_id."""

    @model_validator(mode="after")
    def _users_are_not_items(self) -> Self:
        if self.user_id == self.item_id:
            raise ValueError(f"user_id and item_id are the same column, {self.user_id!r}: name the one of the items")
        return self

    @property
    def ids(self) -> dict[str, tuple[str, ...]]:
        """Columns with ids, by table."""
        users, items = self.user_id_in_users or self.user_id, self.item_id_in_items or self.item_id
        return {"interactions": (self.user_id, self.item_id), "users": (users,), "items": (items,)}


class DataParams(Frozen):
    """Where raw data comes from and which of its columns are features."""

    dataset: Annotated[str, Field(pattern=r"\S")] = "ml-100k"
    """`ml-100k` or `ml-1m` (fetched), or a name of your own for data of your own."""
    columns: ColumnParams = ColumnParams()
    """Names of the columns in a team's own files."""
    event_weights: dict[str, Annotated[float, Field(ge=-MAX_WEIGHT, le=MAX_WEIGHT)]] = Field(default_factory=dict)
    """What an event counts in training by its kind, times its `data.columns.weight` if there is one; 0: events of the
    kind are left out; below 0: they are dislikes, from which MF and the networks learn. Every kind in the data must be
    named."""
    encoding: str = "utf-8"
    """Encoding of a team's own text files, as Python calls it: utf-8, cp1252 (Excel's CSV), utf-16, shift_jis, …"""
    user_features: dict[str, Literal["dense", "categorical", "vector"]] = Field(default_factory=dict)
    """User columns that the softmax DNN may use; dense ones are standardised, categorical ones embedded. A `vector` is
    one column of lists of numbers, or columns `name_0`, `name_1`, …; its direction counts, not its length."""
    item_features: dict[str, Literal["dense", "categorical", "tags", "text", "vector"]] = Field(default_factory=dict)
    """Item columns that item embeddings may use; `tags` are values joined by `|`, of a `text` the words count,
    and a `vector` is as for users."""

    @model_validator(mode="after")
    def _weights_are_of_events(self) -> Self:
        if self.event_weights and self.columns.event is None:
            raise ValueError(
                "event_weights are given, but columns.event is null: name the column with the kind of the event, or "
                "set event_weights to {}"
            )
        return self

    @property
    def features(self) -> dict[str, Mapping[str, str]]:
        """Features and their kinds, by table."""
        return {"users": self.user_features, "items": self.item_features}

    @property
    def weight_columns(self) -> list[str]:
        """The canonical columns that decide what an event counts: some of `event` and `weight`."""
        return [name for name in ("event", "weight") if getattr(self.columns, name) is not None]

    @field_validator("encoding")
    @classmethod
    def _is_of_text(cls, value: str) -> str:
        try:
            "a".encode(value)
        except (LookupError, UnicodeError):
            raise ValueError("must be an encoding that Python knows, such as utf-8, cp1252 or utf-16") from None
        return value


class ValidationParams(Frozen):
    """What a row must look like to be used, and how many bad rows are too many."""

    rating_min: float | None = 1
    """Lowest rating on the scale; null: not checked."""
    rating_max: float | None = 5
    """Highest rating on the scale; null: not checked."""
    earliest: str = "1990-01-01"
    """Events before this day (UTC) carry an impossible timestamp."""
    latest: str = "2100-01-01"
    """Events on or after this day (UTC) carry an impossible timestamp. A fixed day keeps runs alike."""
    max_quarantine_share: Share = 0.01
    """The pipeline stops when a larger share of any table's rows had to go to quarantine."""

    @field_validator("earliest", "latest")
    @classmethod
    def _is_a_day(cls, value: str) -> str:
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            raise ValueError("must be a day such as 1990-01-31") from None

    @model_validator(mode="after")
    def _ranges_are_not_empty(self) -> Self:
        if self.earliest >= self.latest:
            raise ValueError(f"earliest {self.earliest} must lie before latest {self.latest}")
        if self.rating_min is not None and self.rating_max is not None and self.rating_min > self.rating_max:
            raise ValueError(f"rating_min {self.rating_min:g} must not exceed rating_max {self.rating_max:g}")
        return self


class SplitParams(Frozen):
    """How events are divided into train, validation and test."""

    method: Literal["user-temporal", "global-temporal", "leave-last-out", "random", "predefined"] = "user-temporal"
    """By time within each user; by one point in time for all; each user's last event; at random; as given."""
    test_share: Share = 0.2
    """Share of events (of each user, or of all) that are test."""
    valid_share: Share = 0.1
    """Share of events just before the test part that are validation; settings and epochs are chosen on it."""
    new_user_share: Share = 0.1
    """Share of users that are held out whole and tested as new ones."""
    ties: Literal["chance", "file"] = "chance"
    """Order of a user's events at the same time: by chance, or as the file has them, which may tell what was not known
    when they happened."""
    min_rating: float | None = None
    """Only events rated at least this high are positives; null: every event is."""
    dislike_weight: Annotated[float, Field(ge=0, le=MAX_WEIGHT)] = 0.0
    """What an event rated below min_rating counts as a dislike, from which MF and the networks learn; 0: it is left
    out."""
    keep_repeats: bool = False
    """Whether later events of the same user and item count too: in training, and as targets, for which lists may hold
    what the user has had. Else the earliest counts, and lists leave out what was seen."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.dislike_weight and self.min_rating is None:
            raise ValueError(
                f"dislike_weight is {self.dislike_weight:g}, but min_rating is null: set it to the lowest rating that "
                "is no dislike"
            )
        if self.test_share + self.valid_share >= 1:
            raise ValueError(
                f"test_share {self.test_share} + valid_share {self.valid_share} leave nothing to train on: "
                "their sum must be below 1"
            )
        return self
