"""What a split is and promises: which events break a promise, and the report of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
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
    latest = latest_of_all(events.whole) if spec.one_cut else None
    broken = [broken_by(piece, users, items, spec, latest, keep_repeats) for piece in events.pieces]
    counts = Counter[str]()
    for of_piece in broken:
        named = [keys.mutate(promise=ibis.literal(promise)) for promise, keys in of_piece.items()]
        rows = ibis.union(*named).group_by("promise").aggregate(rows=ibis._.count())
        counts.update({row["promise"]: row["rows"] for row in rows_of(rows)})
    examples = {name: _examples(events.whole, [each[name] for each in broken]) for name in counts}
    return [Promise(name, name not in counts, counts[name], examples.get(name, ())) for name in broken[0]]


def _examples(events: ir.Table, broken: Sequence[ir.Table]) -> tuple[str, ...]:
    """The first events that break a promise, of the keys in all pieces."""
    lowest = [keys.order_by("key").limit(EXAMPLES).to_pyarrow()["key"].to_pylist() for keys in broken]
    found = sorted(chain.from_iterable(lowest))[:EXAMPLES]
    rows = events.filter(events.key.isin(found)).order_by("key").to_pyarrow().to_pylist()
    return tuple("user {user_id!r}, item {item_id!r}, timestamp {timestamp}, in {part}".format_map(row) for row in rows)


def broken_by(
    events: ir.Table, users: ir.Table, items: ir.Table, method: SplitMethod, latest: Latest | None, keep_repeats: bool
) -> dict[str, ir.Table]:
    """The events that break each promise; of a pair or a user that does, the first one.

    Args:
        events: key, user_id, item_id, timestamp, position and part, as for `check_promises`: all those of some users,
            or of all.
        users: user_id of the vocabulary.
        items: item_id of the vocabulary.
        method: says what is promised.
        latest: of all users, where one cut is meant for all; None: of the user's own events.
        keep_repeats: whether a user may have an item in several parts.

    Returns:
        promise → one column, key.
    """
    mine = _by_user(events)
    tested = mine.mutate(key=mine.first_test)
    found = {} if keep_repeats else {"No pair of user and item lies in two parts": _torn_pairs(events)}
    found |= {
        "The user of every event is in the vocabulary": events.anti_join(users, "user_id"),
        "The item of every event is in the vocabulary": events.anti_join(items, "item_id"),
        "No new user has an event in train, validation or test": mine.filter(mine.is_new & mine.is_warm),
        "Every user with test events has train events": tested.filter((tested.num_tests > 0) & ~tested.in_train),
    }
    joined = events.inner_join(mine.drop("key"), "user_id")
    for sentence, value in method.order.items():
        before = _latest(joined, value, latest if value == "timestamp" else None)
        found[sentence] = joined.filter(joined[value] < before if value == "timestamp" else joined[value] <= before)
    if method.one_test_event:
        found["No user has more than one test event"] = tested.filter(tested.num_tests > 1)
    return {promise: rows.select("key") for promise, rows in found.items()}


def _by_user(events: ir.Table) -> ir.Table:
    part = events.part
    largest = {
        f"{value}_before_{later}": events[value].max(where=part.isin(earlier))
        for value in ("timestamp", "position")
        for later, earlier in EARLIER.items()
    }
    return events.group_by("user_id").aggregate(
        key=events.key.min(),
        first_test=events.key.min(where=part == "test"),
        num_tests=events.count(where=part == "test"),
        in_train=(part == "train").any(),
        is_warm=part.isin(("train", "valid", "test")).any(),
        is_new=part.isin(("new_history", "new_test")).any(),
        **largest,
    )


def _torn_pairs(events: ir.Table) -> ir.Table:
    pair = ["user_id", "item_id"]
    # Nearly all pairs have one event, which lies in one part: they are counted and no more, for memory and time.
    repeated = events.group_by(pair).aggregate(rows=ibis._.count()).filter(ibis._.rows > 1)
    several = events.semi_join(repeated, pair)
    parts = several.group_by(pair).aggregate(key=several.key.min(), one=several.part.min(), other=several.part.max())
    return parts.filter(parts.one != parts.other)


def _latest(events: ir.Table, value: str, of_all: Latest | None = None) -> ir.Value:
    """The largest value of the parts before that of each event: of the user's own events, or of all users."""
    latest = of_all or {later: events[f"{value}_before_{later}"] for later in EARLIER}
    return ibis.cases(*((events.part == later, largest) for later, largest in latest.items()), else_=ibis.null())


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
    if split.ties == "file":
        notes.append("A user's events at the same time follow the order of the file.")
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
