"""Which event goes where: train, validation, test, and whole users held out as new ones.

Everything is an Ibis expression, and every choice by chance is the md5 of a text, so that any engine with
SQL's md5 makes the same split.
"""

import ibis
import ibis.expr.types as ir

from bakeoff.core.errors import BakeoffError
from bakeoff.data.params import SplitParams
from bakeoff.data.split.hashing import chance, share_of
from bakeoff.data.split.split_points import Cuts, is_at_least, is_at_most, tie, user_chance

PARTS = ("train", "valid", "test")
"""Parts of a user's events, oldest first; the values of a predefined `split` column."""
TEMPORAL = ("user-temporal", "global-temporal", "leave-last-out")
"""Methods that need timestamps."""


def positives(interactions: ir.Table, min_rating: float | None) -> ir.Table:
    """Events that count, one per user and item: the earliest that is rated highly enough.

    Args:
        interactions: user_id, item_id, timestamp; rating if min_rating is not None; a split column is kept.
        min_rating: lowest rating of a positive; None: every event is one. An event without a rating is none.

    Raises:
        BakeoffError: min_rating is asked for and there are no ratings.
    """
    events = _rated(interactions, min_rating)
    kept = ["user_id", "item_id", "timestamp"]
    order = [events.timestamp]
    if "split" in events.columns:
        # A pair that a predefined split names twice at the same time stays where it is known earliest.
        kept.append("split")
        ranks = [(events.split == part, rank) for rank, part in enumerate(PARTS)]
        order.append(ibis.cases(*ranks, else_=len(PARTS)))
    place = ibis.row_number().over(ibis.window(group_by=["user_id", "item_id"], order_by=order))
    return events.mutate(place=place).filter(ibis._.place == 0).select(kept)


def count_dropped(interactions: ir.Table, min_rating: float | None, events: ir.Table) -> ir.Table:
    """One row: interactions `below_min_rating` or without rating, and how many others `repeated` an earlier one.

    Args:
        interactions: as for `positives`.
        min_rating: likewise.
        events: those of them that `positives` gives.
    """
    rated = _rated(interactions, min_rating)
    total, num_events = interactions.count().as_scalar(), events.count().as_scalar()
    return rated.aggregate(below_min_rating=total - rated.count(), repeated=rated.count() - num_events)


def check_fits_method(events: ir.Table, split: SplitParams) -> None:
    """Stop where the data can't carry the method.

    Args:
        events: as `positives` gives them.
        split: method, shares and min_rating.

    Raises:
        BakeoffError: no events; no timestamps under a temporal method; no usable split column if predefined.
    """
    if split.method == "predefined":
        _check_split_column(events)
    summary = events.aggregate(rows=events.count(), earliest=events.timestamp.min(), latest=events.timestamp.max())
    rows, earliest, latest = summary.to_pyarrow().to_pylist()[0].values()
    if rows == 0:
        cause = f"is rated {split.min_rating} or higher (split.min_rating)"
        if split.min_rating is None:
            cause = "is left after validation"
        raise BakeoffError(f"No event {cause}, so there is nothing to split.")
    if split.method in TEMPORAL and earliest == latest == 0:
        raise BakeoffError(
            f"split.method {split.method} orders events by time, but the data has no timestamps (all are 0). "
            "Name the column that has them (data.columns.timestamp), or set split.method to random or to "
            "predefined."
        )


def assign_parts(events: ir.Table, split: SplitParams, seed: int, cuts: Cuts) -> ir.Table:
    """Say of every event where it goes.

    A user is new if held out – the round(new_user_share · users) users with the smallest
    md5(seed|new|user_id), a half rounded up – or if the method leaves no train event of theirs. A predefined
    split holds out nobody, so that a published benchmark stays whole.

    Args:
        events: user_id, item_id, timestamp (and split, if predefined); one row per user and item; all of some users,
            or of everyone.
        split: method and shares.
        seed: of the order among equal timestamps and of every choice by chance.
        cuts: those of all events.

    Returns:
        user_id, item_id, timestamp, position (int32, 0-based place among the user's events by timestamp,
        equal ones by the first digits of md5(seed|user_id|item_id)) and part: train, valid or test; new_history or
        new_test for new users, whose history is what would have been train or valid. Rows in no particular order.
    """
    ordered = _in_time_order(events, seed)
    divided = ordered.mutate(part=_part(ordered, split, seed, cuts))
    is_new = _is_new(divided, split, seed, cuts)
    part = ibis.cases((is_new & (divided.part == "test"), "new_test"), (is_new, "new_history"), else_=divided.part)
    position = divided.position.cast("int32")
    return divided.select("user_id", "item_id", "timestamp", position=position, part=part)


