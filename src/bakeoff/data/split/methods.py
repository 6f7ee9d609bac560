"""The ways of splitting: a spec each, which assigns events, names what is checked, and says what is weak about it."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import ibis
import ibis.expr.types as ir

from bakeoff.core.errors import BakeoffError
from bakeoff.data.params import PARTS, SplitParams
from bakeoff.data.split.split_points import Cuts, chance, is_at_least, share_of

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
    return _by_share(_place(events, seed, "random", ["user_id"]), events.num_events, split)


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
    place = _place(events, seed, "valid", ["user_id", "split"])
    num_train = events.count().over(ibis.window(group_by=["user_id", "split"]))
    chosen = (events.split == "train") & (place < share_of(num_train, split.valid_share))
    return ibis.cases((chosen, "valid"), else_=events.split)


def _place(events: ir.Table, seed: int, purpose: str, group_by: list[str]) -> ir.IntegerColumn:
    """0-based place within the group in an order by chance."""
    by_chance = chance(seed, purpose, events.user_id, events.item_id)
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


_TEXTS = tomllib.loads(files("bakeoff.data.split").joinpath("methods.toml").read_text(encoding="utf-8"))


def _method(name: str, assign: Assign, **options: Any) -> SplitMethod:
    return SplitMethod(name, assign=assign, **_TEXTS[name], **options)


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
