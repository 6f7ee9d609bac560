import asyncio
import threading
from dataclasses import dataclass, field

import pytest

from bakeoff.ops.server import service
from bakeoff.ops.server.schemas import RefusedError
from bakeoff.ops.server.service import Batcher


@dataclass(eq=False)
class Slow:
    """Answers with its name, once it is let."""

    name: str
    gate: threading.Event = field(default_factory=threading.Event)

    def num_events(self, queries):
        return 0

    def answer(self, queries):
        assert self.gate.wait(10)
        if "poison" in queries:
            raise ValueError("poison")
        return [f"{self.name} {query}" for query in queries]


def running(work, max_batch=64):
    """What `work(batcher)` returns, and the sizes of the blocks."""
    sizes = []

    async def run():
        batcher = Batcher(max_batch, sizes.append)
        try:
            return await work(batcher, sizes)
        finally:
            batcher.close()

    return asyncio.run(run()), sizes


def ask(queries, max_batch=64):
    """Answers to (model, query) pairs, submitted at once behind a first one, and the sizes of the blocks."""

    async def work(batcher, sizes):
        try:
            first = batcher.submit(*queries[0])
            while not sizes:  # the first one is taken
                await asyncio.sleep(0)
            others = [batcher.submit(model, query) for model, query in queries[1:]]
            for model, _ in queries:
                model.gate.set()
            return await asyncio.gather(first, *others, return_exceptions=True)
        finally:
            for model, _ in queries:
                model.gate.set()

    return running(work, max_batch)


def test_what_arrives_meanwhile_is_asked_together():
    model = Slow("a")
    answers, sizes = ask([(model, number) for number in range(6)], max_batch=3)
    assert answers == [f"a {number}" for number in range(6)]
    assert sizes == [1, 3, 2]


@dataclass(eq=False)
class Quick:
    """Answers at once, and remembers in which thread."""

    threads: list = field(default_factory=list)
    events: int = 0

    def num_events(self, queries):
        return self.events

    def answer(self, queries):
        self.threads.append(threading.current_thread())
        return queries


def one_after_the_other(model, count):
    async def work(batcher, _):
        return [await batcher.submit(model, number) for number in range(count)]

    return running(work)[0]


def test_what_arrives_in_the_same_turn_is_asked_together():
    async def work(batcher, _):
        model = Quick()
        return await asyncio.gather(*(batcher.submit(model, number) for number in range(5)))

    assert running(work) == ([0, 1, 2, 3, 4], [5])


def test_blocks_are_computed_in_the_event_loop_once_one_was_quick(monkeypatch):
    monkeypatch.setattr(service, "LOOP_SECONDS", float("inf"))
    model = Quick()
    assert one_after_the_other(model, 3) == [0, 1, 2]
    assert [thread is threading.main_thread() for thread in model.threads] == [False, True, True]


def test_blocks_that_take_long_leave_the_event_loop_free(monkeypatch):
    monkeypatch.setattr(service, "LOOP_SECONDS", 0)
    model = Quick()
    assert one_after_the_other(model, 3) == [0, 1, 2]
    assert threading.main_thread() not in model.threads


def test_a_block_with_long_histories_leaves_the_event_loop_free_whatever_came_before(monkeypatch):
    monkeypatch.setattr(service, "LOOP_SECONDS", float("inf"))
    model = Quick(events=service.LOOP_EVENTS + 1)
    assert one_after_the_other(model, 3) == [0, 1, 2]
    assert threading.main_thread() not in model.threads


def test_answers_are_handed_out_before_the_next_block_however_many_wait(monkeypatch):
    monkeypatch.setattr(service, "LOOP_SECONDS", float("inf"))
    order = []

    class Ordered(Quick):
        def answer(self, queries):
            order.append("block")
            return queries

    async def ask_one(batcher, model, number):
        await batcher.submit(model, number)
        order.append("handed out")

    async def work(batcher, _):
        model = Ordered()
        await asyncio.gather(*(ask_one(batcher, model, number) for number in range(4)))

    running(work, max_batch=1)
    assert order == ["block", "handed out"] * 4


def test_what_was_asked_of_the_old_model_is_answered_by_it():
    old, new = Slow("old"), Slow("new")
    answers, sizes = ask([(old, 0), (old, 1), (old, 2), (new, 3)])
    assert answers == ["old 0", "old 1", "old 2", "new 3"]
    assert sizes == [1, 2, 1]


def test_a_query_that_fails_does_not_spoil_the_others():
    model = Slow("a")
    answers, _ = ask([(model, 0), (model, 1), (model, "poison"), (model, 2)])
    assert answers[:2] == ["a 0", "a 1"]
    assert isinstance(answers[2], ValueError)
    assert answers[3] == "a 2"


def test_too_many_are_refused(monkeypatch):
    monkeypatch.setattr(service, "MOST_WAITING", 2)
    with pytest.raises(RefusedError, match="2 queries are waiting already") as refused:
        ask([(Slow("a"), number) for number in range(4)])
    assert refused.value.status_code == 503


def test_what_is_computed_alone_shares_no_block_and_few_of_it_may_wait(monkeypatch):
    monkeypatch.setattr(service, "MOST_ALONE", 2)
    model = Slow("m")

    async def work(batcher, sizes):
        try:
            first = batcher.submit(model, "first")
            while not sizes:
                await asyncio.sleep(0)
            asked = [("a", False), ("b", False), ("c", True), ("d", True), ("e", False)]
            others = [batcher.submit(model, query, alone=alone) for query, alone in asked]
            with pytest.raises(RefusedError, match="2 queries are waiting already"):
                batcher.submit(model, "f", alone=True)
            return await asyncio.gather(first, *others, model.gate.set() or asyncio.sleep(0))
        finally:
            model.gate.set()

    answers, sizes = running(work)
    assert answers[:-1] == ["m first", "m a", "m b", "m c", "m d", "m e"]
    assert sizes == [1, 2, 1, 1, 1]
