"""From an exported model to one that answers: read, compared with its SavedModel, measured, warm.

Then come the items that `bakeoff catalogue add` added to it: they are taken up while requests go on.
"""

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError, first_line
from bakeoff.core.files import file_stamp
from bakeoff.models.base import specs
from bakeoff.models.base.encoder import EncoderRetriever
from bakeoff.models.base.list_options import standard_log_popularity
from bakeoff.models.base.loading import extras_of, load_serving
from bakeoff.models.base.storage import read_encoding, read_items, read_known_users
from bakeoff.ops.catalogue import FOLDER, additions_path, read_additions
from bakeoff.ops.list_options import ItemFeatures
from bakeoff.ops.server.prefilter import PREFILTERED, PrefilteredSearch
from bakeoff.ops.server.query_encoder import QueryEncoder
from bakeoff.ops.server.schemas import Origin, Query
from bakeoff.ops.server.search import ExactSearch
from bakeoff.ops.server.served_model import QueryEmbedder, ServedModel
from bakeoff.ops.server.service import Service

log = logging.getLogger("bakeoff.serve")

CHECKED_USERS = 8
"""Users whose lists are compared with those of the SavedModel itself."""

EMBEDDING_SECONDS = 2.0
"""In which known users are embedded at load; the others are at their first request."""

MEASURED_QUERIES = 256
"""On which the recall of approximate search is measured."""

LARGE = 500_000
"""Items from which `auto` searches approximately: an exact query then takes some milliseconds (docs/serving.md)."""

CLOSE = 1e-3
"""Relative difference of scores that rounding explains: products are added up in another order."""

INTERVAL = 0.05
"""Seconds between two looks at the file of added items, each a call of the file system."""


