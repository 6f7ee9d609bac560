"""What each way of splitting promises, whether it was kept, and what is weak about it even if it was."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from bakeoff.validation.checks import Check

PARTS = ("train", "valid", "test", "new_history", "new_test")
EXAMPLES = 3
EARLIER = {"valid": ("train",), "test": ("train", "valid"), "new_test": ("new_history",)}
"""Within one user: the parts that lie before a part."""
EARLIER_OF_ALL = EARLIER | {"new_test": ("train", "valid", "new_history")}
"""Under one point in time for all: likewise, over all users. Histories of new users do not bound the tests of
warm ones, since nothing is trained on them."""

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
    events: pd.DataFrame, *, method: str, user_ids: Iterable[str], item_ids: Iterable[str]
) -> list[Promise]:
    """Check what the split promises.

    Args:
        events: [n] every event of the split: user_id and item_id (str), timestamp (int64, UTC seconds),
            position (int, place in the user's whole history) and part, one of PARTS.
        method: `split.method`.
        user_ids: the users of the vocabulary.
        item_ids: the items of the vocabulary.

    Returns:
        One promise per rule, always in the same order; an empty split keeps all.

    Raises:
        ValueError: there is no such method, or an event belongs to no part.
    """
    _require_method(method)
    strangers = sorted(set(events["part"].unique()) - set(PARTS))
    if strangers:
        raise ValueError(f"part must be one of {', '.join(PARTS)}, not {strangers[0]!r}")
    # Great Expectations takes seconds to import, which whoever only asks for a weakness need not pay.
    from bakeoff.validation.inspector import Inspector

    events = events.reset_index(drop=True)
    outcomes = Inspector().run("split-promises", _suite(method), _facts(events, method, user_ids, item_ids))
    return [
        Promise(o.check.sentence, o.success, len(o.rows), tuple(_described(events.iloc[o.rows[:EXAMPLES]])))
        for o in outcomes
    ]


def _require_method(method: str) -> None:
    if method not in WEAKNESSES:
        raise ValueError(f"there is no split method {method!r}: take one of {', '.join(WEAKNESSES)}")


def _facts(events: pd.DataFrame, method: str, user_ids: Iterable[str], item_ids: Iterable[str]) -> pd.DataFrame:
    """[n] what the suite looks at. A fact about a user or a pair stands at its first event only."""
    users, num_users = _codes(events["user_id"])
    items, num_items = _codes(events["item_id"])
    has = {part: (events["part"] == part).to_numpy() for part in PARTS}
    pairs = pd.Series(users * max(num_items, 1) + items)
    placed = pd.DataFrame({"pair": pairs, "part": pd.Categorical(events["part"], PARTS).codes})
    num_parts = placed.drop_duplicates()["pair"].value_counts()
    first_test = has["test"] & ~pd.Series(users).where(has["test"]).duplicated().to_numpy()
    num_tests = np.bincount(users[has["test"]], minlength=num_users)
    in_train = np.bincount(users[has["train"]], minlength=num_users) > 0
    is_warm = np.bincount(users[has["train"] | has["valid"] | has["test"]], minlength=num_users) > 0
    is_new = np.bincount(users[has["new_history"] | has["new_test"]], minlength=num_users) > 0
    facts = pd.DataFrame(
        {
            "timestamp": events["timestamp"],
            "position": events["position"],
            "parts of the pair": pairs.map(num_parts).where(~pairs.duplicated()),
            "unknown user": events["user_id"].where(~events["user_id"].isin(set(user_ids))),
            "unknown item": events["item_id"].where(~events["item_id"].isin(set(item_ids))),
            "new but not held out": events["user_id"].where((is_new & is_warm)[users] & ~pd.Series(users).duplicated()),
            "tested but not trained on": events["user_id"].where(first_test & ~in_train[users]),
            "test events of the user": pd.Series(num_tests[users], dtype="float64").where(first_test),
        }
    )
    facts["latest before"] = _latest_before(events["timestamp"], has, users, method == "global-temporal")
    facts["last position before"] = _latest_before(events["position"], has, users, False)
    return facts


def _codes(ids: pd.Series) -> tuple[np.ndarray, int]:
    codes, uniques = pd.factorize(ids)
    return codes.astype(np.int64), len(uniques)


def _latest_before(values: pd.Series, has: dict[str, np.ndarray], users: np.ndarray, of_all: bool) -> pd.Series:
    """float64 [n], for each event the largest value in the parts before its own; NaN where there is none."""
    latest = pd.Series(np.nan, index=values.index)
    for part, earlier in (EARLIER_OF_ALL if of_all else EARLIER).items():
        before = np.logical_or.reduce([has[name] for name in earlier])
        if of_all:
            latest[has[part]] = values[before].max()
        else:
            largest = values[before].groupby(users[before]).max()
            latest[has[part]] = pd.Series(users[has[part]]).map(largest).to_numpy(dtype=np.float64)
    return latest


def _suite(method: str) -> "list[Check]":
    from bakeoff.validation.checks import check
    from bakeoff.validation.gx import gxe

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


def _described(events: pd.DataFrame) -> list[str]:
    return [
        f"user {event.user_id!r}, item {event.item_id!r}, timestamp {event.timestamp}, in {event.part}"
        for event in events.itertuples()
    ]
