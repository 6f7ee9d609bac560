"""From the log to figures: who wins interleaved lists, and what each model's own lists would have brought."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from bakeoff.core.files import locked
from bakeoff.ops.online.experiment import CHALLENGER, NO_TEAM, Value, effective_size, ips, snips, win_rate_interval
from bakeoff.ops.online.log import SCHEMAS, parts, read_part

CLICK = "click"
"""The kind of feedback that counts unless another one is named."""

SIDES = ("champion", "challenger")


UNDECIDED = "not decided"


def finding(low: float, high: float, equal: float) -> str:
    """What a whole interval says of the challenger: better, worse, or not decided."""
    return "better" if low > equal else "worse" if high < equal else UNDECIDED


@dataclass
class Pair:
    """What the log has of one model, or of two whose lists were interleaved.

    Attributes:
        lists: impressions.
        with_feedback: of these, those with at least one event on an item of the list.
        decided: lists that one of the two won.
        wins: of these, those of the challenger.
        deciding: numbers of the people who decided.
        sampled: a table per file, with a row for each list that may have been drawn at random: `person`, `length` and,
            for each side, `gain` and `weight`.
    """

    lists: int = 0
    with_feedback: int = 0
    decided: int = 0
    wins: int = 0
    deciding: set[int] = field(default_factory=set)
    sampled: list[pd.DataFrame] = field(default_factory=list)

    def figures(self, confidence: float) -> dict[str, Any]:
        """All of it, for JSON: `win_rate`, and `counterfactual`, which is empty where no list was drawn at random."""
        counts = {"lists": self.lists, "with_feedback": self.with_feedback}
        return counts | {"win_rate": self.win_rate(confidence), "counterfactual": self._counterfactual(confidence)}

    def win_rate(self, confidence: float) -> dict[str, Any]:
        """Of the challenger, over the lists that somebody won."""
        low, high = map(float, win_rate_interval(np.array(self.wins), np.array(self.decided), confidence))
        interval = {"low": low, "high": high, "finding": finding(low, high, 0.5)}
        return {"wins": self.wins, "decided": self.decided, "people": len(self.deciding), **interval}

    def _counterfactual(self, confidence: float) -> dict[str, dict[str, Any]]:
        """Side, or their difference → events per list by each estimate."""
        if not self.sampled:
            return {}
        rows = pd.concat(self.sampled, ignore_index=True)
        person, length = rows["person"].to_numpy(), rows["length"].to_numpy()
        found, values = dict[str, dict[str, Any]](), dict[str, dict[str, Value]]()
        for side in SIDES:
            if (weight := rows.get(f"weight_{side}")) is not None and weight.any():
                gain, weight = rows[f"gain_{side}"].to_numpy(), weight.to_numpy()
                values[side] = {"ips": ips(gain), "snips": snips(gain, weight, length)}
                found[side] = {"lists": len(rows), "effective": effective_size(weight)}
        if len(values) == len(SIDES):
            values["difference"] = {name: values[SIDES[1]][name].minus(each) for name, each in values[SIDES[0]].items()}
            found["difference"] = {}
        for side, estimates in values.items():
            for name, value in estimates.items():
                low, high = value.interval(person, confidence)
                found[side][name] = {"value": value.estimate, "low": low, "high": high}
        return found


@dataclass
class Evaluation:
    """Figures of a log.

    Attributes:
        pairs: (champion, challenger or None) → what the log has of them.
        events: kind of feedback → how often it was logged.
        left_out: why feedback does not count → how many.
        times: of the first list and of the last one, of each file.
        people: user → number of a person; a list of somebody who is not known by id counts as a person, by its id.
        users: who is known by id, by pseudonym or id.
    """

    pairs: dict[tuple[str, str | None], Pair] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    times: list[Any] = field(default_factory=list)
    people: dict[str, int] = field(default_factory=dict)
    users: set[str] = field(default_factory=set)


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
        tables = [read_part(path) for path in parts(folder, "feedback")] or [SCHEMAS["feedback"].empty_table()]
        events = pa.concat_tables(tables).to_pandas()
        found.events.update(events["event"])
        events = events[events["event"] == event].sort_values("time", kind="stable")
        doubled = events.duplicated(["impression", "item_id"])
        found.left_out["sent twice"] += int(doubled.sum())
        given = dict[str, list[str]]()
        for name, item in events.loc[~doubled, ["impression", "item_id"]].itertuples(index=False):
            given.setdefault(name, []).append(item)
        for path in parts(folder, "impressions"):
            _add(found, read_part(path).to_pandas(), given, clip)
    found.left_out["of lists that are not kept"] += sum(map(len, given.values()))
    found.left_out = +found.left_out
    return found


def _add(found: Evaluation, lists: pd.DataFrame, given: dict[str, list[str]], clip: float) -> None:
    """Add a file of impressions; feedback on them is taken out of `given`."""
    found.times += [lists["time"].min(), lists["time"].max()]
    found.users.update(lists["user"].dropna())
    names = lists["user"].fillna(lists["id"])
    lists["person"] = [found.people.setdefault(name, len(found.people)) for name in names]
    for (champion, challenger), rows in lists.groupby(["champion", lists["challenger"].fillna("")]):
        pair = found.pairs.setdefault((champion, challenger or None), Pair())
        pair.lists += len(rows)
        answered = rows[rows["id"].isin([*given])].itertuples()
        clicked = {row.id: _decide(found, pair, row, given.pop(row.id)) for row in answered}
        if len(sampled := rows[(rows["explore"] > 0) & (rows["items"].str.len() > 0)]):
            pair.sampled.append(_weighed(sampled, clicked, clip, SIDES if challenger else SIDES[:1]))


def _decide(found: Evaluation, pair: Pair, row: Any, items: Sequence[str]) -> set[str]:
    """Count the feedback on a list; its items that have some."""
    team_of = dict(zip(row.items, row.teams, strict=True))
    valid = [item for item in items if item in team_of]
    found.left_out["on items that were not in the list"] += len(items) - len(valid)
    pair.with_feedback += bool(valid)
    if credited := [team_of[item] for item in valid if team_of[item] != NO_TEAM]:
        pair.wins += int(credited[0] == CHALLENGER)
        pair.decided += 1
        pair.deciding.add(row.person)
    return set(valid)


def _weighed(rows: pd.DataFrame, clicked: Mapping[str, set[str]], clip: float, sides: Sequence[str]) -> pd.DataFrame:
    """A row for each of these lists: see `Pair.sampled`."""
    length = rows["items"].str.len().to_numpy()
    place = np.repeat(np.arange(len(rows)), length)
    lists = zip(rows["id"], rows["items"], strict=True)
    has = np.array([item in clicked.get(name, ()) for name, items in lists for item in items])
    inverse = 1 / np.maximum(np.concatenate([*rows["propensities"]]), clip)
    columns = {"person": rows["person"].to_numpy(), "length": length}
    for side in sides:
        weight = np.concatenate([*rows[f"as_{side}"]]) * inverse
        columns[f"weight_{side}"] = np.bincount(place, weight, len(rows))
        columns[f"gain_{side}"] = np.bincount(place, weight * has, len(rows))
    return pd.DataFrame(columns)
