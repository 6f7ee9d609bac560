"""The model that answers now, what is measured of it, and how a promotion replaces it."""

import asyncio
import gc
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bakeoff.core.errors import BakeoffError
from bakeoff.ops.registry.history import Event
from bakeoff.ops.server.batching import Batcher
from bakeoff.ops.server.schemas import Answer, ModelInfo, Query
from bakeoff.ops.server.served_model import ServedModel

log = logging.getLogger("bakeoff.serve")

SECONDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

FIRST_PAUSE, LONGEST_PAUSE = 10.0, 600.0
"""Seconds before a promotion that could not be loaded is tried again; doubled each time. Files may come late."""


def settle() -> None:
    """Take what is alive now, a model of half a million objects, out of what garbage collection looks through."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


class Metrics:
    """What Prometheus reads of one server."""

    def __init__(self) -> None:
        """Start from nothing, in a registry of its own."""
        self.registry = CollectorRegistry()
        counter, gauge = partial(Counter, registry=self.registry), partial(Gauge, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        routes, of_model = ["route", "status"], ["model", "version", "commit"]
        elapsed = "From the first byte of a request to the last of its answer."
        not_loaded = "Promotions that could not be loaded; the old model goes on."
        recall = "Of the search compared with brute force, at load; 1 if exact."
        self.requests = counter("bakeoff_requests", "Requests by route and HTTP status.", routes)
        self.seconds = histogram("bakeoff_request_seconds", elapsed, ["route"], buckets=SECONDS)
        self.batch = histogram("bakeoff_batch_size", "Queries computed together.", buckets=BATCHES)
        self.model = gauge("bakeoff_model_info", "1 for what answers now.", of_model)
        self.loaded = gauge("bakeoff_model_loaded_timestamp_seconds", "When it began to answer.")
        self.swaps = counter("bakeoff_model_swaps", "Promotions that were taken up.")
        self.load_failures = counter("bakeoff_model_load_failures", not_loaded)
        self.registry_failures = counter("bakeoff_registry_failures", "Reads of the model registry that failed.")
        self.recall = gauge("bakeoff_search_recall", recall)


class RequestMetrics:
    """ASGI middleware that counts requests and measures how long they take."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """Wrap an application."""
        self._app, self._metrics = app, metrics

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
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - begun)


class Service:
    """What the routes share.

    Attributes:
        model: answers new queries; one assignment replaces it.
        batcher: computes.
        metrics: of this server.
        draining: whether the server is about to end.
        failed: a newer promotion that could not be loaded, and why; None where there is none.
    """

    def __init__(self, model: ServedModel, max_batch: int) -> None:
        """Answer with this model."""
        self.metrics = Metrics()
        self.batcher = Batcher(max_batch, self.metrics.batch.observe)
        self.draining = False
        self.use(model)

    def use(self, model: ServedModel) -> None:
        """Answer new queries with this model; earlier ones are answered by the model that they were put to."""
        self.model: ServedModel = model
        self.failed: str | None = None
        origin, metrics = model.origin, self.metrics
        metrics.model.clear()
        metrics.model.labels(origin.model, origin.version, origin.commit or "").set(1)
        metrics.loaded.set(time.time())
        metrics.recall.set(1.0 if model.recall is None else model.recall)

    def submit(self, model: ServedModel, query: Query) -> "asyncio.Future[Answer]":
        """The answer of a model, once it is there.

        Raises:
            RefusedError: the query makes no sense, names what the model does not know, or too many are waiting.
        """
        return self.batcher.submit(model, model.encoder.encode(query))

    def info(self) -> ModelInfo:
        """What answers now."""
        model, origin = self.model, self.model.origin
        return ModelInfo(
            model=origin.model,
            version=origin.version,
            commit=origin.commit,
            promoted=origin.promoted,
            loaded=model.loaded,
            items=len(model.item_ids),
            users=len(model.encoder.users.rows),
            dim=model.exact.dim,
            search=model.search.description,
            recall=model.recall,
            user_features=list(model.encoder.encoding.names),
            failed=self.failed,
        )


class Watcher:
    """Reads the registry every few seconds and loads what was promoted in a thread, while requests go on."""

    def __init__(
        self,
        service: Service,
        look: Callable[[], Event | None],
        load: Callable[[Event], ServedModel],
        current: Event,
        interval: float,
    ) -> None:
        """Start from what answers now.

        Args:
            service: whose model is replaced.
            look: what is in production; may raise BakeoffError.
            load: a model, warm; may raise BakeoffError.
            current: what was loaded already.
            interval: seconds between two reads.
        """
        self._service, self._look, self._load, self._interval = service, look, load, interval
        self._current = _key(current)
        self._warned = ""
        self._retries: dict[tuple[str, ...], tuple[float, float]] = {}

    async def follow(self) -> None:
        """Go on until cancelled."""
        while True:
            await asyncio.sleep(self._interval)
            await self._step()

    async def _step(self) -> None:
        """Read the registry once; take up what is new."""
        service = self._service
        try:
            found = await asyncio.to_thread(self._look)
        except Exception as error:  # noqa: BLE001 - whatever it is, the model goes on answering
            service.metrics.registry_failures.inc()
            if str(error) != self._warned:  # logged once, not every few seconds
                log.warning("the registry can't be read, %s goes on answering: %s", service.model.name, error)
            self._warned = str(error)
            return
        self._warned = ""
        if found is None or _key(found) == self._current:
            service.failed = None  # what could not be loaded was taken back
        elif time.monotonic() >= self._retries.get(_key(found), (0.0, 0.0))[0]:
            await self._take_up(found)

    async def _take_up(self, found: Event) -> None:
        service, name, key = self._service, found.version.name, _key(found)
        log.info("%s was promoted: loading it", name)
        try:
            model = await asyncio.to_thread(self._load, found)
        except Exception as error:  # noqa: BLE001 - a broken promotion must not end what works
            pause = self._retries.get(key, (0.0, FIRST_PAUSE))[1]
            self._retries[key] = time.monotonic() + pause, min(2 * pause, LONGEST_PAUSE)
            why = str(error) if isinstance(error, BakeoffError) else f"{type(error).__name__}: {error}"
            service.failed = f"{name}: {why}"
            service.metrics.load_failures.inc()
            log.error("%s can't be loaded, %s goes on answering. %s", name, service.model.name, why)
            return
        service.use(model)
        service.metrics.swaps.inc()
        log.info("%s answers from now on", model.name)
        self._current = key
        self._retries.clear()
        await asyncio.to_thread(settle)


def _key(assignment: Event) -> tuple[str, ...]:
    return (*assignment.version.place, assignment.tag)
