"""Requests that arrive while a block is computed are asked together as the next one. Nobody waits for company."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bakeoff.server.questions import Question, RefusedError
from bakeoff.server.schemas import Answer
from bakeoff.server.served import ServedModel

MOST_WAITING = 8192
"""Questions beyond which more are refused: an answer that comes after minutes helps nobody."""


@dataclass(frozen=True)
class _Waiting:
    model: ServedModel
    question: Question
    answer: "asyncio.Future[Answer]"


class Batcher:
    """One thread that computes, fed from the event loop."""

    def __init__(self, max_batch: int, on_batch: Callable[[int], None]) -> None:
        """Ask blocks of at most `max_batch`; `on_batch` is told the size of each."""
        self._max_batch, self._on_batch = max_batch, on_batch
        self._waiting: deque[_Waiting] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="answers")
        self._working: asyncio.Task[None] | None = None

    def ask(self, model: ServedModel, question: Question) -> "asyncio.Future[Answer]":
        """The answer, once it is there. Call it in the event loop.

        Raises:
            RefusedError: 503, too many are waiting.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise RefusedError(503, f"{MOST_WAITING} queries are waiting already: try again later, or add replicas.")
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(model, question, answer))
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        return answer

    def close(self) -> None:
        """End the thread, once it has answered what it was asked."""
        self._thread.shutdown()

    async def _work(self) -> None:
        try:
            while self._waiting:
                block = self._next()
                if block:
                    await self._answer(block)
        finally:
            self._working = None

    def _next(self) -> list[_Waiting]:
        """The next questions, all of one model: those to an old one come before those to the new one."""
        block: list[_Waiting] = []
        while self._waiting and len(block) < self._max_batch:
            if block and self._waiting[0].model is not block[0].model:
                break
            entry = self._waiting.popleft()
            if not entry.answer.cancelled():  # whoever asked has gone
                block.append(entry)
        return block

    async def _answer(self, block: list[_Waiting]) -> None:
        self._on_batch(len(block))
        questions = [entry.question for entry in block]
        try:
            answers = await asyncio.get_running_loop().run_in_executor(self._thread, block[0].model.answer, questions)
        except Exception as error:  # noqa: BLE001 - it is handed to whoever asked, and the others go on
            if len(block) > 1:  # one question must not spoil the answers of others
                for entry in block:
                    await self._answer([entry])
            elif not block[0].answer.cancelled():
                block[0].answer.set_exception(error)
            return
        for entry, answer in zip(block, answers, strict=True):
            if not entry.answer.cancelled():
                entry.answer.set_result(answer)
