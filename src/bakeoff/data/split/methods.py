"""The ways of splitting: a spec each, which assigns events, names what is checked, and says what is weak about it.

And what all events together decide about the split of each user, so that users can be looked at a part at a time.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from importlib.resources import files
from typing import Any, TypeVar

import ibis
import ibis.expr.types as ir

from bakeoff.core.errors import BakeoffError
from bakeoff.data.engine.engine import value_at
from bakeoff.data.params import PARTS, SplitParams

TIE_DIGITS = 12
"""Of the md5: enough that hardly two events of the data share them, and a text so short is sorted where it lies. The
number of a row is padded with zeros to as many."""
EventKey = tuple[int, str, str, str]
"""timestamp, tie, user_id, item_id: what orders all events."""

Count = TypeVar("Count", int, ir.IntegerValue)


@dataclass(frozen=True)
class Cuts:
    """Where the order of all users, or that of all events, is cut.

    Attributes:
        last_held_out: chance and user_id of the last user that is held out; None: nobody is.
        first_valid: of a global-temporal split the first event that is not train; None: all are, or another method.
        first_test: likewise the first of test.
        has_valid: whether the events have a `split` column that names any valid event.
    """

    last_held_out: tuple[str, str] | None = None
    first_valid: EventKey | None = None
    first_test: EventKey | None = None
    has_valid: bool = False


def is_at_least(values: Sequence[Any], bound: Sequence[Any]) -> ir.BooleanValue:
    """Whether values are not before a bound, where the first that differs decides; one of them is of rows."""
    *firsts, last = zip(values, bound, strict=True)
    reached = last[0] >= last[1]
    for value, limit in reversed(firsts):
        reached = (value > limit) | ((value == limit) & reached)
    return reached


def user_chance(users: ir.Table, seed: int) -> ir.StringValue:
    """The order in which users are held out."""
    return chance(seed, "new", users.user_id)


def tie(events: ir.Table, split: SplitParams, seed: int) -> ir.StringValue:
    """The order of events of the same time."""
    if split.ties == "file":
        return events.row.cast("string").lpad(TIE_DIGITS, "0")
    # In id order they would leak: ids often tell when an item appeared, or how popular it is.
    return chance(seed, events.user_id, events.item_id).substr(0, TIE_DIGITS)


def chance(seed: int, *parts: str | ir.StringValue) -> ir.StringValue:
    """Lower-case hexadecimal md5 of the UTF-8 text `seed|part|part…`, the same on any engine."""
    text: ir.StringValue = ibis.literal(str(seed))
    for part in parts:
        text = text + "|" + part
    return _md5(text)


def share_of(count: Count, share: float) -> Count:
    """⌊count · share⌋ for the decimal that people write.

    In whole numbers, because engines differ in how they multiply by 0.29: in binary, 100 · 0.29 is below 29.
    """
    fraction = Fraction(str(share)).limit_denominator(1_000_000)
    return (count * fraction.numerator) // fraction.denominator


def _md5_signature(text: str) -> str:
    raise NotImplementedError(f"md5({text!r}) is computed by the engine")


# SQL's function by its name: more engines have it than have Ibis' own hexdigest.
_md5 = ibis.udf.scalar.builtin(_md5_signature, name="md5")


def last_held_out(everyone: ir.Table, share: float, seed: int) -> tuple[str, str] | None:
    """Chance and user_id of the last user that is held out; None: nobody is."""
    # round(x) = ⌊(⌊2x⌋ + 1) / 2⌋, a half rounded up.
    count = (share_of(2 * everyone.count().to_pyarrow().as_py(), share) + 1) // 2
    if not count:
        return None
    by_chance = {"chance": user_chance(everyone, seed), "user_id": everyone.user_id}
    bucket = user_chance(everyone, seed).substr(0, 3)  # 4,096 of about the same size
    ((first, user),) = value_at(everyone, bucket, by_chance, [count - 1])
    return first, user


def first_held_out_events(events: ir.Table, split: SplitParams, seed: int) -> list[EventKey | None]:
    """The first valid and the first test event: the last ⌊count · test_share⌋ are test, as many before them valid."""
    count = events.count().to_pyarrow().as_py()
    first_test = count - share_of(count, split.test_share)
    first_valid = first_test - share_of(count, split.valid_share)
    timed = events.mutate(tie=tie(events, split, seed))
    by_time = {name: timed[name] for name in ("timestamp", "tie", "user_id", "item_id")}
    places = [first_valid, first_test]
    inside = [place for place in places if place < count]
    found: list[Any] = value_at(timed, timed.timestamp // 3600, by_time, inside)
    return [*found, *[None] * (len(places) - len(inside))]


Assign = Callable[[ir.Table, SplitParams, int, Cuts], ir.StringValue]
"""Events with tie, position and num_events of the user, the settings, the seed and the cuts → a part for each event."""


@dataclass(frozen=True)
class SplitMethod:
    """A way of splitting.

    Attributes:
        name: as `split.method` names it.
        label: as people call it.
        weakness: what is weak about it even if it keeps all it promises.
        assign: the part of each event, as if there were no new users.
        order: promises about order, next to those that every split makes: sentence → which value of an event is above
            that of all parts before its own, `position` or `timestamp`, which may also be equal.
        is_temporal: whether it needs timestamps.
        one_cut: whether one point in time holds for all users; then the first valid and first test event are looked up.
        one_test_event: whether it promises at most one test event per user.
        holds_out: whether users are held out as new ones.
        may_lack_train: whether it may leave a user without a train event, who is then a new one.
        check: stops where the data can't carry the method.
        note: what a reader of the figures should know.
    """

    name: str
    label: str
    weakness: str
    assign: Assign
    order: Mapping[str, str] = field(default_factory=dict)
    is_temporal: bool = False
    one_cut: bool = False
    one_test_event: bool = False
    holds_out: bool = True
    may_lack_train: bool = False
    check: Callable[[ir.Table], None] = lambda _: None
    note: Callable[[SplitParams], str] = lambda _: ""


def method_of(name: str) -> SplitMethod:
    """The method of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in METHODS:
        raise ValueError(f"there is no split method {name!r}: take one of {', '.join(METHODS)}")
    return METHODS[name]


