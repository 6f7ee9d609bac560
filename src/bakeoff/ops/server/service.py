"""The model that answers now, what is measured of it, and how a promotion replaces it.

Queries that have arrived when a block begins are computed together; a block does not wait for more queries.
"""

import asyncio
import gc
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from prometheus_client import Counter, Gauge, Histogram, Info
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bakeoff.core.errors import BakeoffError
from bakeoff.ops.registry.history import Event
from bakeoff.ops.server.query_encoder import EncodedQuery
from bakeoff.ops.server.schemas import Answer, ModelInfo, Query, RefusedError
from bakeoff.ops.server.served_model import ServedModel

MOST_WAITING = 8192
"""Queries beyond which more are refused: an answer that comes after minutes helps nobody."""

MOST_ALONE = 16
"""Queries that wait to be computed alone, at most: each may take half a second, in which all others wait."""

QUIET_TURNS = 3
"""Turns of the event loop without a new query, after which all that had arrived are there: one turn reads the bytes of
a request, and the next one submits its query."""

LOOP_SECONDS = 0.05
"""Longest block that the event loop computes itself, which does nothing else meanwhile."""

LOOP_EVENTS = 10_000
"""Events in the histories of such a block, at most: blocks before it say nothing about one with longer histories."""


Look = Callable[[], Event | None]
"""What is in production."""
Load = Callable[[Event], ServedModel]
"""Loads what was promoted, warm."""


@dataclass(frozen=True)
class _Waiting:
    model: ServedModel
    query: EncodedQuery
    answer: "asyncio.Future[Answer]"
    alone: bool


class Batcher:
    """Computes blocks one after the other: in the event loop where that is quick, else in a thread of its own.

    A thread shares the interpreter with the event loop and each waits for the other: for blocks of milliseconds that
    costs as much again as the block (docs/serving.md). Blocks that take longer would keep the server from taking
    requests and saying that it lives.
    """

    def __init__(self, max_batch: int, on_batch: Callable[[int], None]) -> None:
        """Compute blocks of at most `max_batch` queries; `on_batch` receives the size of each."""
        self._max_batch, self._on_batch = max_batch, on_batch
        self._waiting: deque[_Waiting] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="answers")
        self._is_slow = True  # the first block, in which code may be traced
        self._working: asyncio.Task[None] | None = None

    def submit(self, model: ServedModel, query: EncodedQuery, *, alone: bool = False) -> "asyncio.Future[Answer]":
        """The answer, once it is there. Call it in the event loop; `alone` is for a query that takes long.

        Raises:
            RefusedError: 503, too many are waiting.
        """
        most = MOST_ALONE if alone else MOST_WAITING
        if (sum(each.alone for each in self._waiting) if alone else len(self._waiting)) >= most:
            raise RefusedError(503, f"{most} queries are waiting already: try again later, or add replicas.")
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(model, query, answer, alone))
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        return answer

    def close(self) -> None:
        """End the thread, once it has computed its last block."""
        self._thread.shutdown()

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                if block := self._next():
                    await self._answer(block)
        finally:
            self._working = None

    async def _gather(self) -> None:
        """Let the event loop hand out answers and take in what has arrived; at least one turn of it."""
        quiet = 0
        while quiet < QUIET_TURNS:
            before = len(self._waiting)
            await asyncio.sleep(0)
            if len(self._waiting) >= self._max_batch:
                return
            quiet = 0 if len(self._waiting) > before else quiet + 1

    def _next(self) -> list[_Waiting]:
        """The next queries, of one model, an old one's before the new one's; or one that is computed alone."""
        block: list[_Waiting] = []
        while self._waiting and len(block) < self._max_batch:
            then = self._waiting[0]
            if block and (then.model is not block[0].model or then.alone or block[0].alone):
                break
            entry = self._waiting.popleft()
            if not entry.answer.cancelled():  # the client has gone
                block.append(entry)
        return block

    async def _answer(self, block: list[_Waiting]) -> None:
        self._on_batch(len(block))
        try:
            answers = await self._computed(block[0], [entry.query for entry in block])
        except Exception as error:  # noqa: BLE001 - it is raised where the query was submitted, and the others go on
            if len(block) > 1:  # one query must not spoil the answers of others
                for entry in block:
                    await self._answer([entry])
            elif not block[0].answer.cancelled():
                block[0].answer.set_exception(error)
            return
        for entry, answer in zip(block, answers, strict=True):
            if not entry.answer.cancelled():
                entry.answer.set_result(answer)

    async def _computed(self, first: _Waiting, queries: list[EncodedQuery]) -> list[Answer]:
        begun, model = time.perf_counter(), first.model
        if self._is_slow or first.alone or model.num_events(queries) > LOOP_EVENTS:
            answers = await asyncio.get_running_loop().run_in_executor(self._thread, model.answer, queries)
        else:
            answers = model.answer(queries)
        if not first.alone:
            self._is_slow = time.perf_counter() - begun > LOOP_SECONDS
        return answers


