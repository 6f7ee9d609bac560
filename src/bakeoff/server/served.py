"""A model in memory that answers blocks of questions. It never changes: a new one takes its place."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bakeoff.models.retriever import Retriever
from bakeoff.preparation.histories import Histories, Queries
from bakeoff.server.questions import Question, RefusedError, Vocabulary, joined
from bakeoff.server.schemas import Answer, Item, Neighbour, Neighbours
from bakeoff.server.search import ExactSearch, Search


@dataclass(frozen=True)
class Origin:
    """Where a model comes from.

    Attributes:
        model: its name.
        version: of the registry; `workspace` for what lies there.
        commit: Git revision, or None.
        promoted: when it went into production, in ISO 8601, or None.
    """

    model: str
    version: str
    commit: str | None = None
    promoted: str | None = None


@dataclass(frozen=True)
class ServedModel:
    """What answers.

    Attributes:
        origin: where it comes from.
        item_ids: n ids, in the order of the item indices.
        titles: n titles.
        vocabulary: what it knows by name.
        retriever: embeds queries.
        exact: finds items by brute force.
        search: finds items for lists; the same, or an approximate one.
        loaded: when it was ready, in ISO 8601.
        recall: of approximate search; None where search is exact.
    """

    origin: Origin
    item_ids: Sequence[str]
    titles: Sequence[str]
    vocabulary: Vocabulary
    retriever: Retriever
    exact: ExactSearch
    search: Search
    loaded: str
    recall: float | None = None

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Lists for a block of at least one question, each of its own length."""
        queries = joined(questions)
        embedded = self.retriever.embed_queries(queries)
        found = self.search.find(embedded, [each.exclude for each in questions], max(each.k for each in questions))
        empty = queries.histories.lengths == 0
        answers = []
        for question, lists, is_empty in zip(questions, found, empty.tolist(), strict=True):
            best = zip(lists.items[: question.k].tolist(), lists.scores[: question.k].tolist(), strict=True)
            answers.append(
                Answer.model_construct(
                    items=[Item.model_construct(item_id=self.item_ids[item], score=score) for item, score in best],
                    model=self.origin.model,
                    version=self.origin.version,
                    fallback=is_empty and self.falls_back,
                    ignored=list(question.ignored),
                )
            )
        return answers

    @cached_property
    def falls_back(self) -> bool:
        """Whether the fallback answers for someone without history; no model has another case."""
        nothing = Histories(np.zeros(2, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64))
        known = self.vocabulary.users.queries
        dense = np.zeros((1, known.dense.shape[1]), np.float32)
        categorical = np.zeros((1, known.categorical.shape[1]), np.int32)
        return bool(self.retriever.uses_fallback(Queries(nothing, dense, categorical))[0])

    @property
    def name(self) -> str:
        """Model and version, as the registry writes them."""
        return f"{self.origin.model}@{self.origin.version}"

    def index_of(self, item: str) -> int:
        """The index of an item.

        Raises:
            RefusedError: 404, the catalogue does not have it.
        """
        index = self.vocabulary.items.get(item)
        if index is None:
            raise RefusedError(404, f"Item {item!r} is not in the catalogue of {self.name}.")
        return index

    def neighbours(self, item: str, k: int) -> Neighbours:
        """The k items whose embeddings have the largest cosine with that of an item.

        Raises:
            RefusedError: 404, the catalogue does not have it.
        """
        found = self.exact.nearest(self.index_of(item), k)
        pairs = zip(found.items.tolist(), found.scores.tolist(), strict=True)
        near = [Neighbour(item_id=self.item_ids[j], title=self.titles[j], similarity=cosine) for j, cosine in pairs]
        return Neighbours(item_id=item, neighbours=near, model=self.origin.model, version=self.origin.version)
