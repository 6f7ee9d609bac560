"""Which event goes where: train, validation, test, and whole users held out as new ones.

Everything is an Ibis expression, and every choice by chance is the md5 of a text, so that any engine with
SQL's md5 makes the same split.
"""

import ibis
import ibis.expr.types as ir

from bakeoff.core.errors import BakeoffError
from bakeoff.data.engine.engine import Engine
from bakeoff.data.params import PARTS, DataParams, SplitParams
from bakeoff.data.split.methods import Cuts, find_cuts, is_at_least, method_of, tie, user_chance

SHOWN = 10
"""Kinds of events that a message names."""


def divide(engine: Engine, interactions: ir.Table, split: SplitParams, seed: int) -> ir.Table:
    """What counts of the interactions, and where it goes, some users after the other.

    Args:
        engine: keeps what is in between.
        interactions: as for `positives`.
        split: method, shares and what counts.
        seed: of every choice by chance.

    Returns:
        as `assign_parts`.

    Raises:
        BakeoffError: the data can't carry the method.
    """
    divided = engine.divided("interactions", interactions, "user_id")
    chosen = engine.kept_each(
        "positives", divided.map(lambda rows: positives(rows, split.min_rating, split.keep_repeats))
    )
    check_fits_method(chosen.whole, split)
    everyone = engine.kept("everyone", chosen.whole.select("user_id").distinct())
    cuts = find_cuts(chosen.whole, everyone, split, seed)
    return engine.kept_each("parts", chosen.map(lambda events: assign_parts(events, split, seed, cuts))).whole


def positives(interactions: ir.Table, min_rating: float | None, keep_repeats: bool = False) -> ir.Table:
    """Events that count, one per user and item: the earliest that is rated highly enough.

    Of several at the same time the one of the highest weight counts. With `keep_repeats` one counts at each time.

    Args:
        interactions: user_id, item_id, timestamp; rating if min_rating is not None; split, weight and row are kept.
        min_rating: lowest rating of a positive; None: every event is one. An event without a rating is none.
        keep_repeats: whether later events of a pair count too.

    Raises:
        BakeoffError: min_rating is set and there are no ratings.
    """
    events = _rated(interactions, min_rating)
    kept = ["user_id", "item_id", "timestamp"]
    order = [events.timestamp]
    if "split" in events.columns:
        # A pair that a predefined split names twice at the same time stays where it is known earliest.
        kept.append("split")
        ranks = [(events.split == part, rank) for rank, part in enumerate(PARTS)]
        order.append(ibis.cases(*ranks, else_=len(PARTS)))
    if "weight" in events.columns:
        kept.append("weight")
        order.append(events.weight.desc())
    if "row" in events.columns:
        kept.append("row")
        order.append(events.row)
    same = ["user_id", "item_id", *(["timestamp"] if keep_repeats else [])]
    place = ibis.row_number().over(ibis.window(group_by=same, order_by=order))
    return events.mutate(place=place).filter(ibis._.place == 0).select(kept)


def weighted(interactions: ir.Table, data: DataParams) -> ir.Table:
    """Interactions with what each counts in training, those that count nothing left out.

    Args:
        interactions: has the columns that `data.weight_columns` names; weights are above 0.
        data: which columns say what an event counts, and how much each kind does.

    Returns:
        the table with a column weight, float32: the weight of its kind times its own; below 0 of a dislike.

    Raises:
        BakeoffError: there is no such column, or events are of a kind without a weight.
    """
    for name in data.weight_columns:
        if name not in interactions.columns:
            raise BakeoffError(
                f"data.columns.{name} is {getattr(data.columns, name)!r}, but the interactions in data/ have no "
                f"{name}: fetch the data again, which brings the column, or set it to null."
            )
    weight: ir.Value = ibis.literal(1.0)
    if "event" in data.weight_columns:
        _check_kinds(interactions, data)
        cases = [(interactions.event == kind, ibis.literal(float(each))) for kind, each in data.event_weights.items()]
        weight = ibis.cases(*cases, else_=0.0)
    if "weight" in data.weight_columns:
        weight = weight * interactions.weight
    return interactions.mutate(weight=weight.cast("float32")).filter(ibis._.weight != 0)


def disliked(interactions: ir.Table, split: SplitParams, parts: ir.Table) -> ir.Table:
    """What users dislike, by what they did up to their last train event.

    Args:
        interactions: user_id, item_id, timestamp; weight, rating and split where they have them.
        split: says what low ratings count as dislikes.
        parts: as `assign_parts` gives them.

    Returns:
        user_id, item_id, timestamp (the first) and weight (float32, below 0, the strongest), one row per pair.
    """
    if "split" in interactions.columns:  # of a split that is given, train alone is known
        interactions = interactions.filter(interactions["split"] == "train")
    weight = interactions.weight if "weight" in interactions.columns else ibis.literal(1.0)
    if split.dislike_weight:
        is_low = interactions.rating < split.min_rating
        weight = ibis.ifelse(is_low, -split.dislike_weight * weight.abs(), weight)
    found = interactions.select("user_id", "item_id", "timestamp", weight=weight)
    train = parts.filter(parts.part == "train").group_by("user_id").aggregate(until=ibis._.timestamp.max())
    known = found.filter(found.weight < 0).inner_join(train, "user_id").filter(ibis._.timestamp <= ibis._.until)
    return known.group_by("user_id", "item_id").aggregate(
        timestamp=ibis._.timestamp.min(), weight=ibis._.weight.min().cast("float32")
    )


