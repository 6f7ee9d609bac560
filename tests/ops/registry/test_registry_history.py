"""What events amount to; no repository is needed for that."""

import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.ops.registry.history import (
    ASSIGNED,
    REGISTERED,
    ROLLBACK,
    UNASSIGNED,
    Event,
    Version,
    active,
    find_version,
    production,
    way_back,
)


def registered(model: str, number: str, commit: str) -> Event:
    return Event(f"{model}@{number}", REGISTERED, Version(model, number, commit), 0)


VERSIONS = [
    registered("softmax", "v1.0.0", "a"),
    registered("mf", "v1.0.0", "b"),
    registered("softmax", "v2.0.0", "c"),
    registered("softmax", "v3.0.0", "d"),
]
BY_NAME = {event.version.name: event.version for event in VERSIONS}


def happened(*steps: str) -> list[Event]:
    """`+name` was promoted, `-name` rolled back to; each un-assigns what was there, as `enter` does."""
    events, former = [*VERSIONS], None
    for number, step in enumerate(steps):
        if former:
            events.append(Event("out", UNASSIGNED, former, number))
        action = "promote" if step[0] == "+" else ROLLBACK
        former = BY_NAME[step[1:]]
        events.append(Event("in", ASSIGNED, former, number, message=f"in\n\nAction: {action}"))
    return events


def assigned(name: str, at: int) -> Event:
    return Event(f"{at}", ASSIGNED, BY_NAME[name], at)


def names(found) -> list[str]:
    return [event.version.name for event in found]


def way(events: list[Event]) -> list[str]:
    return names(way_back(events)[0])


def left(events: list[Event]) -> list[str]:
    return [version.name for version in way_back(events)[1]]


def test_nothing_is_in_production_before_anything_was_assigned():
    assert production(VERSIONS) is None
    assert way_back(VERSIONS) == ([], [])


def test_what_was_assigned_last_is_in_production():
    assert production(happened("+softmax@v1.0.0", "+mf@v1.0.0")).version.name == "mf@v1.0.0"


def test_a_version_that_was_assigned_by_hand_beside_another_counts_if_it_is_the_later():
    events = [*VERSIONS, assigned("softmax@v1.0.0", 1), assigned("mf@v1.0.0", 2)]
    assert names(active(events).values()) == ["softmax@v1.0.0", "mf@v1.0.0"]
    assert production(events).version.name == "mf@v1.0.0"


def test_taking_a_version_out_leaves_others_of_its_model_in():
    events = [*VERSIONS, assigned("softmax@v1.0.0", 1), assigned("softmax@v2.0.0", 2)]
    gone = Event("z", UNASSIGNED, BY_NAME["softmax@v1.0.0"], 3)
    assert production([*events, gone]).version.name == "softmax@v2.0.0"


def test_the_way_back_is_the_order_of_promotions():
    assert way(happened("+softmax@v1.0.0", "+mf@v1.0.0", "+softmax@v2.0.0")) == [
        "softmax@v1.0.0",
        "mf@v1.0.0",
        "softmax@v2.0.0",
    ]


def test_rollbacks_in_a_row_go_on_backwards():
    ahead = ("+softmax@v1.0.0", "+softmax@v2.0.0", "+softmax@v3.0.0")
    once = happened(*ahead, "-softmax@v2.0.0")
    assert way(once) == ["softmax@v1.0.0", "softmax@v2.0.0"]
    twice = happened(*ahead, "-softmax@v2.0.0", "-softmax@v1.0.0")
    assert way(twice) == ["softmax@v1.0.0"]
    assert left(twice) == ["softmax@v3.0.0", "softmax@v2.0.0"]


def test_a_promotion_after_a_rollback_does_not_lead_back_to_what_was_left():
    events = happened("+softmax@v1.0.0", "+softmax@v2.0.0", "-softmax@v1.0.0", "+softmax@v3.0.0")
    assert way(events) == ["softmax@v1.0.0", "softmax@v3.0.0"]
    assert left(events) == ["softmax@v2.0.0"]


def test_a_rollback_that_is_taken_back_says_nothing_against_either_version():
    events = happened("+softmax@v1.0.0", "+softmax@v2.0.0", "-softmax@v1.0.0", "-softmax@v2.0.0")
    assert way(events) == ["softmax@v1.0.0", "softmax@v2.0.0"]
    assert left(events) == []


def test_a_return_after_a_promotion_leaves_what_was_promoted():
    # v2 was left for v1; the return to it from v3 is a rollback of v3.
    events = happened("+softmax@v1.0.0", "+softmax@v2.0.0", "-softmax@v1.0.0", "+softmax@v3.0.0", "-softmax@v2.0.0")
    assert way(events) == ["softmax@v1.0.0", "softmax@v2.0.0"]
    assert left(events) == ["softmax@v3.0.0"]


def test_rollbacks_in_a_row_are_taken_back_as_one():
    ahead = ("+softmax@v1.0.0", "+softmax@v2.0.0", "+softmax@v3.0.0")
    events = happened(*ahead, "-softmax@v2.0.0", "-softmax@v1.0.0", "-softmax@v3.0.0")
    assert way(events) == ["softmax@v1.0.0", "softmax@v3.0.0"]
    assert left(events) == ["softmax@v2.0.0"]


def test_a_rollback_beside_the_way_leaves_what_was_there():
    events = happened("+softmax@v1.0.0", "-mf@v1.0.0")
    assert way(events) == ["mf@v1.0.0"]
    assert left(events) == ["softmax@v1.0.0"]


def test_a_version_that_was_left_is_nowhere_on_the_way():
    events = happened("+softmax@v2.0.0", "+softmax@v1.0.0", "+softmax@v2.0.0", "-softmax@v1.0.0")
    assert way(events) == ["softmax@v1.0.0"]
    assert left(events) == ["softmax@v2.0.0"]


def test_a_promotion_of_what_is_there_adds_nothing_to_the_way():
    assert way(happened("+softmax@v1.0.0", "+softmax@v1.0.0")) == ["softmax@v1.0.0"]


def test_a_version_that_is_not_there_is_refused_beside_those_that_are():
    with pytest.raises(BakeoffError, match=r"'softmax@v9\.0\.0' is no version.*softmax@v1\.0\.0, mf@v1\.0\.0"):
        find_version(VERSIONS, "softmax@v9.0.0")
