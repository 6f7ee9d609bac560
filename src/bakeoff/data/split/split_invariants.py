"""Checks what a split promises: facts about each event, and which of them break a rule, computed where the rows are."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import ibis
import ibis.expr.types as ir

from bakeoff.data.engine.engine import Partitioned, rows_of
from bakeoff.data.split.methods import SplitMethod, method_of

EXAMPLES = 3

Rule = Callable[[ir.Table], ir.BooleanValue]
"""Whether an event breaks a promise, from the facts about it; null: it does not."""

PARTS_OF_ALL = ("train", "valid", "test", "new_history", "new_test")
EARLIER = {"valid": ("train",), "test": ("train", "valid"), "new_test": ("new_history",)}
"""Within one user: the parts that lie before a part."""
EARLIER_OF_ALL = EARLIER | {"new_test": ("train", "valid", "new_history")}
"""Under one point in time for all: likewise, over all users. Histories of new users do not bound the tests of
warm ones, since nothing is trained on them."""


ONE_PART = "No pair of user and item lies in two parts"

Latest = Mapping[str, ir.Value]
"""Part → largest timestamp of the parts before it."""


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
        # Spark has NULL where the rule says nothing of any row.
        counts = {sentence: of_piece.count(where=rule(of_piece)).fill_null(0) for sentence, rule in rules.items()}
        broken.update(rows_of(of_piece.aggregate(**counts))[0])
    return [
        Promise(name, not broken[name], broken[name], _examples(events.whole, facts, rule) if broken[name] else ())
        for name, rule in rules.items()
    ]


def _rules(method: SplitMethod) -> dict[str, Rule]:
    rules: dict[str, Rule] = {
        ONE_PART: lambda facts: facts["parts of the pair"] > 1,
        "The user of every event is in the vocabulary": lambda facts: facts["unknown user"].notnull(),
        "The item of every event is in the vocabulary": lambda facts: facts["unknown item"].notnull(),
        "No new user has an event in train, validation or test": lambda facts: facts["new but not held out"].notnull(),
        "Every user with test events has train events": lambda facts: facts["tested but not trained on"].notnull(),
    }
    rules |= {sentence: partial(_out_of_order, value=value) for sentence, value in method.order.items()}
    if method.one_test_event:
        rules["No user has more than one test event"] = lambda facts: facts["test events of the user"] > 1
    return rules


def _out_of_order(facts: ir.Table, value: str) -> ir.BooleanValue:
    if value == "timestamp":
        return facts.timestamp < facts["latest before"]
    return facts.position <= facts["last position before"]


def _examples(events: ir.Table, facts: Sequence[ir.Table], rule: Rule) -> tuple[str, ...]:
    """The first events that break a rule, over all pieces."""
    lowest = [each.filter(rule(each)).select("key").order_by("key").limit(EXAMPLES).to_pyarrow() for each in facts]
    keys = sorted(key for each in lowest for key in each["key"].to_pylist())[:EXAMPLES]
    rows = events.filter(events.key.isin(keys)).order_by("key").to_pyarrow().to_pylist()
    return tuple("user {user_id!r}, item {item_id!r}, timestamp {timestamp}, in {part}".format_map(row) for row in rows)


def facts_of(events: ir.Table, users: ir.Table, items: ir.Table, latest: Latest | None = None) -> ir.Table:
    """What the rules read, a row for each event; a fact about a user or a pair is in its first event's row only.

    Args:
        events: key, user_id, item_id, timestamp, position and part, as for `check_promises`: all those of some users,
            or of all.
        users: user_id of the vocabulary.
        items: item_id of the vocabulary.
        latest: of all users, where one cut is meant for all; None: of the user's own events.

    Returns:
        key, timestamp, position and
        - parts of the pair: 2 where the pair lies in more than one part, else null;
        - unknown user, unknown item: the id where the vocabulary does not have it, else null;
        - new but not held out, tested but not trained on: the user's id where it is so, else null;
        - test events of the user: how many, at the first of them;
        - latest before, last position before: the largest timestamp and position
          in the parts before the event's own; null where there is none.
    """
    facts = _with_pairs(events.inner_join(_user_facts(events), "user_id"), events)
    facts = _with_vocabulary(facts, events, users, "user")
    facts = _with_vocabulary(facts, events, items, "item")
    is_first, is_first_test = facts.key == facts.first_of_user, facts.key == facts.first_test
    latest = _before(facts, "timestamp") if latest is None else latest
    return facts.select(
        "key",
        "timestamp",
        "position",
        "parts of the pair",
        "unknown user",
        "unknown item",
        **{
            "new but not held out": _if(is_first & facts.is_new & facts.is_warm, facts.user_id),
            "tested but not trained on": _if(is_first_test & ~facts.in_train, facts.user_id),
            "test events of the user": _if(is_first_test, facts.num_tests),
            "latest before": _of_part(facts.part, latest),
            "last position before": _of_part(facts.part, _before(facts, "position")),
        },
    )


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
    pairs = several.group_by(pair).aggregate(
        first_of_pair=several.key.min(), one=several.part.min(), other=several.part.max()
    )
    torn = pairs.filter(pairs.one != pairs.other).select(torn_at="first_of_pair")
    joined = facts.left_join(torn, facts.key == torn.torn_at)
    parts = _if(joined.torn_at.notnull(), ibis.literal(2, "int64"))
    return joined.select(*facts.columns, **{"parts of the pair": parts})


def _with_vocabulary(facts: ir.Table, events: ir.Table, vocabulary: ir.Table, kind: str) -> ir.Table:
    name, column = f"{kind}_id", f"unknown {kind}"
    # Each id is looked up once, and not with each event; hardly any is not found.
    unknown = events.select(name).distinct().anti_join(vocabulary, name).select(**{column: name})
    joined = facts.left_join(unknown, facts[name] == unknown[column])
    return joined.select(*facts.columns, column)


def _before(facts: ir.Table, value: str) -> Latest:
    return {later: facts[f"{value}_before_{later}"] for later in EARLIER}


def latest_of_all(events: ir.Table) -> Latest:
    """One row comes to this process: a scalar for each part, over all users."""
    latest = {later: events.timestamp.max(where=events.part.isin(earlier)) for later, earlier in EARLIER_OF_ALL.items()}
    (row,) = events.aggregate(**latest).to_pyarrow().to_pylist()
    return {later: ibis.literal(row[later], "int64") for later in EARLIER_OF_ALL}


def _of_part(part: ir.StringColumn, values: Latest) -> ir.Value:
    return ibis.cases(*((part == later, value) for later, value in values.items()), else_=ibis.null())


def _if(condition: ir.BooleanValue, value: ir.Value) -> ir.Value:
    return ibis.ifelse(condition, value, ibis.null())
