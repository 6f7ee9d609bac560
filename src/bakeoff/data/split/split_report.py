"""What a split is: how many events and users are in each part, what it promises, and who and what is in none."""

from collections.abc import Mapping, Sequence
from typing import Any

import ibis
import ibis.expr.types as ir

from bakeoff.core.errors import BakeoffError
from bakeoff.data.engine.engine import num_rows, rows_of
from bakeoff.data.params import PARTS, SplitParams
from bakeoff.data.split.methods import method_of
from bakeoff.data.split.split_invariants import Promise

Counts = Mapping[str, int]
"""Numbers of events or users, by what is counted."""


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
    reasons = {
        "without_weight": "events are of a kind that counts nothing (data.event_weights): they are left out.",
        "below_min_rating": f"events are rated below {split.min_rating} or not at all: no positives.",
        "repeated": "events share user, item and time with another: one of them counts."
        if split.keep_repeats
        else "events repeat an earlier one of the same user and item: only the earliest counts.",
        "users_without_events": "users have no event and are in no part.",
    }
    notes = [f"{dropped[name]:,} {sentence}" for name, sentence in reasons.items() if dropped.get(name)]
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