def load_served(folder: Path, origin: Origin, approximate: Literal["auto", "on", "off"]) -> ServedModel:
    """The model of a directory, which has answered already, and as its SavedModel does.

    Args:
        folder: with an exported model.
        origin: where it comes from.
        approximate: whether search is approximate; auto: where the catalogue is large.

    Raises:
        BakeoffError: it can't be loaded, its parts don't fit each other, or its embeddings hold NaN.
    """
    extras = extras_of(folder)
    items, encoding = read_items(extras), read_encoding(extras)
    module = load_serving(folder)
    users = read_known_users(extras)
    retriever = EncoderRetriever(_GraphEncoder(module))
    embeddings = np.array(retriever.item_embeddings)
    if len(embeddings) != len(items) or len(items) == 0 or not np.isfinite(embeddings).all():
        raise BakeoffError(
            f"{origin.model} has embeddings of shape {list(embeddings.shape)} for {len(items)} items, or they hold NaN "
            "or infinity: train it again."
        )
    ids = items["item_id"].astype(str).tolist()
    index = {item: place for place, item in enumerate(ids)}
    explains = retriever.explains and origin.model in specs.specs()  # which say what the parts of a score are
    features = ItemFeatures(items, encoding.item, origin.model)
    encoder = QueryEncoder(origin.model, index, users, encoding.user, features, explains, retriever.reads_time)
    model = ServedModel(
        origin=origin,
        item_ids=ids,
        titles=items["title"].astype(str).tolist(),
        encoder=encoder,
        embedder=QueryEmbedder(retriever, len(items), embeddings.shape[1], len(users.rows)),
        falls_back=bool(retriever.uses_fallback(encoder.encode(Query(history=[], k=1)).query)[0]),
        search=PrefilteredSearch(embeddings) if embeddings.size >= PREFILTERED else ExactSearch(embeddings),
        popularity=standard_log_popularity(users.queries.histories.item_counts(len(items))),
        retriever=retriever,
        loaded=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    _check(model, module)
    if not retriever.reads_time:
        model.embedder.remember(users.queries, EMBEDDING_SECONDS)
    if approximate == "off" or (approximate == "auto" and len(items) < LARGE):
        return model
    return _approximate(model, embeddings, always=approximate == "on")


class _GraphEncoder:
    """The functions of a loaded module, called without looking for the right overload: there is only one."""

    def __init__(self, module: Any) -> None:
        self.item_embeddings = module.item_embeddings
        self.embed_queries = module.embed_queries.concrete_functions[0]
        self.uses_fallback = module.uses_fallback.concrete_functions[0]
        if hasattr(module, "explain"):
            self.explain = module.explain.concrete_functions[0]
        if hasattr(module, "reads_time"):
            self.reads_time = True


def _check(model: ServedModel, module: Any) -> None:
    """Compare the lists of a few users with those of the SavedModel, at no particular time."""
    users = list(model.encoder.users.rows)[:CHECKED_USERS]
    k = min(10, len(model.item_ids))
    queries = [*(Query(user_id=user, k=k) for user in users), Query(history=[], k=k)]
    timeless = replace(model.encoder, reads_time=False)
    answers = [model.answer([timeless.encode(query)])[0] for query in queries]  # as most requests come: alone
    scores = np.asarray(module.recommend_for_users(np.array(users, np.str_), k)["scores"])
    for expected, answer in zip(scores, answers, strict=False):
        found = np.array([item.score for item in answer.items], np.float32)
        expected = expected[np.isfinite(expected)]
        if len(found) != len(expected) or not np.allclose(found, expected, rtol=CLOSE, atol=CLOSE):
            raise BakeoffError(
                f"{model.name} gives other lists here than its SavedModel does: it was exported by another version of "
                "Bakeoff. Train it again."
            )


def _approximate(model: ServedModel, embeddings: NDArray[np.float32], *, always: bool) -> ServedModel:
    """The same model with approximate search; with brute force where that is no slower, unless `always`.

    Recall is measured on the queries of known users, without what they have seen.
    """
    from bakeoff.ops.server.approximate import MOST_PROBED, ApproximateSearch  # loads faiss

    users = list(model.encoder.users.rows)
    chosen = np.random.default_rng(0).permutation(len(users))[:MEASURED_QUERIES]
    encoded = [model.encoder.encode(Query(user_id=users[row], k=1)) for row in chosen]
    search = ApproximateSearch(
        embeddings, model.search.quantised if isinstance(model.search, PrefilteredSearch) else None
    )
    search.tune(model.embedder.embed(encoded), [each.exclude for each in encoded])
    log.info("%s, %s", model.name, search.description)
    if not always and search.probes > MOST_PROBED * search.lists:
        log.info("%s: so many lists take as long as brute force, which is used instead", model.name)
        return model
    return replace(model, search=search)


def with_added(model: ServedModel, root: Path) -> ServedModel:
    """A model that was just loaded, and what was added to it in this workspace; only that of its own version."""
    embeddings = model.search.vectors(np.arange(len(model.item_ids)))
    path = additions_path(root, model.origin.model, model.item_ids, embeddings)
    if not path.exists() and any((root / FOLDER).glob("*.parquet")):
        log.info(
            "items were added to other models or versions than %s: `bakeoff catalogue add` adds them to it", model.name
        )
    return refreshed(replace(model, source=path), path)


def refreshed(model: ServedModel, source: Path) -> ServedModel:
    """The model with what its file of additions holds now. If it can't be read, the log says so and nothing changes.

    Args:
        model: that answers.
        source: its file.
    """
    base, now = model.base or model, file_stamp(source)
    try:
        added = read_additions(source)
        extended = base if added.empty else base.extended(added)
    except Exception as error:  # noqa: BLE001 - a broken file must not end what works
        log.error("%s goes on without a change. %s", model.name, first_line(error))
        return replace(model, stamp=now)
    if now is not None or model.stamp is not None:
        log.info("%s ranks %d added items from now on", model.name, len(added))
    return replace(extended, base=base, stamp=now)


async def follow_added(service: Service) -> None:
    """Take up what is added to the model that answers, or taken back, until cancelled."""
    while True:
        await asyncio.sleep(INTERVAL)
        model = service.model
        if model.source is not None and file_stamp(model.source) != model.stamp:
            found = await asyncio.to_thread(refreshed, model, model.source)
            if service.model is model:  # else a promotion came, with its own file
                service.model = found
