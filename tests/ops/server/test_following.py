"""How a promotion is taken up while the server answers, or is not."""

import asyncio
import threading
from dataclasses import dataclass

import pytest

from bakeoff.ops.registry.history import Version
from bakeoff.ops.server import service


@dataclass(frozen=True)
class Promoted:
    """What `follow` looks at of an event of the registry."""

    version: Version


OLD, NEW = (Promoted(Version("softmax", f"v{number}.0.0", f"commit {number}")) for number in (1, 2))


@pytest.fixture(autouse=True)
def _without_freezing(monkeypatch):
    monkeypatch.setattr(service, "settle", lambda: None)


class Answering:
    """What `follow` needs of a service."""

    failed: str | None = None

    def __init__(self):
        self.model, self.used = OLD.version, list[object]()

    def use(self, model):
        self.used.append(model)
        self.failed = None


def followed(look, load, until, interval=0.001):
    """The service after `follow` has run until a condition on it holds."""
    answering = Answering()

    async def run():
        task = asyncio.create_task(service.follow(answering, look, load, OLD, interval))
        for _ in range(5000):
            if until(answering):
                break
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    return answering


def test_what_is_taken_back_while_it_is_loaded_never_answers():
    standing = [NEW]

    def load(found):
        standing[0] = OLD
        return found

    seen = []

    def look():
        seen.append(standing[0])
        return standing[0]

    answering = followed(look, load, lambda _: seen[-3:] == [OLD] * 3)
    assert answering.used == []
    assert answering.failed is None


def test_what_takes_long_to_load_is_reported_and_answers_once_it_is_there(monkeypatch):
    monkeypatch.setattr(service, "LOAD_SECONDS", 0.01)
    gate, said = threading.Event(), []

    def load(found):
        gate.wait(10)
        return found

    def until(answering):
        if answering.failed and not said:
            said.append(answering.failed)
            gate.set()
        return bool(answering.used)

    answering = followed(lambda: NEW, load, until)
    assert said[0].startswith("softmax@v2.0.0: it is still being loaded")
    assert answering.used == [NEW]
    assert answering.failed is None


def test_a_registry_that_can_not_be_read_after_the_load_does_not_prevent_it():
    looks = iter([NEW])

    def look():
        found = next(looks, None)
        if found is None:
            raise OSError("unreachable")
        return found

    answering = followed(look, lambda found: found, lambda each: bool(each.used))
    assert answering.used == [NEW]


@pytest.mark.parametrize("error", [OSError("torn"), ValueError("odd")])
def test_what_can_not_be_loaded_is_reported_and_the_old_model_goes_on(error):
    def load(found):
        raise error

    answering = followed(lambda: NEW, load, lambda each: each.failed is not None)
    assert answering.used == []
    assert str(error) in answering.failed
