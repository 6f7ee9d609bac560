"""Who is a user and what is an item, each with an index: the rows and columns of every array downstream."""

import ibis
import ibis.expr.types as ir

from bakeoff.core.errors import BakeoffError


def user_vocabulary(events: ir.Table, users: ir.Table) -> ir.Table:
    """Users with events: warm ones first, each group in natural id order.

    Args:
        events: user_id and part, as `assign_parts` says it.
        users: user_id and feature columns, one row per user. Users without events are left out; the features
            of a user who is not there are null.

    Returns:
        user_index (int32, from 0), user_id, is_new and feature columns; rows in no particular order.

    Raises:
        BakeoffError: a feature column has a name that is taken.
    """
    _check_names(users, "users", ("user_index", "is_new"))
    known = events.group_by("user_id").aggregate(is_new=events.part.startswith("new_").any())
    features = [name for name in users.columns if name != "user_id"]
    joined = known.left_join(users, "user_id").select("user_id", "is_new", *features)
    return _indexed(joined, "user_index", "user_id", "is_new")


def item_vocabulary(events: ir.Table, items: ir.Table) -> ir.Table:
    """The whole catalogue in natural id order.

    Args:
        events: item_id and part, as `assign_parts` says it.
        items: item_id, title and feature columns, one row per item, with or without events.

    Returns:
        item_index (int32, from 0), the columns of items, train_count (int64, train events) and fit_count
        (int64, train and valid events); rows in no particular order.

    Raises:
        BakeoffError: a feature column has a name that is taken.
    """
    _check_names(items, "items", ("item_index", "train_count", "fit_count"))
    is_train = events.part == "train"
    is_fit = is_train | (events.part == "valid")
    counts = events.group_by("item_id").aggregate(
        train_count=events.count(where=is_train), fit_count=events.count(where=is_fit)
    )
    joined = items.left_join(counts, "item_id")
    filled = {name: joined[name].fill_null(0).cast("int64") for name in ("train_count", "fit_count")}
    return _indexed(joined.select(*items.columns, **filled), "item_index", "item_id")


def _indexed(table: ir.Table, index: str, key: str, *first: str) -> ir.Table:
    """By `first`, then in natural order: ids of digits by their number (7 before 07), then the others by code point."""
    text = table[key]
    # Without an anchor, since `$` is the end of the text to one engine and of a line to another.
    digits = (text != "") & (text.re_replace("[0-9]+", "") == "")
    number = ibis.ifelse(digits, text.re_replace("^0+", ""), "")
    own_length = ibis.ifelse(digits, text.length(), 0)
    order = [*(table[name] for name in first), ~digits, number.length(), number, own_length, text]
    place = ibis.row_number().over(ibis.window(order_by=order)).cast("int32").name(index)
    return table.select(place, key, *[name for name in table.columns if name != key])


def _check_names(table: ir.Table, name: str, taken: tuple[str, ...]) -> None:
    clash = [column for column in table.columns if column.lower() in taken]
    if clash:
        raise BakeoffError(
            f"The {name} table has a column {clash[0]!r}, a name that the split needs for itself: rename the "
            "column where the data comes from."
        )
