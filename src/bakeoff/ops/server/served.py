"""A model in memory that answers blocks of questions. It never changes: a new one takes its place."""

from collections.abc import Sequence
from dataclasses import dataclass

from bakeoff.ops.server.embedding import Embedder
from bakeoff.ops.server.questions import EncodedQuery, RefusedError, Vocabulary
from bakeoff.ops.server.schemas import Answer, Item, Neighbour, Neighbours
from bakeoff.ops.server.search import ExactSearch, Excluded, ItemSearch


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
        embedder: embeds queries.
        falls_back: whether its fallback answers for someone without history; no model has another case.
        exact: finds items by brute force.
        search: finds items for lists; the same, or an approximate one.
        loaded: when it was ready, in ISO 8601.
        recall: of approximate search; None where search is exact.
    """

    origin: Origin
    item_ids: Sequence[str]
    titles: Sequence[str]
    vocabulary: Vocabulary
    embedder: Embedder
    falls_back: bool
    exact: ExactSearch
    search: ItemSearch
    loaded: str
    recall: float | None = None

    def answer(self, questions: Sequence[EncodedQuery]) -> list[Answer]:
        """Lists for a block of at least one question, each of its own length."""
        embedded = self.embedder.embed(questions)
        exclude = Excluded.of([each.exclude for each in questions])
        found = self.search.find(embedded, exclude, max(each.k for each in questions))
        answers = []
        for question, lists in zip(questions, found, strict=True):
            best = zip(lists.items[: question.k].tolist(), lists.scores[: question.k].tolist(), strict=True)
            answers.append(
                Answer.model_construct(
                    items=[Item.model_construct(item_id=self.item_ids[item], score=score) for item, score in best],
                    model=self.origin.model,
                    version=self.origin.version,
                    fallback=self.falls_back and len(question.query.histories.items) == 0,
                    ignored=list(question.ignored),
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
