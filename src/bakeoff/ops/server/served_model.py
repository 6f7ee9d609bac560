"""A model in memory that answers blocks of queries. It never changes: a new one takes its place."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories, Queries
from bakeoff.models.base.retriever import Retriever
from bakeoff.ops.server.query_encoder import EncodedQuery, QueryEncoder
from bakeoff.ops.server.schemas import Answer, Item, Neighbour, Neighbours, Origin, RefusedError
from bakeoff.ops.server.search import ExactSearch

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
        loaded: when it was ready, in ISO 8601.
    """

    origin: Origin
    item_ids: Sequence[str]
    titles: Sequence[str]
    encoder: QueryEncoder
    embedder: QueryEmbedder
    falls_back: bool
    search: ExactSearch
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
            answers.append(
                Answer.model_construct(
                    items=[Item.model_construct(item_id=self.item_ids[item], score=score) for item, score in pairs],
                    model=self.origin.model,
                    version=self.origin.version,
                    fallback=self.falls_back and len(each.query.histories.items) == 0,
                    ignored=list(each.ignored),
                )
            )
        return answers

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
