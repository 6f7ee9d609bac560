"""What each way of splitting promises, whether it was kept, and what is weak about it even if it was."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import ibis.expr.types as ir
import numpy as np
from numpy.typing import NDArray

from bakeoff.data.engine.engine import Partitioned
from bakeoff.data.split.split_facts import PARTS, facts_of, latest_of_all

if TYPE_CHECKING:
    from bakeoff.data.validate.checks import Check
    from bakeoff.data.validate.gx_runner import Outcome

Frames = Callable[[ir.Table, str], Iterator[Any]]
"""Rows as data frames that Great Expectations takes, known by a column."""
EXAMPLES = 3

WEAKNESSES = {
    "user-temporal": (
        "The cut lies at another moment for each user, so a model is trained on what some users did after "
        "others are tested: trends and new items of the future leak into it."
    ),
    "global-temporal": (
        "Many users have no event on one side of the cut and drop out: those tested are the few who were "
        "active before and after it, and one point in time may not be like another."
    ),
    "leave-last-out": (
        "One event per user is a noisy test and weighs a user with ten events like one with a thousand; the "
        "last events lie at a different moment for each user, so a model sees the future of others."
    ),
    "random": (
        "Order is ignored: a model is trained on what a user did after the events it is tested on, so "
        "figures flatter models that fill gaps and say little about recommending what comes next."
    ),
    "predefined": (
        "The parts come with the data: what was left out, in which order and why is not known here, and "
        "settings published for this split may have been chosen on its test part."
    ),
}


@dataclass(frozen=True)
class Promise:
    """Something that a split must keep.

    Attributes:
        promise: the sentence.
        success: whether it was kept.
        unexpected: number of events, pairs or users (as the sentence says) that break it.
        examples: up to three of them.
    """

    promise: str
    success: bool
    unexpected: int
    examples: tuple[str, ...]


def weakness(method: str) -> str:
    """What is weak about a way of splitting even if it keeps all it promises.

    Raises:
        ValueError: there is no such method.
    """
    _require_method(method)
    return WEAKNESSES[method]


def check_promises(
    events: Partitioned, *, method: str, users: ir.Table, items: ir.Table, frames: Frames
) -> list[Promise]:
    """Check what the split promises.

    Args:
        events: every event of the split: key (int64, unique; examples are the lowest), user_id, item_id (string),
            timestamp (int64, UTC seconds), position (int, place in the user's whole history) and part, one of PARTS;
            all events of a user in one piece.
        method: `split.method`.
        users: user_id of the vocabulary.
        items: item_id of the vocabulary.
        frames: how the engine hands rows to Great Expectations.

    Returns:
        One promise per rule, always in the same order; an empty split keeps all.

    Raises:
        ValueError: there is no such method, or an event belongs to no part.
    """
    _require_method(method)
    found = events.whole.select("part").distinct().to_pyarrow()["part"].to_pylist()
    strangers = sorted({str(part) for part in found} - set(PARTS))
    if strangers:
        raise ValueError(f"part must be one of {', '.join(PARTS)}, not {strangers[0]!r}")
    # Great Expectations takes seconds to import, which whoever only asks for a weakness need not pay.
    from bakeoff.data.validate.gx_runner import Inspector

    latest = latest_of_all(events.whole) if method == "global-temporal" else None
    facts = (facts_of(piece, users, items, latest) for piece in events.pieces)
    pieces = chain.from_iterable(frames(of_piece, "key") for of_piece in facts)
    outcomes = Inspector().judge("split-promises", _suite(method), pieces)
    return [_promise(outcome, events.whole) for outcome in outcomes]


def _promise(outcome: "Outcome", events: ir.Table) -> Promise:
    examples = _examples(events, outcome.rows[:EXAMPLES])
    return Promise(outcome.check.sentence, outcome.success, len(outcome.rows), examples)


def _require_method(method: str) -> None:
    if method not in WEAKNESSES:
        raise ValueError(f"there is no split method {method!r}: take one of {', '.join(WEAKNESSES)}")


def _suite(method: str) -> "list[Check]":
    from bakeoff.data.validate.checks import check
    from bakeoff.data.validate.gx import gxe

    def promise(kind: Any, sentence: str, **settings: Any) -> "Check":
        return check(kind, sentence, f"broken: {sentence}", **settings)

    def is_null(sentence: str, column: str) -> "Check":
        return promise(gxe.ExpectColumnValuesToBeNull, sentence, column=column)

    def at_most_one(sentence: str, column: str) -> "Check":
        return promise(gxe.ExpectColumnValuesToBeBetween, sentence, column=column, max_value=1)

    def not_before(sentence: str, later: str, earlier: str) -> "Check":
        pair = {"column_A": later, "column_B": earlier, "ignore_row_if": "either_value_is_missing"}
        return promise(gxe.ExpectColumnPairValuesAToBeGreaterThanB, sentence, or_equal=later == "timestamp", **pair)

    suite = [
        at_most_one("No pair of user and item lies in two parts", "parts of the pair"),
        is_null("The user of every event is in the vocabulary", "unknown user"),
        is_null("The item of every event is in the vocabulary", "unknown item"),
        is_null("No new user has an event in train, validation or test", "new but not held out"),
        is_null("Every user with test events has train events", "tested but not trained on"),
    ]
    if method == "global-temporal":
        sentence = (
            "No test event is older than a train or validation event, whosever it is, and no validation "
            "event is older than a train event"
        )
        suite.append(not_before(sentence, "timestamp", "latest before"))
    if method in ("user-temporal", "leave-last-out"):
        sentence = (
            "No test event is older than a train or validation event of its user, and no validation event is "
            "older than a train event of its user"
        )
        suite.append(not_before(sentence, "timestamp", "latest before"))
        sentence = "In every user's history train comes first, then validation, then test"
        suite.append(not_before(sentence, "position", "last position before"))
    if method == "leave-last-out":
        suite.append(at_most_one("No user has more than one test event", "test events of the user"))
    return suite


def _examples(events: ir.Table, keys: NDArray[np.int64]) -> tuple[str, ...]:
    if not len(keys):
        return ()
    rows = events.filter(events.key.isin(keys.tolist())).order_by("key").to_pyarrow().to_pylist()
    return tuple("user {user_id!r}, item {item_id!r}, timestamp {timestamp}, in {part}".format_map(row) for row in rows)
