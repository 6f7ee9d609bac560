"""From what a client sent to what a model is asked, with the refusals that `bakeoff recommend` has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from reprlib import Repr

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import PAD, Histories, Queries
from bakeoff.data.features.encoding import TableEncoding
from bakeoff.models.base.storage import KnownUsers
from bakeoff.ops.server.schemas import Query

NAMED = 10
"""Unknown items that a refusal names."""

SHOWN_VALUES = 5
"""Known values of a categorical feature that a refusal shows: they may be ids of users, and many."""

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_short = _SHORT.repr


class RefusedError(Exception):
    """A query that can't be answered: an HTTP status, and words that say what to do."""

    def __init__(self, status: int, message: str) -> None:
        """404 for what is not known, 422 for what can't be asked."""
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class EncodedQuery:
    """A query as a model takes it.

    Attributes:
        query: one encoded query.
        exclude: item indices that are left out.
        k: length of the list.
        ignored: items of the history that were passed over.
        user: row of the known user who asks; None for someone new.
    """

    query: Queries
    exclude: NDArray[np.integer]
    k: int
    ignored: tuple[str, ...] = ()
    user: int | None = None


@dataclass(frozen=True)
class Vocabulary:
    """What a model knows by name.

    Attributes:
        model: its name, for messages.
        items: item id → index.
        users: who can be asked about by id.
        encoding: of user features.
        codes: categorical feature → value → code.
    """

    model: str
    items: Mapping[str, int]
    users: KnownUsers
    encoding: TableEncoding
    codes: Mapping[str, Mapping[str, int]]

    def question(self, query: Query) -> EncodedQuery:
        """Encode a query.

        Raises:
            RefusedError: 404 where the model does not know the user or an item, 422 where the query makes no sense.
        """
        _check(query, len(self.items))
        ignored: tuple[str, ...] = ()
        user = None
        if query.user_id is not None:
            user = self._row(query.user_id)
            asked = self._known(user)
        else:
            asked, ignored = self._someone_new(query)
        seen = asked.histories.items if query.exclude_seen else np.zeros(0, np.int32)
        named = [self.items[item] for item in query.exclude if item in self.items]
        exclude = np.concatenate([seen, np.array(named, np.int64)]) if named else seen
        return EncodedQuery(asked, exclude, query.k, ignored, user)

    def _row(self, user: str) -> int:
        row = self.users.rows.get(user)
        if row is None:
            raise RefusedError(
                404,
                f"User {_short(user)} is not among those that {self.model} was trained on: for someone new or held "
                "out, send history and features instead of user_id.",
            )
        return row

    def _known(self, row: int) -> Queries:
        users, only = self.users.queries, slice(row, row + 1)
        return Queries(users.histories.part(row, row + 1), users.dense[only], users.categorical[only])

    def _someone_new(self, query: Query) -> tuple[Queries, tuple[str, ...]]:
        history = query.history or []
        times = query.timestamps if query.timestamps is not None else [0] * len(history)
        if len(set(history)) < len(history):  # an item that is named twice counts once, where it stands last
            last = {item: place for place, item in enumerate(history)}
            kept = sorted(last.values())
            history, times = [history[place] for place in kept], [times[place] for place in kept]
        places = np.array([self.items.get(item, PAD) for item in history], np.int32)
        known = places != PAD
        strangers = tuple(history[place] for place in np.flatnonzero(~known).tolist())
        if strangers and not query.ignore_unknown:
            shown = ", ".join(map(_short, strangers[:NAMED])) + (", …" if len(strangers) > NAMED else "")
            raise RefusedError(
                404,
                f"history names {shown}, which the catalogue of {self.model} does not have: leave it out, or send "
                "ignore_unknown: true.",
            )
        items, timestamps = places[known], np.array(times, np.int64)[known]
        dense, categorical = self._features(query.features) if query.features else self._nothing
        histories = Histories(np.array([0, len(items)]), items, timestamps)
        # Half of a surrogate pair, which JSON can spell, can't be written in an answer.
        told = tuple(item.encode("utf-8", "backslashreplace").decode() for item in strangers)
        return Queries(histories, dense, categorical), told

    @cached_property
    def _nothing(self) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Features of someone who names none."""
        return self._features({})

    def _features(self, given: Mapping[str, object]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Encoded as the exported model encodes them: float32 [1, D] and int32 [1, C]."""
        names = self.encoding.names
        for name in given:
            if name not in names:
                has = f"they have {', '.join(names)}" if names else "they have none"
                raise RefusedError(422, f"{_short(name)} is not a feature of users of {self.model}: {has}.")
        scales = self.encoding.dense
        dense = [(_number(name, given.get(name)) - scale.mean) / scale.std for name, scale in scales.items()]
        codes = [_code(name, given.get(name), values) for name, values in self.codes.items()]
        with np.errstate(over="ignore"):  # what float32 can't hold is unknown, as infinity is
            scaled = np.array([dense], np.float64).reshape(1, len(dense)).astype(np.float32)
        return np.where(np.isfinite(scaled), scaled, np.float32(0)), np.array([codes], np.int32).reshape(1, len(codes))


def joined(questions: Sequence[EncodedQuery]) -> Queries:
    """The queries of several questions as one block."""
    queries = [question.query for question in questions]
    if len(queries) == 1:
        return queries[0]
    return Queries(
        Histories.joined(each.histories for each in queries),
        np.concatenate([each.dense for each in queries]),
        np.concatenate([each.categorical for each in queries]),
    )


def _check(query: Query, num_items: int) -> None:
    told = {"history": query.history, "features": query.features, "timestamps": query.timestamps}
    if query.user_id is not None and any(value is not None for value in told.values()):
        names = ", ".join(name for name, value in told.items() if value is not None)
        raise RefusedError(
            422,
            f"user_id {_short(query.user_id)} already says what the model knows of this user: leave {names} out, or "
            "leave user_id out to ask for someone new.",
        )
    if query.user_id is None and query.history is None and query.features is None:
        raise RefusedError(
            422, "Who asks? Send user_id for a known user, or history and features for someone new (history may be [])."
        )
    if query.timestamps is not None and len(query.timestamps) != len(query.history or []):
        raise RefusedError(
            422,
            f"timestamps has {len(query.timestamps)} entries and history {len(query.history or [])}: send one for "
            "each, or none.",
        )
    if query.k > num_items:
        raise RefusedError(
            422, f"k {query.k} is not possible: it must be between 1 and the {num_items} items there are."
        )


def _number(name: str, value: object) -> float:
    if value is None or value == "":
        return float("nan")
    try:
        return float(str(value))
    except ValueError:
        raise RefusedError(422, f"{name}={_short(value)} is not a number, but {name} is a dense feature.") from None


def _code(name: str, value: object, codes: Mapping[str, int]) -> int:
    if value is None or value == "":
        return 0
    code = codes.get(str(value))
    if code is None:
        shown = ", ".join(known[:40] for known in islice(codes, SHOWN_VALUES))
        known = f"it must be one of {shown}" if len(codes) <= SHOWN_VALUES else f"known are {shown} and others"
        raise RefusedError(422, f"{name}={_short(value)} is not known: {known}.")
    return code