def _check_kinds(interactions: ir.Table, data: DataParams) -> None:
    strange = (
        interactions.filter(interactions.event.notin([*data.event_weights])) if data.event_weights else interactions
    )
    counts = strange.group_by("event").aggregate(rows=ibis._.count()).order_by(ibis.desc("rows"), "event").limit(SHOWN)
    found = counts.to_pyarrow().to_pylist()
    if found:
        kinds = ", ".join(f"{row['event']!r} ({row['rows']:,} events)" for row in found)
        raise BakeoffError(
            f"data.event_weights has no weight for events of kind {kinds}: add each with a weight, "
            f"0 to leave its events out, such as event_weights: {{{found[0]['event']!r}: 1}}."
        )


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
        BakeoffError: no events; no timestamps under a temporal method; no usable split column if predefined; no rows
            of the file where ties go by it.
    """
    if split.ties == "file" and "row" not in events.columns:
        raise BakeoffError(
            "split.ties is file, but the validated interactions do not say which row of the file they were: an earlier "
            "version wrote them. Run `bakeoff validate` again."
        )
    method_of(split.method).check(events)
    summary = events.aggregate(rows=events.count(), earliest=events.timestamp.min(), latest=events.timestamp.max())
    rows, earliest, latest = summary.to_pyarrow().to_pylist()[0].values()
    if rows == 0:
        cause = f"is rated {split.min_rating} or higher (split.min_rating)"
        if split.min_rating is None:
            cause = "is left after validation"
        raise BakeoffError(f"No event {cause}, so there is nothing to split.")
    if method_of(split.method).is_temporal and earliest == latest and (rows > 1 or latest == 0):
        cause = "has no timestamps (all are 0)" if latest == 0 else f"has one time for all of them ({latest})"
        raise BakeoffError(
            f"split.method {split.method} orders events by time, but the data {cause}. Name the column that has their "
            "times (data.columns.timestamp), or set split.method to random or to predefined."
        )


def assign_parts(events: ir.Table, split: SplitParams, seed: int, cuts: Cuts) -> ir.Table:
    """Say of every event where it goes.

    A user is new if held out – the round(new_user_share · users) users with the smallest
    md5(seed|new|user_id), a half rounded up – or if the method leaves no train event of theirs. A predefined
    split holds out nobody, so that a published benchmark stays whole.

    Args:
        events: user_id, item_id, timestamp (split, if predefined; row, if ties go by it), as `positives` gives them;
            all of some users, or of everyone.
        split: method and shares.
        seed: of the order among equal timestamps and of every choice by chance.
        cuts: those of all events.

    Returns:
        user_id, item_id, timestamp, position (int32, 0-based place among the user's events by timestamp, equal ones
        by the first digits of md5(seed|user_id|item_id) or, as `split.ties` says, by row) and part: train, valid or
        test; new_history or new_test for new users, whose history is what would have been train or valid; weight where
        events have it; and, of a split that keeps repeats, is_repeat, whether the user has had the item before. Rows
        in no particular order.
    """
    tied = events.mutate(tie=tie(events, split, seed))
    by_time = ibis.window(group_by="user_id", order_by=["timestamp", "tie", "item_id"])
    num_events = tied.count().over(ibis.window(group_by="user_id"))
    ordered = tied.mutate(position=ibis.row_number().over(by_time), num_events=num_events)
    divided = ordered.mutate(part=method_of(split.method).assign(ordered, split, seed, cuts))
    is_new = _is_new(divided, split, seed, cuts)
    part = ibis.cases((is_new & (divided.part == "test"), "new_test"), (is_new, "new_history"), else_=divided.part)
    position = divided.position.cast("int32")
    more: dict[str, ir.Value] = {name: divided[name] for name in divided.columns if name == "weight"}
    if split.keep_repeats:
        of_pair = ibis.window(group_by=["user_id", "item_id"], order_by="timestamp")
        more["is_repeat"] = ibis.row_number().over(of_pair) > 0
    return divided.select("user_id", "item_id", "timestamp", **more, position=position, part=part)


def _rated(interactions: ir.Table, min_rating: float | None) -> ir.Table:
    if min_rating is None:
        return interactions
    if "rating" not in interactions.columns:
        raise BakeoffError(
            f"split.min_rating is {min_rating}, but the interactions have no rating. Set it to null, or name "
            "the column with ratings (data.columns.rating)."
        )
    return interactions.filter(interactions.rating >= min_rating)


def _is_new(divided: ir.Table, split: SplitParams, seed: int, cuts: Cuts) -> ir.BooleanValue:
    """Computed for every event of a user by itself: computing it once per user, then joining, costs more."""
    is_new = ibis.literal(False)
    if cuts.last_held_out is not None:
        is_new = is_at_least(cuts.last_held_out, [user_chance(divided, seed), divided.user_id])
    if method_of(split.method).may_lack_train:
        in_train = (divided.part == "train").any().over(ibis.window(group_by="user_id"))
        is_new |= ~in_train
    return is_new
