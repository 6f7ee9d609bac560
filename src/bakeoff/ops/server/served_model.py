"""A model in memory that answers blocks of queries. It never changes: a new one takes its place."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.core.histories import Histories, Queries
from bakeoff.models.base import specs
from bakeoff.models.base.encoder import EncoderRetriever
from bakeoff.models.base.list_options import standard_log_popularity
from bakeoff.models.base.retriever import Retriever
from bakeoff.ops.catalogue import ExtendedRetriever, embeddings_of, readable
from bakeoff.ops.list_options import find
from bakeoff.ops.reasons import reasons
from bakeoff.ops.server import schemas
from bakeoff.ops.server.query_encoder import EncodedQuery, QueryEncoder
from bakeoff.ops.server.schemas import Answer, Item, Neighbour, Neighbours, Origin, RefusedError
from bakeoff.ops.server.search import ExactSearch

REMEMBERED_BYTES = 1 << 29
"""Embeddings beyond which none are remembered: those of 10⁶ users with 128 dimensions are just within."""

ITEMS_PER_EVENT = 100
"""Items that options of a request look at in about the time that an event of a history takes."""

_BLOCK = 1024


class QueryEmbedder:
    """Embeds blocks of queries, and remembers the embeddings of known users, which change only with the query's time.

    For one thread at a time.
    """

    def __init__(self, retriever: Retriever, num_items: int, dim: int, num_users: int) -> None:
        """Embed by this retriever of `num_items` items; memory is taken as users become known."""
        self._retriever, self.num_items = retriever, num_items
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
            return self._embedded(queries)
        lasting = (each.user if each.query.times is None else None for each in queries)
        users = np.array([-1 if user is None else user for user in lasting])
        known = (users >= 0) & self._known[users]
        embedded = np.empty((len(queries), self._embeddings.shape[1]), np.float32)
        embedded[known] = self._embeddings[users[known]]
        new = np.flatnonzero(~known)
        if len(new):
            embedded[new] = self._embedded([queries[row] for row in new.tolist()])
            new = new[users[new] >= 0]
            self._embeddings[users[new]], self._known[users[new]] = embedded[new], True
        return embedded

    def _embedded(self, queries: Sequence[EncodedQuery]) -> NDArray[np.float32]:
        return self._retriever.embed_queries(readable(_joined(queries), self.num_items))


def _joined(queries: Sequence[EncodedQuery]) -> Queries:
    """The queries as one block."""
    parts = [each.query for each in queries]
    if len(parts) == 1:
        return parts[0]
    dense = np.concatenate([each.dense for each in parts])
    categorical = np.concatenate([each.categorical for each in parts])
    times = [each.times for each in parts if each.times is not None]  # of all or of none
    histories = Histories.joined(each.histories for each in parts)
    return Queries(histories, dense, categorical, np.concatenate(times) if times else None)


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
        popularity: float32 [n], from `standard_log_popularity`.
        retriever: its embeddings, which can also be asked for reasons.
        loaded: when it was ready, in ISO 8601.
        base: it without the items that were added; None for a model to which nothing was added yet.
        source: file of additions; None: it takes none.
        stamp: what that file was when it was read.
    """

    origin: Origin
    item_ids: Sequence[str]
    titles: Sequence[str]
    encoder: QueryEncoder
    embedder: QueryEmbedder
    falls_back: bool
    search: ExactSearch
    popularity: NDArray[np.float32]
    retriever: EncoderRetriever | ExtendedRetriever
    loaded: str
    base: "ServedModel | None" = None
    source: Path | None = None
    stamp: tuple[int, int, int] | None = None

    def extended(self, added: pd.DataFrame) -> "ServedModel":
        """This model, to which nothing was added, ranking added items behind its own n."""
        ids, titles = (added[name].astype(str).tolist() for name in ("item_id", "title"))
        index = {item: place for place, item in enumerate(ids, len(self.item_ids))}
        features = self.encoder.features.extended(added)
        encoder = replace(self.encoder, items={**self.encoder.items, **index}, features=features)
        counts = self.encoder.users.queries.histories.item_counts(len(self.item_ids) + len(ids))
        return replace(
            self,
            item_ids=[*self.item_ids, *ids],
            titles=[*self.titles, *titles],
            encoder=encoder,
            search=self.search.joined(embeddings_of(added)),
            popularity=standard_log_popularity(counts),
            retriever=ExtendedRetriever(self.retriever, self.num_trained),
        )

    @property
    def num_trained(self) -> int:
        """Items that it was trained with; those behind them were added."""
        return self.embedder.num_items

    def num_events(self, queries: Sequence[EncodedQuery]) -> int:
        """Events in the histories of these queries, by which one can say how long a block takes.

        Options look at all items in turn, which costs as much as an event for one in ITEMS_PER_EVENT.
        """
        of_options = len(self.item_ids) // ITEMS_PER_EVENT
        return sum(len(each.query.histories.items) + (0 if each.options.is_plain else of_options) for each in queries)

    def answer(self, queries: Sequence[EncodedQuery]) -> list[Answer]:
        """Lists for a block of at least one query, each of its own length."""
        exclude, k, options = zip(*((each.exclude, each.k, each.options) for each in queries), strict=True)
        embedded, of_items = self.embedder.embed(queries), (self.encoder.features, self.popularity)
        answers = []
        for each, best in zip(queries, find(self.search, embedded, exclude, k, options, *of_items), strict=True):
            pairs = zip(best.items.tolist(), best.scores.tolist(), strict=True)
            answer = Answer.model_construct(
                items=[Item.model_construct(item_id=self.item_ids[item], score=score) for item, score in pairs],
                model=self.origin.model,
                version=self.origin.version,
                fallback=self.falls_back and not (each.query.histories.items < self.num_trained).any(),
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
