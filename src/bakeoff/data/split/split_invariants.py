"""What a split is and promises: facts about each event, which of them break a rule, and the report of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from bakeoff.core.errors import BakeoffError
from bakeoff.data.engine.engine import Partitioned, num_rows, rows_of
from bakeoff.data.params import PARTS, SplitParams
from bakeoff.data.split.methods import TEXTS, SplitMethod, method_of

EXAMPLES = 3

PARTS_OF_ALL = ("train", "valid", "test", "new_history", "new_test")
EARLIER = {"valid": ("train",), "test": ("train", "valid"), "new_test": ("new_history",)}
"""Within one user: the parts that lie before a part."""
EARLIER_OF_ALL = EARLIER | {"new_test": ("train", "valid", "new_history")}
"""Under one point in time for all: likewise, over all users. Histories of new users do not bound the tests of
warm ones, since nothing is trained on them."""


ONE_PART = "No pair of user and item lies in two parts"

Latest = Mapping[str, ir.Value]
"""Part → largest timestamp of the parts before it."""

Counts = Mapping[str, int]
"""Numbers of events or users, by what is counted."""


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


def check_promises(
    events: Partitioned, *, method: str, users: ir.Table, items: ir.Table, keep_repeats: bool = False
) -> list[Promise]:
    """Check what the split promises.

    Args:
        events: every event of the split: key (int64, unique; examples are the lowest), user_id, item_id (string),
            timestamp (int64, UTC seconds), position (int, place in the user's whole history) and part, of PARTS_OF_ALL;
            all events of a user in one piece.
        method: `split.method`.
        users: user_id of the vocabulary.
        items: item_id of the vocabulary.
        keep_repeats: whether a user may have an item in several parts.

    Returns:
        One promise per rule, always in the same order; an empty split keeps all.

    Raises:
        ValueError: there is no such method, or an event belongs to no part.
    """
    spec = method_of(method)
    found = events.whole.select("part").distinct().to_pyarrow()["part"].to_pylist()
    strangers = sorted({str(part) for part in found} - set(PARTS_OF_ALL))
    if strangers:
        raise ValueError(f"part must be one of {', '.join(PARTS_OF_ALL)}, not {strangers[0]!r}")
    latest, rules = latest_of_all(events.whole) if spec.one_cut else None, _rules(spec)
    if keep_repeats:
        del rules[ONE_PART]
    facts = [facts_of(piece, users, items, latest) for piece in events.pieces]
    broken = Counter[str]()
    for of_piece in facts:
        counts = {sentence: of_piece[fact].count() for sentence, fact in rules.items()}
        broken.update(rows_of(of_piece.aggregate(**counts))[0])
    return [
        Promise(name, not broken[name], broken[name], _examples(events.whole, facts, fact) if broken[name] else ())
        for name, fact in rules.items()
    ]


def _rules(method: SplitMethod) -> dict[str, str]:
    """Promise → the fact that an event has if it breaks it."""
    rules = {
        ONE_PART: "torn pair",
        "The user of every event is in the vocabulary": "unknown user",
        "The item of every event is in the vocabulary": "unknown item",
        "No new user has an event in train, validation or test": "new but not held out",
        "Every user with test events has train events": "tested but not trained on",
    }
    rules |= {sentence: f"out of order by {value}" for sentence, value in method.order.items()}
    if method.one_test_event:
        rules["No user has more than one test event"] = "several test events"
    return rules


def _examples(events: ir.Table, facts: Sequence[ir.Table], fact: str) -> tuple[str, ...]:
    """The first events that have a fact, over all pieces."""
    lowest = [each.filter(each[fact].notnull()).order_by("key").limit(EXAMPLES).select("key") for each in facts]
    keys = sorted(key for each in lowest for key in each.to_pyarrow()["key"].to_pylist())[:EXAMPLES]
    rows = events.filter(events.key.isin(keys)).order_by("key").to_pyarrow().to_pylist()
    return tuple("user {user_id!r}, item {item_id!r}, timestamp {timestamp}, in {part}".format_map(row) for row in rows)


def facts_of(events: ir.Table, users: ir.Table, items: ir.Table, latest: Latest | None = None) -> ir.Table:
    """What is wrong with each event; a fact about a user or a pair is in its first event's row only.

    Args:
        events: key, user_id, item_id, timestamp, position and part, as for `check_promises`: all those of some users,
            or of all.
        users: user_id of the vocabulary.
        items: item_id of the vocabulary.
        latest: of all users, where one cut is meant for all; None: of the user's own events.

    Returns:
        key, and columns that are null where it is not so:
        - torn pair: events of this user and item are in more than one part;
        - unknown user, unknown item: the id, which the vocabulary does not have;
        - new but not held out, tested but not trained on, several test events: the user's id;
        - out of order by timestamp, by position: the event is before, or not behind, one of the parts before its own.
    """
    facts = _with_pairs(events.inner_join(_user_facts(events), "user_id"), events)
    facts = _with_vocabulary(facts, events, users, "user")
    facts = _with_vocabulary(facts, events, items, "item")
    is_first, is_first_test = facts.key == facts.first_of_user, facts.key == facts.first_test
    last_timestamp, last_position = _latest(facts, "timestamp", latest), _latest(facts, "position")
    wrong = {
        "new but not held out": is_first & facts.is_new & facts.is_warm,
        "tested but not trained on": is_first_test & ~facts.in_train,
        "several test events": is_first_test & (facts.num_tests > 1),
        "out of order by timestamp": facts.timestamp < last_timestamp,
        "out of order by position": facts.position <= last_position,
    }
    found = {fact: ibis.ifelse(is_so, facts.user_id, ibis.null()) for fact, is_so in wrong.items()}
    return facts.select("key", "torn pair", "unknown user", "unknown item", **found)


def _user_facts(events: ir.Table) -> ir.Table:
    part = events.part
    largest = {
        f"{value}_before_{later}": events[value].max(where=part.isin(earlier))
        for value in ("timestamp", "position")
        for later, earlier in EARLIER.items()
    }
    return events.group_by("user_id").aggregate(
        first_of_user=events.key.min(),
        first_test=events.key.min(where=part == "test"),
        num_tests=events.count(where=part == "test"),
        in_train=(part == "train").any(),
        is_warm=part.isin(("train", "valid", "test")).any(),
        is_new=part.isin(("new_history", "new_test")).any(),
        **largest,
    )


def _with_pairs(facts: ir.Table, events: ir.Table) -> ir.Table:
    pair = ["user_id", "item_id"]
    # Nearly all pairs have one event, which lies in one part: they are counted and no more, for memory and time.
    repeated = events.group_by(pair).aggregate(rows=ibis._.count()).filter(ibis._.rows > 1)
    several = events.semi_join(repeated, pair)
    pairs = several.group_by(pair).aggregate(first=several.key.min(), one=several.part.min(), other=several.part.max())
    torn = pairs.filter(pairs.one != pairs.other).select(**{"torn pair": "first"})
    return facts.left_join(torn, facts.key == torn["torn pair"]).select(*facts.columns, "torn pair")


def _with_vocabulary(facts: ir.Table, events: ir.Table, vocabulary: ir.Table, kind: str) -> ir.Table:
    name, column = f"{kind}_id", f"unknown {kind}"
    # Each id is looked up once, and not with each event; hardly any is not found.
    unknown = events.select(name).distinct().anti_join(vocabulary, name).select(**{column: name})
    return facts.left_join(unknown, facts[name] == unknown[column]).select(*facts.columns, column)


def _latest(facts: ir.Table, value: str, of_all: Latest | None = None) -> ir.Value:
    """The largest value of the parts before that of each event: of the user's own events, or of all users."""
    latest = of_all or {later: facts[f"{value}_before_{later}"] for later in EARLIER}
    return ibis.cases(*((facts.part == later, largest) for later, largest in latest.items()), else_=ibis.null())


def latest_of_all(events: ir.Table) -> Latest:
    """One row comes to this process: a scalar for each part, over all users."""
    latest = {later: events.timestamp.max(where=events.part.isin(earlier)) for later, earlier in EARLIER_OF_ALL.items()}
    (row,) = events.aggregate(**latest).to_pyarrow().to_pylist()
    return {later: ibis.literal(row[later], "int64") for later in EARLIER_OF_ALL}


def sizes_of(events: ir.Table, users: ir.Table, items: ir.Table) -> dict[str, int]:
    """Numbers of events, users and items.

    Args:
        events: part of each event.
        users: is_new of each user of the vocabulary.
        items: of the vocabulary.
    """
    counts = {row["part"]: row["rows"] for row in rows_of(events.group_by("part").aggregate(rows=ibis._.count()))}
    (num,) = rows_of(users.aggregate(all=ibis._.count(), new=ibis._.count(where=ibis._.is_new)))
    return {
        **{part: counts.get(part, 0) for part in PARTS},
        "new_users": num["new"],
        "warm_users": num["all"] - num["new"],
        "items": num_rows(items),
        "new_user_events": counts.get("new_history", 0) + counts.get("new_test", 0),
    }


def check_sizes(sizes: Counts, split: SplitParams) -> None:
    """See that no part is empty that later stages need.

    Raises:
        BakeoffError: there is no train event, or no test event.
    """
    if sizes["train"] == 0:
        raise BakeoffError(
            f"No user has a train event: all {sizes['new_users']} count as new ones (split.method {split.method}, "
            f"split.new_user_share {split.new_user_share}). Lower the share, or give more data."
        )
    if sizes["test"] == 0:
        raise BakeoffError(
            f"No warm user has a test event, so there is nothing to measure on (split.method {split.method}, "
            f"split.test_share {split.test_share}; {sizes['warm_users']} warm users with {sizes['train']} "
            "train events). Raise the share, or give more events per user."
        )


def split_report(split: SplitParams, promises: Sequence[Promise], sizes: Counts, dropped: Counts) -> dict[str, Any]:
    """The content of split.json.

    Args:
        split: method, and what counts.
        promises: what was checked.
        sizes: from `sizes_of`.
        dropped: reason → number of events or users that are in no part.
    """
    method, fields = method_of(split.method), ("promise", "success", "unexpected")
    return {
        "method": split.method,
        "promises": [{field: getattr(promise, field) for field in fields} for promise in promises],
        "weakness": method.weakness,
        "one_cut": method.one_cut,
        "sizes": dict(sizes),
        "dropped": dict(dropped),
        "notes": _notes(split, dropped),
        "success": all(promise.success for promise in promises),
    }


def _notes(split: SplitParams, dropped: Counts) -> list[str]:
    """What a reader of the figures should know about who and what is in no part, in sentences."""
    reasons = TEXTS["left out"] | (TEXTS["left out with repeats"] if split.keep_repeats else {})
    left_out = {name: text.format(min_rating=split.min_rating) for name, text in reasons.items()}
    notes = [f"{dropped[name]:,} {text}" for name, text in left_out.items() if dropped.get(name)]
    if split.keep_repeats:
        notes.append("Later events of the same user and item count too, and lists may hold what users have had.")
    return [*notes, *filter(None, [method_of(split.method).note(split)])]


def refuse_broken(promises: Sequence[Promise], report: str) -> None:
    """Refuse a split that breaks what it promises.

    Args:
        promises: what was checked.
        report: file that has all of them, for the message.

    Raises:
        BakeoffError: names the promises that are broken, with examples.
    """
    broken = [
        f"  {promise.promise}. Not so {promise.unexpected:,} times, as in: {'; '.join(promise.examples)}."
        for promise in promises
        if not promise.success
    ]
    if broken:
        begin = f"The split breaks what it promises, so it is not used ({report} has all promises):"
        raise BakeoffError("\n".join([begin, *broken]))
