"""A model in memory that answers blocks of queries. It never changes: a new one takes its place.

What a client sent becomes what a model takes here, with the refusals of `bakeoff recommend`.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError, shortened
from bakeoff.core.histories import Histories, Queries
from bakeoff.data.features.encoding import TableEncoding
from bakeoff.models.base import specs
from bakeoff.models.base.encoder import EncoderRetriever
from bakeoff.models.base.retriever import Retriever
from bakeoff.models.base.storage import KnownUsers
from bakeoff.ops.reasons import CANNOT, reasons
from bakeoff.ops.server import schemas
from bakeoff.ops.server.schemas import Answer, Item, Neighbour, Neighbours, Origin, Query, RefusedError
from bakeoff.ops.server.search import ExactSearch

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
    """

    query: Queries
    exclude: NDArray[np.integer]
    k: int
    ignored: tuple[str, ...] = ()
    user: int | None = None
    why: bool = False


@dataclass(frozen=True)
class QueryEncoder:
    """Encodes queries with what a model knows of items, users and features.

    Attributes:
        model: its name, for messages.
        items: item id → index.
        users: users that are known by id.
        encoding: of user features.
        explains: whether the model can say why.
    """

    model: str
    items: Mapping[str, int]
    users: KnownUsers
    encoding: TableEncoding
    explains: bool = False

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
        seen = encoded.histories.items if query.exclude_seen else np.zeros(0, np.int32)
        named = [self.items[item] for item in query.exclude if item in self.items]
        exclude = np.concatenate([seen, np.array(named, np.int64)]) if named else seen
        return EncodedQuery(encoded, exclude, query.k, ignored, user, query.why)

    def _someone_new(self, query: Query) -> tuple[Queries, tuple[str, ...]]:
        """The encoded query, and unknown items of its history."""
        history = query.history or []
        times = dict(zip(history, query.timestamps or [0] * len(history), strict=True))
        if len(times) < len(history):  # an item that is named twice counts once, at its last place
            times = {item: times[item] for item in reversed(dict.fromkeys(reversed(history)))}
        known = {self.items[item]: time for item, time in times.items() if item in self.items}
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
    def _no_features(self) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        return self._features({})

    def _features(self, given: Mapping[str, object]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
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


REMEMBERED_BYTES = 1 << 29
"""Embeddings beyond which none are remembered: those of 10⁶ users with 128 dimensions are just within."""

_BLOCK = 1024


class QueryEmbedder:
    """Embeds blocks of queries, and remembers the embeddings of known users, which never change.

    For one thread at a time.
    """

    def __init__(self, retriever: Retriever, dim: int, num_users: int) -> None:
        """Embed by this retriever; memory is taken as users become known."""
        self._retriever = retriever
        remembered = num_users if 4 * dim * num_users <= REMEMBERED_BYTES else 0
        self._embeddings = np.empty((remembered, dim), np.float32)
        self._known = np.zeros(remembered, np.bool_)

    def remember(self, users: Queries, seconds: float) -> None:
        """Embed as many of the known users as there is time for, so that their first requests are fast."""
        end = time.monotonic() + seconds
        for part, block in users.blocks(_BLOCK):
            if part.stop > len(self._known) or time.monotonic() > end:
                return
            self._embeddings[part], self._known[part] = self._retriever.embed_queries(block), True

    def embed(self, queries: Sequence[EncodedQuery]) -> NDArray[np.float32]:
        """[len(queries), dim] of at least one query."""
        if not len(self._known):
            return self._retriever.embed_queries(_joined(queries))
        users = np.array([-1 if each.user is None else each.user for each in queries])
        known = (users >= 0) & self._known[users]
        embedded = np.empty((len(queries), self._embeddings.shape[1]), np.float32)
        embedded[known] = self._embeddings[users[known]]
        new = np.flatnonzero(~known)
        if len(new):
            embedded[new] = self._retriever.embed_queries(_joined([queries[row] for row in new.tolist()]))
            new = new[users[new] >= 0]
            self._embeddings[users[new]], self._known[users[new]] = embedded[new], True
        return embedded


def _joined(queries: Sequence[EncodedQuery]) -> Queries:
    """The queries as one block."""
    parts = [each.query for each in queries]
    if len(parts) == 1:
        return parts[0]
    dense = np.concatenate([each.dense for each in parts])
    categorical = np.concatenate([each.categorical for each in parts])
    return Queries(Histories.joined(each.histories for each in parts), dense, categorical)


@dataclass(frozen=True)
class ServedModel:
    """What answers.

    Attributes:
        origin: where it comes from.
        item_ids: n ids, in the order of the item indices.
        titles: n titles.
        encoder: encodes queries.
        embedder: embeds encoded queries.
        falls_back: whether its fallback answers for someone without history; no model has another case.
        search: finds items.
        retriever: its embeddings, which can also be asked for reasons.
        loaded: when it was ready, in ISO 8601.
    """

    origin: Origin
    item_ids: Sequence[str]
    titles: Sequence[str]
    encoder: QueryEncoder
    embedder: QueryEmbedder
    falls_back: bool
    search: ExactSearch
    retriever: EncoderRetriever
    loaded: str

    def num_events(self, queries: Sequence[EncodedQuery]) -> int:
        """Events in the histories of these queries, which say how long a block takes."""
        return sum(len(each.query.histories.items) for each in queries)

    def answer(self, queries: Sequence[EncodedQuery]) -> list[Answer]:
        """Lists for a block of at least one query, each of its own length."""
        exclude, k = [each.exclude for each in queries], max(each.k for each in queries)
        found = self.search.find(self.embedder.embed(queries), exclude, k)
        answers = []
        for each, best in zip(queries, found, strict=True):
            pairs = zip(best.items[: each.k].tolist(), best.scores[: each.k].tolist(), strict=True)
            answer = Answer.model_construct(
                items=[Item.model_construct(item_id=self.item_ids[item], score=score) for item, score in pairs],
                model=self.origin.model,
                version=self.origin.version,
                fallback=self.falls_back and len(each.query.histories.items) == 0,
                ignored=list(each.ignored),
            )
            answers.append(self._explained(answer, each.query) if each.why and answer.items else answer)
        return answers

    def _explained(self, answer: Answer, query: Queries) -> schemas.ExplainedAnswer:
        """The same answer with the parts of each score."""
        items, scores = zip(*((self.encoder.items[item.item_id], item.score) for item in answer.items), strict=True)
        found = reasons(self.retriever, self.origin.model, query, items, scores, (self.item_ids, self.titles))
        explained = [
            schemas.ExplainedItem(**dict(item), why=why) for item, why in zip(answer.items, found, strict=True)
        ]
        explanation = specs.spec(self.origin.model).explanation
        return schemas.ExplainedAnswer(**dict(answer) | {"items": explained, "explanation": explanation})

    @property
    def name(self) -> str:
        """Model and version, as the registry writes them."""
        return f"{self.origin.model}@{self.origin.version}"

    def index_of(self, item: str) -> int:
        """The index of an item.

        Raises:
            RefusedError: 404, the catalogue does not have it.
        """
        if item not in self.encoder.items:
            raise RefusedError(404, f"Item {item!r} is not in the catalogue of {self.name}.")
        return self.encoder.items[item]

    def neighbours(self, item: str, k: int) -> Neighbours:
        """The k items whose embeddings have the largest cosine with that of an item.

        Raises:
            RefusedError: 404, the catalogue does not have it.
        """
        found = self.search.nearest(self.index_of(item), k)
        pairs = zip(found.items.tolist(), found.scores.tolist(), strict=True)
        near = [Neighbour(item_id=self.item_ids[j], title=self.titles[j], similarity=cosine) for j, cosine in pairs]
        return Neighbours(item_id=item, neighbours=near, model=self.origin.model, version=self.origin.version)
