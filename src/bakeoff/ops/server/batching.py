"""Queries that have arrived when a block begins are computed together; a block does not wait for more queries."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bakeoff.ops.server.query_encoder import EncodedQuery
from bakeoff.ops.server.schemas import Answer, RefusedError
from bakeoff.ops.server.served_model import ServedModel

MOST_WAITING = 8192
"""Queries beyond which more are refused: an answer that comes after minutes helps nobody."""

QUIET_TURNS = 3
"""Turns of the event loop without a new query, after which all that had arrived are there: one turn reads the bytes of
a request, and the next one submits its query."""

LOOP_SECONDS = 0.05
"""Longest block that the event loop computes itself, which does nothing else meanwhile."""

LOOP_EVENTS = 10_000
"""Events in the histories of such a block, at most: blocks before it say nothing about one with longer histories."""


@dataclass(frozen=True)
class _Waiting:
    model: ServedModel
    query: EncodedQuery
    answer: "asyncio.Future[Answer]"


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

    def submit(self, model: ServedModel, query: EncodedQuery) -> "asyncio.Future[Answer]":
        """The answer, once it is there. Call it in the event loop.

        Raises:
            RefusedError: 503, too many are waiting.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise RefusedError(503, f"{MOST_WAITING} queries are waiting already: try again later, or add replicas.")
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(model, query, answer))
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
                block = self._next()
                if block:
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
        """The next queries, all of one model: those of an old one come before those of the new one."""
        block: list[_Waiting] = []
        while self._waiting and len(block) < self._max_batch:
            if block and self._waiting[0].model is not block[0].model:
                break
            entry = self._waiting.popleft()
            if not entry.answer.cancelled():  # the client has gone
                block.append(entry)
        return block

    async def _answer(self, block: list[_Waiting]) -> None:
        self._on_batch(len(block))
        try:
            answers = await self._computed(block[0].model, [entry.query for entry in block])
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

    async def _computed(self, model: ServedModel, queries: list[EncodedQuery]) -> list[Answer]:
        begun = time.perf_counter()
        if self._is_slow or model.num_events(queries) > LOOP_EVENTS:
            answers = await asyncio.get_running_loop().run_in_executor(self._thread, model.answer, queries)
        else:
            answers = model.answer(queries)
        self._is_slow = time.perf_counter() - begun > LOOP_SECONDS
        return answers
