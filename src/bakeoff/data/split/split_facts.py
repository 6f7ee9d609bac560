"""What the promises of a split are about, as a table: written once for any engine, aggregated where the rows are."""

from collections.abc import Mapping

import ibis
import ibis.expr.types as ir

PARTS = ("train", "valid", "test", "new_history", "new_test")
EARLIER = {"valid": ("train",), "test": ("train", "valid"), "new_test": ("new_history",)}
"""Within one user: the parts that lie before a part."""
EARLIER_OF_ALL = EARLIER | {"new_test": ("train", "valid", "new_history")}
"""Under one point in time for all: likewise, over all users. Histories of new users do not bound the tests of
warm ones, since nothing is trained on them."""


Latest = Mapping[str, ir.Value]
"""Part → largest timestamp of the parts before it."""


def facts_of(events: ir.Table, users: ir.Table, items: ir.Table, latest: Latest | None = None) -> ir.Table:
    """What the suite looks at, a row for each event. A fact about a user or a pair stands at its first event only.

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
    facts = _with_users(events, _user_facts(events))
    facts = _with_pairs(facts, events)
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


def _with_users(events: ir.Table, users: ir.Table) -> ir.Table:
    return events.inner_join(users, "user_id")


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