log = logging.getLogger("bakeoff.serve")
_SECONDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
REQUESTS = Counter("bakeoff_requests", "Requests by route and HTTP status.", ["route", "status"])
LATENCY = Histogram("bakeoff_request_seconds", "From a request to the end of its answer.", ["route"], buckets=_SECONDS)
BATCH_SIZE = Histogram("bakeoff_batch_size", "Queries computed together.", buckets=_BATCHES)
MODEL = Info("bakeoff_model", "What answers now.")
LOADED = Gauge("bakeoff_model_loaded_timestamp_seconds", "When it began to answer.")
SWAPS = Counter("bakeoff_model_swaps", "Promotions that were taken up.")
LOAD_FAILURES = Counter("bakeoff_model_load_failures", "Promotions that could not be loaded; the old model goes on.")
REGISTRY_FAILURES = Counter("bakeoff_registry_failures", "Reads of the model registry that failed.")
RECALL = Gauge("bakeoff_search_recall", "Of the search compared with brute force, at load; 1 if exact.")

LOAD_SECONDS = 600.0
"""Time to load a promotion beyond which that is reported as a failure."""
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
            # The path with the names of its parameters: one name for all items, and for all that is not there.
            route: Any = getattr(scope.get("route"), "path_format", "none")
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
        self.batcher, self.draining = Batcher(max_batch, BATCH_SIZE.observe), False
        self.use(model)

    def use(self, model: ServedModel) -> None:
        """Answer new queries with this model; earlier ones are answered by the model that they were put to."""
        self.model: ServedModel = model
        self.failed: str | None = None
        origin = model.origin
        MODEL.info({"model": origin.model, "version": origin.version, "commit": origin.commit or ""})
        LOADED.set(time.time())
        RECALL.set(1.0 if model.search.recall is None else model.search.recall)

    def submit(self, model: ServedModel, query: Query) -> "asyncio.Future[Answer]":
        """The answer of a model, once it is there.

        Raises:
            RefusedError: the query makes no sense, names what the model does not know, or too many are waiting.
        """
        return self.batcher.submit(model, model.encoder.encode(query), alone=query.why)

    def info(self) -> ModelInfo:
        """What answers now."""
        model = self.model
        return ModelInfo(
            **model.origin.model_dump(),
            loaded=model.loaded,
            items=len(model.item_ids),
            added_items=len(model.item_ids) - model.num_trained,
            users=len(model.encoder.users.rows),
            dim=model.search.dim,
            search=model.search.description,
            recall=model.search.recall,
            user_features=list(model.encoder.encoding.names),
            item_features=list(model.encoder.features.names),
            failed=self.failed,
        )


async def follow(service: Service, look: Look, load: Load, current: Event, interval: float) -> None:
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
            if await _taken_up(service, look, load, found):
                current = found
            else:
                retry_at, pause = time.monotonic() + pause, min(2 * pause, LONGEST_PAUSE)


async def _taken_up(service: Service, look: Look, load: Load, found: Event) -> bool:
    """Load a promotion and answer with it; False where that fails, with the reason in `service.failed`.

    False as well where it was taken back while it was loaded. A load that takes long is reported, and waited for.
    """
    name = found.version.name
    log.info("%s was promoted: loading it", name)
    loading = asyncio.ensure_future(asyncio.to_thread(load, found))
    try:
        if not (await asyncio.wait([loading], timeout=LOAD_SECONDS))[0]:
            service.failed = f"{name}: it is still being loaded after {LOAD_SECONDS:.0f} seconds."
            LOAD_FAILURES.inc()
            log.error("%s %s goes on answering.", service.failed, service.model.name)
        model = await loading
    except Exception as error:  # noqa: BLE001 - a broken promotion must not end what works
        why = str(error) if isinstance(error, BakeoffError) else f"{type(error).__name__}: {error}"
        service.failed = f"{name}: {why}"
        LOAD_FAILURES.inc()
        log.error("%s can't be loaded, %s goes on answering. %s", name, service.model.name, why)
        return False
    with suppress(Exception):  # where the registry can't be read, what was found counts
        if await asyncio.to_thread(look) != found:
            log.info("%s was taken back while it was loaded", name)
            return False
    service.use(model)
    SWAPS.inc()
    log.info("%s answers from now on", name)
    await asyncio.to_thread(settle)
    return True
