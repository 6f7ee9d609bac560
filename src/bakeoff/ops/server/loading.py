"""From an exported model to one that answers: read, checked against itself, measured, warm."""

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import Histories, Queries
from bakeoff.data.features.encoding import TableEncoding
from bakeoff.models.base.encoder import EncoderRetriever
from bakeoff.models.base.retriever import Retriever
from bakeoff.models.base.storage import KnownUsers
from bakeoff.ops.server.embedding import Embedder
from bakeoff.ops.server.questions import Vocabulary
from bakeoff.ops.server.schemas import Query
from bakeoff.ops.server.search import Approximate, ExactSearch, Excluded
from bakeoff.ops.server.served import Origin, ServedModel

log = logging.getLogger("bakeoff.serve")

ASKED_AT_LOAD = 8
"""Users whose lists are compared with those of the SavedModel itself."""

EMBEDDING_SECONDS = 2.0
"""In which known users are embedded at load; the others are when they ask."""

MEASURED_QUERIES = 256
"""On which the recall of approximate search is measured."""

LARGE = 200_000
"""Items from which `auto` searches approximately: brute force then takes a query some 3 ms (docs/serving.md)."""

CLOSE = 1e-3
"""Relative difference of scores that rounding explains: products are added up in another order."""


def build(
    module: Any,
    items: pd.DataFrame,
    encoding: TableEncoding,
    users: KnownUsers,
    origin: Origin,
    approximate: Approximate,
) -> ServedModel:
    """A model that has answered already, and as its SavedModel does.

    Args:
        module: as `load_serving` gives it.
        items: item_id and title, in the order of the item indices.
        encoding: of user features.
        users: that can be asked for by id.
        origin: where it comes from.
        approximate: whether search is approximate.

    Raises:
        BakeoffError: its parts don't fit each other, or its embeddings hold NaN.
    """
    retriever = EncoderRetriever(_Encoder(module))
    embeddings = np.array(retriever.item_embeddings)
    if len(embeddings) != len(items) or len(items) == 0 or not np.isfinite(embeddings).all():
        raise BakeoffError(
            f"{origin.model} has embeddings of shape {list(embeddings.shape)} for {len(items)} items, or they hold NaN "
            "or infinity: train it again."
        )
    ids = items["item_id"].astype(str).tolist()
    codes = {
        name: {value: code + 1 for code, value in enumerate(values)} for name, values in encoding.categorical.items()
    }
    vocabulary = Vocabulary(origin.model, {item: index for index, item in enumerate(ids)}, users, encoding, codes)
    model = ServedModel(
        origin=origin,
        item_ids=ids,
        titles=items["title"].astype(str).tolist(),
        vocabulary=vocabulary,
        embedder=Embedder(retriever, embeddings.shape[1], len(users.rows)),
        falls_back=_falls_back(retriever, users),
        exact=(exact := ExactSearch(embeddings)),
        search=exact,
        loaded=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    _check(model, module)
    model.embedder.remember(users.queries, EMBEDDING_SECONDS)
    if approximate is Approximate.OFF or (approximate is Approximate.AUTO and len(ids) < LARGE):
        return model
    return _approximate(model, embeddings, whatever=approximate is Approximate.ON)


def _approximate(model: ServedModel, embeddings: NDArray[np.float32], *, whatever: bool) -> ServedModel:
    """The same model with approximate search; with brute force where that is no worse, unless it is to be `whatever`.

    Recall is measured on the queries of known users, with what they have seen left out; on item embeddings where the
    model knows nobody.
    """
    from bakeoff.ops.server.approximate import MOST_PROBED, ApproximateSearch  # loads faiss

    rng = np.random.default_rng(0)
    users = list(model.vocabulary.users.rows)
    chosen = rng.permutation(len(users))[:MEASURED_QUERIES]
    asked = [model.vocabulary.question(Query(user_id=users[row], k=1)) for row in chosen]
    if asked:
        queries, exclude = model.embedder.embed(asked), Excluded.of([question.exclude for question in asked])
    else:
        queries = embeddings[np.sort(rng.permutation(len(embeddings))[:MEASURED_QUERIES])]
        exclude = Excluded.of([np.zeros(0, np.int64)] * len(queries))
    search = ApproximateSearch(model.exact, embeddings)
    found = search.tune(queries, exclude)
    log.info("%s, %s", model.name, search.description)
    if not whatever and found.probes > MOST_PROBED * found.lists:
        log.info("%s: so many lists take as long as brute force, which is used instead", model.name)
        return model
    return replace(model, search=search, recall=found.recall)


def _falls_back(retriever: Retriever, users: KnownUsers) -> bool:
    """Whether someone of whom nothing is known gets the model's fallback."""
    nothing = Histories(np.zeros(2, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64))
    dense = np.zeros((1, users.queries.dense.shape[1]), np.float32)
    categorical = np.zeros((1, users.queries.categorical.shape[1]), np.int32)
    return bool(retriever.uses_fallback(Queries(nothing, dense, categorical))[0])


class _Encoder:
    """The functions of a loaded module, called without looking for the right overload: there is only one."""

    def __init__(self, module: Any) -> None:
        self.item_embeddings = module.item_embeddings
        self.embed_queries = module.embed_queries.concrete_functions[0]
        self.uses_fallback = module.uses_fallback.concrete_functions[0]


def _check(model: ServedModel, module: Any) -> None:
    """Ask about a few users as clients will, and see that the lists are those of the SavedModel."""
    users = list(model.vocabulary.users.rows)[:ASKED_AT_LOAD]
    k = min(10, len(model.item_ids))
    questions = [model.vocabulary.question(Query(user_id=user, k=k)) for user in users]
    someone_new = model.vocabulary.question(Query(history=[], k=k))
    answers = model.answer([*questions, someone_new])
    if not users:
        return
    scores = np.asarray(module.recommend_for_users(np.array(users), k)["scores"])
    for expected, answer in zip(scores, answers, strict=False):
        found = np.array([item.score for item in answer.items], np.float32)
        expected = expected[np.isfinite(expected)]
        if len(found) != len(expected) or not np.allclose(found, expected, rtol=CLOSE, atol=CLOSE):
            raise BakeoffError(
                f"{model.name} gives other lists here than its SavedModel does: it was exported by another version of "
                "Bakeoff. Train it again."
            )