def _by_share(place: ir.IntegerValue, num_events: ir.IntegerValue, split: SplitParams) -> ir.StringValue:
    """The last ⌊num_events · test_share⌋ places are test, ⌊num_events · valid_share⌋ before them valid."""
    first_test = num_events - share_of(num_events, split.test_share)
    first_valid = first_test - share_of(num_events, split.valid_share)
    return ibis.cases((place >= first_test, "test"), (place >= first_valid, "valid"), else_="train")


def _user_temporal(events: ir.Table, split: SplitParams, _seed: int, _cuts: Cuts) -> ir.StringValue:
    return _by_share(events.position, events.num_events, split)


def _random(events: ir.Table, split: SplitParams, seed: int, _cuts: Cuts) -> ir.StringValue:
    return _by_share(_place(events, split, seed, "random", ["user_id"]), events.num_events, split)


def _leave_last_out(events: ir.Table, _split: SplitParams, _seed: int, _cuts: Cuts) -> ir.StringValue:
    left = ibis.ifelse(events.num_events < len(PARTS), 0, events.num_events - events.position)
    return ibis.cases((left == 1, "test"), (left == 2, "valid"), else_="train")


def _global_temporal(events: ir.Table, _split: SplitParams, _seed: int, cuts: Cuts) -> ir.StringValue:
    key = [events[name] for name in ("timestamp", "tie", "user_id", "item_id")]
    begun = (("test", cuts.first_test), ("valid", cuts.first_valid))
    cases = [(is_at_least(key, first), part) for part, first in begun if first is not None]
    return ibis.cases(*cases, else_="train") if cases else ibis.literal("train")


