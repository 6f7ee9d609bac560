"""What events amount to; no repository is needed for that."""

import pytest
from gto.constants import Action

from bakeoff.core.errors import BakeoffError
from bakeoff.ops.registry.events import PROMOTE, ROLLBACK, Event
from bakeoff.ops.registry.history import (
    active,
    find_version,
    left_by_rollback,
    next_number,
    production,
    version_at,
    way_back,
)


def registered(model: str, number: str, commit: str) -> Event:
    return Event(f"{model}@{number}", Action.REGISTER, model, commit, 0, version=number)


VERSIONS = [
    registered("softmax", "v1.0.0", "a"),
    registered("mf", "v1.0.0", "b"),
    registered("softmax", "v2.0.0", "c"),
    registered("softmax", "v3.0.0", "d"),
]
COMMITS = {"softmax@v1.0.0": "a", "mf@v1.0.0": "b", "softmax@v2.0.0": "c", "softmax@v3.0.0": "d"}


def happened(*steps: str) -> list[Event]:
    """`+name` was promoted, `-name` rolled back to; each un-assigns what was there, as `transition.plan` does."""
    events, former = [*VERSIONS], None
    for number, step in enumerate(steps):
        name = step[1:]
        model = name.partition("@")[0]
        if former:
            events.append(Event("out", Action.UNASSIGN, former[0], former[1], number))
        action = PROMOTE if step[0] == "+" else ROLLBACK
        former = (model, COMMITS[name])
        events.append(Event("in", Action.ASSIGN, *former, number, counter=1, message=f"in\n\nAction: {action}"))
    return events


def names(found) -> list[str]:
    return [getattr(each, "version", each).name for each in found]


def test_nothing_is_in_production_before_anything_was_assigned():
    assert production(VERSIONS) is None
    assert way_back(VERSIONS) == []


def test_what_was_assigned_last_is_in_production():
    assert production(happened("+softmax@v1.0.0", "+mf@v1.0.0")).version.name == "mf@v1.0.0"


def test_a_version_that_was_assigned_by_hand_beside_another_counts_if_it_is_the_later():
    events = [*VERSIONS, Event("x", Action.ASSIGN, "softmax", "a", 1), Event("y", Action.ASSIGN, "mf", "b", 2)]
    assert names(active(events).values()) == ["softmax@v1.0.0", "mf@v1.0.0"]
    assert production(events).version.name == "mf@v1.0.0"


def test_taking_a_version_out_leaves_others_of_its_model_in():
    events = [*VERSIONS, Event("x", Action.ASSIGN, "softmax", "a", 1), Event("y", Action.ASSIGN, "softmax", "c", 2)]
    assert production([*events, Event("z", Action.UNASSIGN, "softmax", "a", 3)]).version.name == "softmax@v2.0.0"


def test_a_commit_without_a_version_goes_by_its_hash():
    assert version_at([], ("mf", "0123456789")).name == "mf@0123456"


def test_the_way_back_is_the_order_of_promotions():
    assert names(way_back(happened("+softmax@v1.0.0", "+mf@v1.0.0", "+softmax@v2.0.0"))) == [
        "softmax@v1.0.0",
        "mf@v1.0.0",
        "softmax@v2.0.0",
    ]


def test_rollbacks_in_a_row_go_on_backwards():
    ahead = ("+softmax@v1.0.0", "+softmax@v2.0.0", "+softmax@v3.0.0")
    once = happened(*ahead, "-softmax@v2.0.0")
    assert names(way_back(once)) == ["softmax@v1.0.0", "softmax@v2.0.0"]
    twice = happened(*ahead, "-softmax@v2.0.0", "-softmax@v1.0.0")
    assert names(way_back(twice)) == ["softmax@v1.0.0"]
    assert names(left_by_rollback(twice)) == ["softmax@v3.0.0", "softmax@v2.0.0"]


def test_a_promotion_after_a_rollback_does_not_lead_back_to_what_was_left():
    events = happened("+softmax@v1.0.0", "+softmax@v2.0.0", "-softmax@v1.0.0", "+softmax@v3.0.0")
    assert names(way_back(events)) == ["softmax@v1.0.0", "softmax@v3.0.0"]
    assert names(left_by_rollback(events)) == ["softmax@v2.0.0"]


def test_a_rollback_that_is_taken_back_says_nothing_against_either_version():
    events = happened("+softmax@v1.0.0", "+softmax@v2.0.0", "-softmax@v1.0.0", "-softmax@v2.0.0")
    assert names(way_back(events)) == ["softmax@v1.0.0", "softmax@v2.0.0"]
    assert left_by_rollback(events) == []


def test_a_rollback_beside_the_way_leaves_what_was_there():
    events = happened("+softmax@v1.0.0", "-mf@v1.0.0")
    assert names(left_by_rollback(events)) == ["softmax@v1.0.0"]


def test_a_promotion_of_what_is_there_adds_nothing_to_the_way():
    assert names(way_back(happened("+softmax@v1.0.0", "+softmax@v1.0.0"))) == ["softmax@v1.0.0"]


def test_the_next_version_is_one_major_number_higher_than_any_of_its_model():
    assert next_number([], "mf") == "v1.0.0"
    assert next_number([registered("mf", "v9.4.2", "a"), registered("mf", "v10.0.0", "b")], "mf") == "v11.0.0"
    assert next_number(VERSIONS, "mf") == "v2.0.0"


def test_a_version_that_is_not_there_is_refused_beside_those_that_are():
    with pytest.raises(BakeoffError, match=r"'softmax@v9\.0\.0' is no version.*softmax@v1\.0\.0, mf@v1\.0\.0"):
        find_version(VERSIONS, "softmax@v9.0.0")
