"""The model that answers now, what is measured of it, and how a promotion replaces it."""

import asyncio
import gc
import logging
import time
from collections.abc import Callable
from typing import Any

from prometheus_client import Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bakeoff.core.errors import BakeoffError
from bakeoff.ops.registry.history import Event
from bakeoff.ops.server.batching import Batcher
from bakeoff.ops.server.schemas import Answer, ModelInfo, Query
from bakeoff.ops.server.served_model import ServedModel

log = logging.getLogger("bakeoff.serve")

_SECONDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
REQUESTS = Counter("bakeoff_requests", "Requests by route and HTTP status.", ["route", "status"])
LATENCY = Histogram("bakeoff_request_seconds", "From a request to the end of its answer.", ["route"], buckets=_SECONDS)
BATCH_SIZE = Histogram("bakeoff_batch_size", "Queries computed together.", buckets=_BATCHES)
MODEL = Gauge("bakeoff_model_info", "1 for what answers now.", ["model", "version", "commit"])
LOADED = Gauge("bakeoff_model_loaded_timestamp_seconds", "When it began to answer.")
SWAPS = Counter("bakeoff_model_swaps", "Promotions that were taken up.")
LOAD_FAILURES = Counter("bakeoff_model_load_failures", "Promotions that could not be loaded; the old model goes on.")
REGISTRY_FAILURES = Counter("bakeoff_registry_failures", "Reads of the model registry that failed.")
RECALL = Gauge("bakeoff_search_recall", "Of the search compared with brute force, at load; 1 if exact.")

FIRST_PAUSE, LONGEST_PAUSE = 10.0, 600.0
"""Seconds before a promotion that could not be loaded is tried again; doubled each time. Files may come late."""


def settle() -> None:
    """Take what is alive now, a model of half a million objects, out of what garbage collection looks through."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


class RequestMetrics:
    """ASGI middleware that counts requests and measures how long they take."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 500

        async def observed(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, observed)
        finally:
            # The path as it was declared: one name for all items, and for all that is not there.
            route: Any = getattr(scope.get("route"), "path", "none")
            REQUESTS.labels(route, str(status)).inc()
            LATENCY.labels(route).observe(time.perf_counter() - begun)


class Service:
    """What the routes share.

    Attributes:
        model: answers new queries; one assignment replaces it.
        batcher: computes.
        draining: whether the server is about to end.
        failed: a newer promotion that could not be loaded, and why; None where there is none.
    """

    def __init__(self, model: ServedModel, max_batch: int) -> None:
        """Answer with this model."""
        self.batcher = Batcher(max_batch, BATCH_SIZE.observe)
        self.draining = False
        self.use(model)

    def use(self, model: ServedModel) -> None:
        """Answer new queries with this model; earlier ones are answered by the model that they were put to."""
        self.model: ServedModel = model
        self.failed: str | None = None
        MODEL.clear()
        MODEL.labels(model.origin.model, model.origin.version, model.origin.commit or "").set(1)
        LOADED.set(time.time())
        RECALL.set(1.0 if model.search.recall is None else model.search.recall)

    def submit(self, model: ServedModel, query: Query) -> "asyncio.Future[Answer]":
        """The answer of a model, once it is there.

        Raises:
            RefusedError: the query makes no sense, names what the model does not know, or too many are waiting.
        """
        return self.batcher.submit(model, model.encoder.encode(query))

    def info(self) -> ModelInfo:
        """What answers now."""
        model = self.model
        return ModelInfo(
            **model.origin.model_dump(),
            loaded=model.loaded,
            items=len(model.item_ids),
            users=len(model.encoder.users.rows),
            dim=model.search.dim,
            search=model.search.description,
            recall=model.search.recall,
            user_features=list(model.encoder.encoding.names),
            failed=self.failed,
        )


async def follow(
    service: Service,
    look: Callable[[], Event | None],
    load: Callable[[Event], ServedModel],
    current: Event,
    interval: float,
) -> None:
    """Take up promotions until cancelled; they are loaded in a thread, while requests go on.

    Args:
        service: whose model is replaced.
        look: what is in production; may raise BakeoffError.
        load: a model, warm; may raise BakeoffError.
        current: what was loaded already.
        interval: seconds between two calls of `look`.
    """
    warned, tried, retry_at, pause = "", current, 0.0, FIRST_PAUSE
    while True:
        await asyncio.sleep(interval)
        try:
            found = await asyncio.to_thread(look)
        except Exception as error:  # noqa: BLE001 - whatever it is, the model goes on answering
            REGISTRY_FAILURES.inc()
            if str(error) != warned:  # logged once, not every few seconds
                log.warning("the registry can't be read, %s goes on answering: %s", service.model.name, error)
            warned = str(error)
            continue
        warned = ""
        if found is None or found == current:
            service.failed = None  # what could not be loaded was taken back
            continue
        if found != tried:
            tried, retry_at, pause = found, 0.0, FIRST_PAUSE
        if time.monotonic() >= retry_at:
            if await _taken_up(service, load, found):
                current = found
            else:
                retry_at, pause = time.monotonic() + pause, min(2 * pause, LONGEST_PAUSE)


async def _taken_up(service: Service, load: Callable[[Event], ServedModel], found: Event) -> bool:
    """Load a promotion and answer with it; False, with the reason in `service.failed`, where that fails."""
    name = found.version.name
    log.info("%s was promoted: loading it", name)
    try:
        model = await asyncio.to_thread(load, found)
    except Exception as error:  # noqa: BLE001 - a broken promotion must not end what works
        why = str(error) if isinstance(error, BakeoffError) else f"{type(error).__name__}: {error}"
        service.failed = f"{name}: {why}"
        LOAD_FAILURES.inc()
        log.error("%s can't be loaded, %s goes on answering. %s", name, service.model.name, why)
        return False
    service.use(model)
    SWAPS.inc()
    log.info("%s answers from now on", name)
    await asyncio.to_thread(settle)
    return True
