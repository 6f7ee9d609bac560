"""From the log to figures: who wins interleaved lists, and what each model's own lists would have brought."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from bakeoff.ops.online.estimates import Value, effective_size, ips, snips, win_rate_interval
from bakeoff.ops.online.interleave import CHALLENGER, NO_TEAM
from bakeoff.ops.online.log import locked, parts, read_part

CLICK = "click"
"""The kind of feedback that counts unless another one is named."""

SIDES = ("champion", "challenger")


class WinRate(NamedTuple):
    """Of the challenger, over the lists that somebody won."""

    wins: int
    decided: int
    people: int
    low: float
    high: float

    @property
    def finding(self) -> str:
        """What the whole interval says of the challenger: better, worse, or not decided."""
        return "better" if self.low > 0.5 else "worse" if self.high < 0.5 else "not decided"


@dataclass
class Pair:
    """What the log has of one model, or of two whose lists were interleaved.

    Attributes:
        lists: impressions.
        with_feedback: of these, those with at least one event on an item of the list.
        decided: per list that has a winner, when, whose it is (a number of a person), and whether the challenger won.
        sampled: a table per file, with a row for each list that may have been sampled: `person`, `length` and, for each
            side, `gain` and `weight`.
    """

    lists: int = 0
    with_feedback: int = 0
    decided: list[tuple[Any, int, bool]] = field(default_factory=list)
    sampled: list[pd.DataFrame] = field(default_factory=list)

    def win_rate(self, confidence: float) -> WinRate:
        """As it stands now. Lists are in the order in which they were decided."""
        wins, decided = sum(won for *_, won in self.decided), len(self.decided)
        low, high = win_rate_interval(np.array(wins), np.array(decided), confidence)
        return WinRate(wins, decided, len({person for _, person, _ in self.decided}), float(low), float(high))

    def counterfactual(self, confidence: float) -> dict[str, dict[str, float]]:
        """Estimate → figures, events per list; empty where no list was sampled."""
        if not self.sampled:
            return {}
        rows = pd.concat(self.sampled, ignore_index=True)
        person, length = rows["person"].to_numpy(), rows["length"].to_numpy(np.float64)
        found: dict[str, dict[str, Any]] = {}
        values: dict[tuple[str, str], Value] = {}
        for side in SIDES:
            gain, weight = rows[f"gain_{side}"].to_numpy(), rows[f"weight_{side}"].to_numpy()
            if weight.any():
                values["ips", side], values["snips", side] = ips(gain), snips(gain, weight, length)
                found[side] = {"lists": len(rows), "effective": effective_size(weight), "most": float(weight.max())}
        if len(found) == len(SIDES):
            found["difference"] = {"lists": len(rows)}
            for name in ("ips", "snips"):
                values[name, "difference"] = values[name, SIDES[1]].minus(values[name, SIDES[0]])
        for (name, side), value in values.items():
            found[side][name] = value.estimate
            found[side][f"{name}_low"], found[side][f"{name}_high"] = value.interval(person, confidence)
        return found


@dataclass
class Evaluation:
    """Figures of a log.

    Attributes:
        pairs: (champion, challenger or None) → what the log has of them.
        events: kind of feedback → how often it was logged.
        left_out: why feedback does not count → how many.
        first: time of the first list; None without any.
        last: of the last one.
        people: numbers of persons by pseudonym; who has none counts as a person of their own.
    """

    pairs: dict[tuple[str, str | None], Pair] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    first: Any = None
    last: Any = None
    people: dict[str, int] = field(default_factory=dict)


def evaluate(folder: Path, event: str, clip: float = 0.0) -> Evaluation:
    """Read a log, a file at a time.

    A list is decided by its first feedback on an item of a team: what is decided stays decided, whatever comes later.

    Args:
        folder: of the log.
        event: kind of feedback that counts.
        clip: propensities below it count as it.

    Raises:
        BakeoffError: a file is damaged.
    """
    found = Evaluation()
    with locked(folder):
        feedback = [read_part(path) for path in parts(folder, "feedback")]
        events = pa.concat_tables(feedback).to_pandas() if feedback else pd.DataFrame(columns=["impression", "event"])
        found.events.update(events["event"])
        events = events[events["event"] == event].sort_values("time", kind="stable") if len(events) else events
        doubled = events.duplicated(["impression", "item_id"]) if len(events) else np.zeros(0, np.bool_)
        found.left_out["sent twice"] += int(doubled.sum())
        given: dict[str, list[tuple[Any, str]]] = {}
        for row in events[~doubled].itertuples():
            given.setdefault(row.impression, []).append((row.time, row.item_id))
        for path in parts(folder, "impressions"):
            _take(found, read_part(path), given, clip)
    found.left_out["of lists that are not kept"] += sum(map(len, given.values()))
    found.left_out = +found.left_out
    return found


def _take(found: Evaluation, table: pa.Table, given: dict[str, list[tuple[Any, str]]], clip: float) -> None:
    """Add a file of impressions; feedback on them is taken out of `given`."""
    if not len(table):
        return
    ends = pc.min_max(table["time"]).as_py()
    found.first = ends["min"] if found.first is None else min(found.first, ends["min"])
    found.last = ends["max"] if found.last is None else max(found.last, ends["max"])
    persons = np.array([_person(found, user) for user in table["user"].to_pylist()])
    counts = table.group_by(["champion", "challenger"]).aggregate([([], "count_all")]).to_pylist()
    for row in counts:
        found.pairs.setdefault((row["champion"], row["challenger"]), Pair()).lists += row["count_all"]
    is_given = pc.is_in(table["id"], value_set=pa.array([*given], pa.string())).to_numpy()
    clicked = dict[int, list[bool]]()
    for place in np.flatnonzero(is_given).tolist():
        [row] = table.slice(place, 1).to_pylist()
        clicked[place] = _decide(found, row, given.pop(row["id"]), int(persons[place]))
    explore = table["explore"].to_numpy()
    for pair in found.pairs:
        is_theirs = pc.and_(pc.equal(table["champion"], pair[0]), _equal(table["challenger"], pair[1])).to_numpy()
        places = np.flatnonzero(is_theirs & (explore > 0))
        if len(places):
            found.pairs[pair].sampled.append(_sampled(table, places, persons, clicked, clip))


def _person(found: Evaluation, user: str | None) -> int:
    """A number for each user; a new one for a list of somebody who is not known by id."""
    name = user or f"\0{len(found.people)}"
    return found.people.setdefault(name, len(found.people))


def _equal(column: Any, value: str | None) -> Any:
    return pc.is_null(column) if value is None else pc.fill_null(pc.equal(column, value), False)


def _decide(found: Evaluation, row: Mapping[str, Any], events: Sequence[tuple[Any, str]], person: int) -> list[bool]:
    """Count the feedback on a list; whether each of its items has some."""
    pair = found.pairs[row["champion"], row["challenger"]]
    team_of = dict(zip(row["items"], row["teams"], strict=True))
    valid = [(time, item) for time, item in events if item in team_of]
    found.left_out["on items that were not in the list"] += len(events) - len(valid)
    pair.with_feedback += bool(valid)
    credited = [(time, team_of[item]) for time, item in valid if team_of[item] != NO_TEAM]
    if credited:
        time, team = credited[0]
        pair.decided.append((time, person, team == CHALLENGER))
    items = {item for _, item in valid}
    return [item in items for item in row["items"]]


def _sampled(
    table: pa.Table,
    places: np.ndarray[Any, Any],
    persons: np.ndarray[Any, Any],
    clicked: Mapping[int, list[bool]],
    clip: float,
) -> pd.DataFrame:
    """A row for each of these lists: see `Pair.sampled`."""
    chosen = table.take(pa.array(places))
    length = pc.list_value_length(chosen["items"]).to_numpy().astype(np.int64)
    row = np.repeat(np.arange(len(places)), length)
    has = np.concatenate(
        [np.zeros(0), *(clicked.get(place, [False] * n) for place, n in zip(places, length, strict=True))]
    )
    inverse = 1 / np.maximum(pc.list_flatten(chosen["propensities"]).to_numpy(), clip)
    columns = {"person": persons[places], "length": length}
    for side in SIDES:
        weight = pc.list_flatten(chosen[f"as_{side}"]).to_numpy() * inverse
        columns[f"weight_{side}"] = np.bincount(row, weight, len(places))
        columns[f"gain_{side}"] = np.bincount(row, weight * has, len(places))
    return pd.DataFrame(columns)
