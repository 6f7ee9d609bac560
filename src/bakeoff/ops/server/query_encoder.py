"""What a client sent becomes what a model takes, with the refusals of `bakeoff recommend`."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError, shortened
from bakeoff.core.histories import Histories, Queries
from bakeoff.data.features.encoding import Encoded, TableEncoding
from bakeoff.models.base.storage import KnownUsers
from bakeoff.ops.list_options import PLAIN, ItemFeatures, ListOptions
from bakeoff.ops.reasons import CANNOT
from bakeoff.ops.server import schemas
from bakeoff.ops.server.schemas import Query, RefusedError

NAMED = 10
"""Unknown items that a refusal names."""


@dataclass(frozen=True)
class EncodedQuery:
    """A query as a model takes it.

    Attributes:
        query: one encoded query.
        exclude: item indices that are left out.
        k: length of the list.
        ignored: items of the history that were passed over.
        user: row of a known user; None for someone new.
        why: whether the reasons are asked for.
        options: what is asked of the list besides.
    """

    query: Queries
    exclude: NDArray[np.integer]
    k: int
    ignored: tuple[str, ...] = ()
    user: int | None = None
    why: bool = False
    options: ListOptions = PLAIN


@dataclass(frozen=True)
class QueryEncoder:
    """Encodes queries with what a model knows of items, users and features.

    Attributes:
        model: its name, for messages.
        items: item id → index.
        users: users that are known by id.
        encoding: of user features.
        features: of items.
        explains: whether the model can say why.
        reads_time: whether its lists depend on when they are asked for.
    """

    model: str
    items: Mapping[str, int]
    users: KnownUsers
    encoding: TableEncoding
    features: ItemFeatures
    explains: bool = False
    reads_time: bool = False

    def encode(self, query: Query) -> EncodedQuery:
        """Encode a query.

        Raises:
            RefusedError: 404 where the model does not know the user or an item, 422 where the query makes no sense.
        """
        _check(query, len(self.items))
        if query.why and not self.explains:
            raise RefusedError(422, f"{self.model} {CANNOT}")
        ignored: tuple[str, ...] = ()
        user = None
        if query.user_id is None:
            encoded, ignored = self._someone_new(query)
        else:
            user = self.users.rows.get(query.user_id)
            if user is None:
                raise RefusedError(
                    404,
                    f"User {shortened(query.user_id)} is not among those that {self.model} was trained on: for someone "
                    "new or held out, send history and features instead of user_id.",
                )
            users, row = self.users.queries, slice(user, user + 1)
            encoded = Queries(users.histories.part(user, user + 1), users.dense[row], users.categorical[row])
        if self.reads_time:
            encoded = replace(encoded, times=np.array([int(time.time()) if query.time is None else query.time]))
        seen = self.users.left_out(encoded.histories, query.exclude_seen).items
        named = [self.items[item] for item in query.exclude if item in self.items]
        exclude = np.concatenate([seen, np.array(named, np.int64)]) if named else seen
        return EncodedQuery(encoded, exclude, query.k, ignored, user, query.why, self._options(query))

    def _options(self, query: Query) -> ListOptions:
        """What is asked of the list."""
        allow = None
        if query.allow is not None:
            allow = np.array([self.items[item] for item in query.allow if item in self.items], np.int64)
        options = ListOptions(allow, query.filters, query.diversity, query.debias)
        if options.is_plain:  # as in most requests
            return options
        try:
            options.check(query.k, self.features)
        except BakeoffError as error:
            raise RefusedError(422, str(error)) from None
        return options

    def _someone_new(self, query: Query) -> tuple[Queries, tuple[str, ...]]:
        """The encoded query, and unknown items of its history."""
        history = query.history or []
        times = dict(zip(history, query.timestamps or [0] * len(history), strict=True))
        if len(times) < len(history):  # an item that is named twice counts once, at its last place
            times = {item: times[item] for item in reversed(dict.fromkeys(reversed(history)))}
        known = {self.items[item]: then for item, then in times.items() if item in self.items}
        unknown = [item for item in times if item not in self.items]
        if unknown and not query.ignore_unknown:
            shown = ", ".join(map(shortened, unknown[:NAMED])) + (", …" if len(unknown) > NAMED else "")
            raise RefusedError(
                404,
                f"history names {shown}, which the catalogue of {self.model} does not have: leave it out, or send "
                "ignore_unknown: true.",
            )
        items, timestamps = np.array([*known], np.int32), np.array([*known.values()], np.int64)
        dense, categorical = self._features(query.features) if query.features else self._no_features
        histories = Histories(np.array([0, len(items)]), items, timestamps)
        # Half of a surrogate pair, which JSON can spell, can't be written in an answer.
        ignored = tuple(item.encode("utf-8", "backslashreplace").decode() for item in unknown)
        return Queries(histories, dense, categorical), ignored

    @cached_property
    def _no_features(self) -> Encoded:
        return self._features({})

    def _features(self, given: Mapping[str, object]) -> Encoded:
        """Encoded as the exported model encodes them: float32 [1, D] and int32 [1, C]."""
        try:
            return self.encoding.encode_user(given, f"users of {self.model}")
        except BakeoffError as error:
            raise RefusedError(422, str(error)) from None


def _check(query: Query, num_items: int) -> None:
    of_someone_new = {"history": query.history, "features": query.features, "timestamps": query.timestamps}
    sent = [name for name, value in of_someone_new.items() if value is not None]
    num_events = len(query.history or [])
    fault = None
    if query.user_id is not None and sent:
        fault = (
            f"user_id {shortened(query.user_id)} already says what the model knows of this user: leave "
            f"{', '.join(sent)} out, or leave user_id out to ask for someone new."
        )
    elif query.user_id is None and query.history is None and query.features is None:
        fault = "No user: send user_id for a known one, or history and features for someone new (history may be [])."
    elif query.timestamps is not None and len(query.timestamps) != num_events:
        fault = f"timestamps has {len(query.timestamps)} entries and history {num_events}: send one for each, or none."
    elif query.k > num_items:
        fault = f"k {query.k} is not possible: it must be between 1 and the {num_items} items there are."
    elif query.why and query.k > schemas.LONGEST_EXPLAINED:
        fault = f"k {query.k} is not possible with why: at most {schemas.LONGEST_EXPLAINED} items are explained."
    if fault:
        raise RefusedError(422, fault)
