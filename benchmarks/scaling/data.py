"""Raw tables of any size with planted structure: groups of users and items, popularity by Zipf's law, sessions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from bakeoff.core.files import write_json, written

EVENTS_PER_USER = 40
"""On average; at least a quarter of it and at most four times as many."""

EVENTS_PER_ITEM = 100
"""On average, up to MOST_ITEMS items."""

MOST_ITEMS = 1_000_000
FEWEST_ITEMS = 5 * EVENTS_PER_USER
"""The longest history has 4 × EVENTS_PER_USER events, which must find as many items, and some to spare."""

ZIPF = 0.9
"""The item of rank r in its group is drawn as often as r^−0.9."""

GROUPS = 4
NOISE = 0.1
"""Share of the draws that take any item, of whatever group."""

FEATURE_NOISE = 0.2
"""Share of users and items whose feature names a random group and not their own."""

FIRST_SECOND, SPAN = 1_500_000_000, 1000 * 86_400
LONGEST_GAP = 30 * 86_400

_ROUNDS = 20
# After which what is still missing is drawn uniformly: a user with many events has soon met the popular items.

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Size:
    """How large a synthetic data set is."""

    interactions: int
    users: int
    items: int

    @property
    def pairs(self) -> int:
        """Users × items: what ranking a catalogue costs."""
        return self.users * self.items


@dataclass(frozen=True)
class Made:
    """Interactions in the order of time, and who belongs to which group.

    Attributes:
        users: [n] index of the user of each interaction.
        items: [n] index of its item; a user meets an item once.
        timestamps: [n] UTC seconds, ascending.
        user_groups: [users] in [0, GROUPS).
        item_groups: [items] likewise.
    """

    users: IntArray
    items: IntArray
    timestamps: IntArray
    user_groups: IntArray
    item_groups: IntArray


def size_of(interactions: int, items: int | None = None) -> Size:
    """Users, and items unless they are given, in proportion to the interactions.

    Raises:
        ValueError: there are too few for every user to have its events.
    """
    users = interactions // EVENTS_PER_USER
    if items is None:
        items = max(FEWEST_ITEMS, min(MOST_ITEMS, interactions // EVENTS_PER_ITEM))
    if items < FEWEST_ITEMS:
        raise ValueError(f"{items} items are too few for histories without repetition: it takes {FEWEST_ITEMS} or more")
    if users < GROUPS:
        raise ValueError(f"{interactions} interactions are too few: it takes {GROUPS * EVENTS_PER_USER} or more")
    return Size(interactions, users, items)


def make(size: Size, seed: int) -> Made:
    """Draw a data set; the same size and seed give the same one."""
    rng = np.random.default_rng([seed, size.interactions])
    user_groups, item_groups = np.arange(size.users) % GROUPS, np.arange(size.items) % GROUPS
    counts = _history_lengths(size, rng)
    pairs = _distinct_pairs(counts, user_groups, size.items, rng)
    users, items = np.divmod(pairs, size.items)  # sorted by user, in random order of items
    times = _times(counts, rng)
    order = np.argsort(times, kind="stable")
    return Made(users[order], items[order], times[order], user_groups, item_groups)


def write_tables(folder: Path, size: Size, seed: int) -> None:
    """interactions.csv, users.csv, items.csv and dataset.json: what `bakeoff fetch` would leave."""
    made = make(size, seed)
    rng = np.random.default_rng([seed, size.interactions, 1])
    segments, genres = (_told(groups, rng) for groups in (made.user_groups, made.item_groups))
    ratings = rng.integers(3, 6, size.interactions, np.int8)
    events = {"user_id": _ids("u", made.users), "item_id": _ids("i", made.items), "timestamp": made.timestamps}
    users = {"user_id": _ids("u", np.arange(size.users)), "age": rng.integers(18, 80, size.users)}
    items = {"item_id": _ids("i", np.arange(size.items)), "title": _ids("Item ", np.arange(size.items))}
    _write(folder / "interactions.csv", {**events, "rating": ratings})
    _write(folder / "users.csv", {**users, "segment": _ids("segment ", segments)})
    _write(
        folder / "items.csv", {**items, "year": rng.integers(1980, 2025, size.items), "genre": _ids("genre ", genres)}
    )
    write_json(
        folder / "dataset.json",
        {
            "name": "made",
            "title": f"Synthetic data, {size.interactions:,} interactions",
            "terms": "None: nobody's data.",
            "citation": "benchmarks/scale.py",
            "url": "",
        },
    )


def _history_lengths(size: Size, rng: np.random.Generator) -> IntArray:
    """[users] events of each user, which add up to the interactions exactly."""
    least, most = EVENTS_PER_USER // 4, 4 * EVENTS_PER_USER
    weights = rng.gamma(2.0, size=size.users).clip(0.05, 6.0)
    counts = least + rng.multinomial(size.interactions - least * size.users, weights / weights.sum())
    while (spare := int((counts - most).clip(0).sum())) > 0:
        counts = counts.clip(max=most)
        room = np.flatnonzero(counts < most)
        counts += np.bincount(rng.choice(room, spare), minlength=size.users)
    return counts.astype(np.int64)


def _distinct_pairs(counts: IntArray, groups: IntArray, num_items: int, rng: np.random.Generator) -> IntArray:
    """[sum(counts)] user · num_items + item, by user; the items of a user differ and stand in random order."""
    found, complete = np.zeros(0, np.int64), []
    missing, turn = counts.copy(), 0
    while missing.any():
        users = np.repeat(np.arange(len(counts)), missing)
        drawn = users * num_items + _draw(groups[users], num_items, turn >= _ROUNDS, rng)
        found = np.sort(np.concatenate([found, drawn]))
        found = found[np.diff(found, prepend=-1) > 0]  # np.unique hashes, which takes many times as long
        owner = found // num_items
        lacking = np.where(missing > 0, counts - np.bincount(owner, minlength=len(counts)), 0)
        is_open = lacking[owner] > 0  # the others are not looked at again
        complete.append(found[~is_open])
        found, missing, turn = found[is_open], lacking, turn + 1
    found = np.sort(np.concatenate(complete))
    return found[np.lexsort((rng.random(len(found)), found // num_items))]


def _draw(groups: IntArray, num_items: int, uniform: bool, rng: np.random.Generator) -> IntArray:
    """An item for each of these groups: of that group by Zipf's law, or with the chance NOISE of any."""
    anything = rng.integers(0, num_items, len(groups))
    if uniform:
        return anything
    ranks = 1 + np.arange(num_items // GROUPS)  # groups are dealt in turn; what is left over is noise alone
    chances = np.cumsum(ranks**-ZIPF)
    rank = np.searchsorted(chances, rng.random(len(groups)) * chances[-1], side="right")
    own = np.minimum(rank, len(ranks) - 1) * GROUPS + groups
    return np.where(rng.random(len(groups)) < NOISE, anything, own)


def _times(counts: IntArray, rng: np.random.Generator) -> IntArray:
    """[sum(counts)] seconds, ascending within a user: sessions with seconds between events, days between sessions."""
    total = int(counts.sum())
    in_session = rng.random(total) < 0.8
    gaps = np.where(in_session, rng.exponential(60.0, total), rng.exponential(3 * 86_400.0, total))
    passed = np.cumsum(1 + gaps.clip(max=LONGEST_GAP).astype(np.int64))
    starts = np.cumsum(counts) - counts
    since_first = passed - np.repeat(passed[starts], counts)
    return np.asarray(FIRST_SECOND + np.repeat(rng.integers(0, SPAN, len(counts)), counts) + since_first)


def _told(groups: IntArray, rng: np.random.Generator) -> IntArray:
    """What a feature says of these groups."""
    return np.where(rng.random(len(groups)) < FEATURE_NOISE, rng.integers(0, GROUPS, len(groups)), groups)


def _ids(prefix: str, numbers: IntArray) -> pa.Array:
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(prefix, pa.array(1 + numbers).cast(pa.string()), "")


def _write(path: Path, columns: dict[str, Any]) -> None:
    with written(path) as beside:
        csv.write_csv(pa.table(columns), beside, csv.WriteOptions(quoting_style="none"))
