"""From the log to figures: who wins interleaved lists, and what each model's own lists would have brought."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

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


@dataclass(frozen=True)
class Pair:
    """What the log has of one model, or of two whose lists were interleaved.

    Attributes:
        lists: a row per impression: number of the `person`, whether it is `answered` by feedback on one of its items,
            the `winner`, which is NO_TEAM where nobody won, and of lists that may have been drawn at random the
            `length` and, for each side, `gain` and `weight`; NaN for others.
        sides: those of its models.
    """

    lists: pd.DataFrame
    sides: Sequence[str]

    def figures(self, confidence: float) -> dict[str, Any]:
        """All of it, for JSON: `win_rate`, and `counterfactual`, which is empty where no list was drawn at random."""
        counts = {"lists": len(self.lists), "with_feedback": int(self.lists["answered"].sum())}
        return counts | {"win_rate": self.win_rate(confidence), "counterfactual": self._counterfactual(confidence)}

    def win_rate(self, confidence: float) -> dict[str, Any]:
        """Of the challenger, over the lists that somebody won."""
        decided = self.lists[self.lists["winner"] != NO_TEAM]
        wins = int((decided["winner"] == CHALLENGER).sum())
        low, high = map(float, win_rate_interval(np.array(wins), np.array(len(decided)), confidence))
        interval = {"low": low, "high": high, "finding": finding(low, high, 0.5)}
        return {"wins": wins, "decided": len(decided), "people": decided["person"].nunique(), **interval}

    def _counterfactual(self, confidence: float) -> dict[str, dict[str, Any]]:
        """Side, or their difference → events per list by each estimate."""
        rows = self.lists.dropna(subset=["length"])
        found, values = dict[str, dict[str, Any]](), dict[str, dict[str, Value]]()
        for side in self.sides:
            gain, weight = (rows[f"{figure}_{side}"].to_numpy() for figure in ("gain", "weight"))
            if weight.any():
                values[side] = {"ips": ips(gain), "snips": snips(gain, weight, rows["length"].to_numpy())}
                found[side] = {"lists": len(rows), "effective": effective_size(weight)}
        if len(values) == len(SIDES):
            values["difference"] = {name: values[SIDES[1]][name].minus(each) for name, each in values[SIDES[0]].items()}
            found["difference"] = {}
        for side, estimates in values.items():
            for name, value in estimates.items():
                low, high = value.interval(rows["person"].to_numpy(), confidence)
                found[side][name] = {"value": value.estimate, "low": low, "high": high}
        return found


class Evaluation(NamedTuple):
    """Figures of a log.

    Attributes:
        pairs: (champion, challenger or None) → what the log has of them.
        events: kind of feedback → how often it was logged.
        left_out: why feedback does not count → how many.
        times: of all lists.
        num_users: who are known by id.
    """

    pairs: dict[tuple[str, str | None], Pair]
    events: Counter[str]
    left_out: Counter[str]
    times: pd.Series
    num_users: int


def evaluate(folder: Path, event: str, clip: float = 0.0) -> Evaluation:
    """Read a log; of the items of its lists, those of a file at a time.

    A list is decided by its first feedback on an item of a team: what is decided stays decided, whatever comes later.
    Somebody who is not known by id counts as another person with each list.

    Args:
        folder: of the log.
        event: kind of feedback that counts.
        clip: propensities below it count as it.

    Raises:
        BakeoffError: a file is damaged.
    """
    left_out = Counter[str]()
    with locked(folder):
        events = pd.concat(_tables(folder, "feedback"))
        kinds = Counter(events["event"])
        events = events[events["event"] == event].sort_values("time", kind="stable")
        doubled = events.duplicated(["impression", "item_id"])
        left_out["sent twice"] += int(doubled.sum())
        given = dict[str, list[str]]()
        for name, item in events.loc[~doubled, ["impression", "item_id"]].itertuples(index=False):
            given.setdefault(name, []).append(item)
        facts = [_facts(table, given, clip, left_out) for table in _tables(folder, "impressions")]
    left_out["of lists that are not kept"] += sum(map(len, given.values()))
    lists = pd.concat(facts, ignore_index=True)
    lists["person"] = pd.factorize(lists["user"].fillna(lists["id"]))[0]
    pairs = {
        (champion, challenger or None): Pair(rows, SIDES if challenger else SIDES[:1])
        for (champion, challenger), rows in lists.groupby(["champion", lists["challenger"].fillna("")])
    }
    return Evaluation(pairs, kinds, +left_out, lists["time"], lists["user"].nunique())


def _tables(folder: Path, table: str) -> Iterator[pd.DataFrame]:
    """The files of a table, oldest first; at least one, without a row."""
    yield from (read_part(path).to_pandas() for path in parts(folder, table))
    if not parts(folder, table):
        yield SCHEMAS[table].empty_table().to_pandas()


def _facts(lists: pd.DataFrame, given: dict[str, list[str]], clip: float, left_out: Counter[str]) -> pd.DataFrame:
    """What `Pair.lists` has, of the lists of a file; feedback on them is taken out of `given`."""
    answered, winner = dict[str, set[str]](), dict[str, int]()
    for row in lists[lists["id"].isin([*given])].itertuples():
        team_of, items = dict(zip(row.items, row.teams, strict=True)), given.pop(row.id)
        valid = [item for item in items if item in team_of]
        left_out["on items that were not in the list"] += len(items) - len(valid)
        answered[row.id] = {*valid}
        winner[row.id] = next((team_of[item] for item in valid if team_of[item] != NO_TEAM), NO_TEAM)
    facts = lists[["champion", "challenger", "user", "id", "time"]].assign(
        answered=[bool(answered.get(name)) for name in lists["id"]],
        winner=[winner.get(name, NO_TEAM) for name in lists["id"]],
    )
    sampled = lists[(lists["explore"] > 0) & (lists["items"].str.len() > 0)]
    return facts.join(_weighed(sampled, answered, clip))


def _weighed(rows: pd.DataFrame, answered: Mapping[str, set[str]], clip: float) -> pd.DataFrame:
    """Length, and gain and weight of each side, of lists that may have been drawn at random."""
    length = rows["items"].str.len().to_numpy(np.int64)
    place = np.repeat(np.arange(len(rows)), length)
    lists = zip(rows["id"], rows["items"], strict=True)
    has = np.array([item in answered.get(name, ()) for name, items in lists for item in items])
    nothing = np.zeros(0)
    inverse = 1 / np.maximum(np.concatenate([nothing, *rows["propensities"]]), clip)
    columns = {"length": length}
    for side in SIDES:
        weight = np.concatenate([nothing, *rows[f"as_{side}"]]) * inverse
        columns[f"weight_{side}"] = np.bincount(place, weight, len(rows))
        columns[f"gain_{side}"] = np.bincount(place, weight * has, len(rows))
    return pd.DataFrame(columns, index=rows.index)