def _rated(interactions: ir.Table, min_rating: float | None) -> ir.Table:
    if min_rating is None:
        return interactions
    if "rating" not in interactions.columns:
        raise BakeoffError(
            f"split.min_rating is {min_rating}, but the interactions have no rating. Set it to null, or name "
            "the column with ratings (data.columns.rating)."
        )
    return interactions.filter(interactions.rating >= min_rating)


def _in_time_order(events: ir.Table, seed: int) -> ir.Table:
    """Adds tie, position and num_events (of the user)."""
    events = events.mutate(tie=tie(events, seed))
    by_time = ibis.window(group_by="user_id", order_by=["timestamp", "tie", "item_id"])
    num_events = events.count().over(ibis.window(group_by="user_id"))
    return events.mutate(position=ibis.row_number().over(by_time), num_events=num_events)


def _part(ordered: ir.Table, split: SplitParams, seed: int, cuts: Cuts) -> ir.StringValue:
    """As if there were no new users."""
    if split.method == "leave-last-out":
        left = ibis.ifelse(ordered.num_events < len(PARTS), 0, ordered.num_events - ordered.position)
        return ibis.cases((left == 1, "test"), (left == 2, "valid"), else_="train")
    if split.method == "predefined":
        return _predefined(ordered, cuts.has_valid, split.valid_share, seed)
    if split.method == "global-temporal":
        return _part_in_time(ordered, cuts)
    place = ordered.position if split.method == "user-temporal" else _place(ordered, seed, "random", ["user_id"])
    first_test = ordered.num_events - share_of(ordered.num_events, split.test_share)
    first_valid = first_test - share_of(ordered.num_events, split.valid_share)
    return ibis.cases((place >= first_test, "test"), (place >= first_valid, "valid"), else_="train")


def _part_in_time(ordered: ir.Table, cuts: Cuts) -> ir.StringValue:
    key = [ordered[name] for name in ("timestamp", "tie", "user_id", "item_id")]
    begun = (("test", cuts.first_test), ("valid", cuts.first_valid))
    cases = [(is_at_least(key, first), part) for part, first in begun if first is not None]
    return ibis.cases(*cases, else_="train") if cases else ibis.literal("train")


def _predefined(events: ir.Table, has_valid: bool, valid_share: float, seed: int) -> ir.StringValue:
    """As given; without any valid event, a share of each user's train events becomes valid by chance."""
    if has_valid:
        return events.split
    place = _place(events, seed, "valid", ["user_id", "split"])
    num_train = events.count().over(ibis.window(group_by=["user_id", "split"]))
    chosen = (events.split == "train") & (place < share_of(num_train, valid_share))
    return ibis.cases((chosen, "valid"), else_=events.split)


def _is_new(divided: ir.Table, split: SplitParams, seed: int, cuts: Cuts) -> ir.BooleanValue:
    """Said of every event of a user by itself: to ask each user once and tell the events costs more."""
    is_new = ibis.literal(False)
    if cuts.last_held_out is not None:
        is_new = is_at_most([user_chance(divided, seed), divided.user_id], cuts.last_held_out)
    if split.method in ("predefined", "global-temporal"):  # any other leaves everyone a train event
        in_train = (divided.part == "train").any().over(ibis.window(group_by="user_id"))
        is_new |= ~in_train
    return is_new


def _place(events: ir.Table, seed: int, purpose: str, group_by: list[str]) -> ir.IntegerColumn:
    """0-based place within the group in an order by chance."""
    by_chance = chance(seed, purpose, events.user_id, events.item_id)
    return ibis.row_number().over(ibis.window(group_by=group_by, order_by=[by_chance, events.item_id]))


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