def _predefined(events: ir.Table, split: SplitParams, seed: int, cuts: Cuts) -> ir.StringValue:
    """As given; without any valid event, a share of each user's train events becomes valid by chance."""
    if cuts.has_valid:
        return events.split
    place = _place(events, split, seed, "valid", ["user_id", "split"])
    num_train = events.count().over(ibis.window(group_by=["user_id", "split"]))
    chosen = (events.split == "train") & (place < share_of(num_train, split.valid_share))
    return ibis.cases((chosen, "valid"), else_=events.split)


def _place(events: ir.Table, split: SplitParams, seed: int, purpose: str, group_by: list[str]) -> ir.IntegerColumn:
    """0-based place within the group in an order by chance, in which each event has a place of its own."""
    # Without the time, the events of a pair would follow each other, and most would be in one part.
    time = [events.timestamp.cast("string")] if split.keep_repeats else []
    by_chance = chance(seed, purpose, events.user_id, events.item_id, *time)
    order = [by_chance, events.item_id, events.timestamp]
    return ibis.row_number().over(ibis.window(group_by=group_by, order_by=order))


def _check_split_column(events: ir.Table) -> None:
    if "split" not in events.columns:
        raise BakeoffError(
            "split.method is predefined, but the interactions have no split column. Name the column that "
            "says train, valid or test (data.columns.split), or choose another split.method."
        )
    unknown = events.filter(events.split.isnull() | events.split.notin(PARTS))
    summary = unknown.aggregate(rows=unknown.count(), example=unknown.split.max())
    rows, example = summary.to_pyarrow().to_pylist()[0].values()
    if rows:
        raise BakeoffError(
            f"The split column of {rows:,} events holds {example or ''!r}; split.method predefined knows "
            f"only {', '.join(PARTS)}. Correct the values where the data comes from, then fetch again."
        )


TEXTS = tomllib.loads(files("bakeoff.data.split").joinpath("methods.toml").read_text(encoding="utf-8"))


def _method(name: str, assign: Assign, **options: Any) -> SplitMethod:
    return SplitMethod(name, assign=assign, **TEXTS[name], **options)


_SPECS = (
    _method("user-temporal", _user_temporal, is_temporal=True),
    _method(
        "global-temporal",
        _global_temporal,
        is_temporal=True,
        one_cut=True,
        may_lack_train=True,
        note=lambda _: "Users without an event before the first cut count as new ones, too.",
    ),
    _method("leave-last-out", _leave_last_out, is_temporal=True, one_test_event=True),
    _method("random", _random),
    _method(
        "predefined",
        _predefined,
        holds_out=False,
        may_lack_train=True,
        check=_check_split_column,
        note=lambda split: (
            "Nobody is held out as a new user, whatever split.new_user_share says: the published test stays "
            "whole. Users without a train event are the new ones."
            if split.new_user_share
            else ""
        ),
    ),
)
METHODS = {spec.name: spec for spec in _SPECS}
"""By name, in the order in which messages list them."""


def find_cuts(events: ir.Table, everyone: ir.Table, split: SplitParams, seed: int) -> Cuts:
    """What all events together decide about the split of each user: counts, and the rows at the cuts, come here.

    Args:
        events: user_id, item_id, timestamp (and split, if predefined), as `positives` gives them.
        everyone: user_id, each once.
        split: method and shares.
        seed: of every choice by chance.
    """
    method = method_of(split.method)
    has_valid = "split" in events.columns and bool((events.split == "valid").any().to_pyarrow().as_py())
    held_out = last_held_out(everyone, split.new_user_share, seed) if method.holds_out else None
    first_valid, first_test = first_held_out_events(events, split, seed) if method.one_cut else (None, None)
    return Cuts(held_out, first_valid, first_test, has_valid)
