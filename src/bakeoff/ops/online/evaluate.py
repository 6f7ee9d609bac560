"""From the log to figures: who wins interleaved lists, and what each model's own lists would have brought."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from bakeoff.core.errors import BakeoffError
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
        lists: a row per impression: number of the `person`, whether that `is_known` by id, how much feedback is `given`
            and how many of its items are `answered` by it, the `winner`, which is NO_TEAM where nobody won, the share
            `explore` of lists that are drawn at random, and of those with an item the `length` and, for each side,
            `gain` and `weight`.
        sides: those of its models.
    """

    lists: pd.DataFrame
    sides: Sequence[str]

    def figures(self, confidence: float) -> dict[str, Any]:
        """All of it, for JSON: `win_rate`, and `counterfactual`, which is empty where no list was drawn at random."""
        counts = {"lists": len(self.lists), "with_feedback": int((self.lists["answered"] > 0).sum())}
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
        rows = self.lists[(self.lists["explore"] > 0) & (self.lists["length"] > 0)]
        found, values = dict[str, dict[str, Any]](), dict[str, dict[str, Value]]()
        for side in self.sides:
            gain, weight = (rows[f"{figure}_{side}"].to_numpy() for figure in ("gain", "weight"))
            if weight.any():
                values[side] = {"ips": ips(gain), "snips": snips(gain, weight, rows[f"length_{side}"].to_numpy())}
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
    """Read a log, while servers write to it; of the items of its lists, those of a file at a time.

    Servers write a list before the feedback on it, so that feedback is read first. A file that is gone when its turn
    comes has expired, or held a person whom `bakeoff forget` removed.

    A list is decided by its first feedback on an item of a team: what is decided stays decided, whatever comes later.
    Somebody who is not known by id counts as another person with each list.

    Args:
        folder: of the log.
        event: kind of feedback that counts.
        clip: propensities below it count as it.

    Raises:
        BakeoffError: a file is damaged.
    """
    with duckdb.connect(config={"threads": 1}) as connection:
        events = pa.concat_tables(_tables(folder, "feedback")).to_pandas()
        chosen = events[events["event"] == event].sort_values("time", kind="stable")
        given = chosen.drop_duplicates(["impression", "item_id"])
        connection.register("given", given[["impression", "item_id"]].assign(rank=range(len(given))))
        counts = given["impression"].value_counts()
        lists = pd.concat([_of_lists(connection, each, counts, clip) for each in _tables(folder, "impressions")])
    lists["person"] = pd.factorize(lists["person"])[0]
    num_kept = int(lists["given"].sum())
    left_out = {
        "sent twice": len(chosen) - len(given),
        "on items that were not in the list": num_kept - int(lists["answered"].sum()),
        "of lists that are not kept": len(given) - num_kept,
    }
    pairs = {
        (champion, challenger or None): Pair(rows, SIDES if challenger else SIDES[:1])
        for (champion, challenger), rows in lists.groupby(["champion", lists["challenger"].fillna("")])
    }
    num_users = lists.loc[lists["is_known"], "person"].nunique()
    return Evaluation(pairs, Counter(events["event"]), +Counter(left_out), lists["time"], num_users)


def _tables(folder: Path, table: str) -> Iterator[pa.Table]:
    """One without a row, and the files of a table, oldest first."""
    yield SCHEMAS[table].empty_table()
    for path in parts(folder, table):
        try:
            found = read_part(path)
        except BakeoffError:
            if path.exists():
                raise
        else:
            yield found


_OF_LISTS = """
    WITH places AS (
        SELECT id, unnest(items) AS item, unnest(teams) AS team, 1 / greatest(unnest(propensities), $clip) AS inverse,
            unnest(as_champion)::INT * inverse AS champion, unnest(as_challenger)::INT * inverse AS challenger
        FROM impressions
    )
    SELECT id, count(*) AS length, count(rank) AS answered, arg_min(team, rank) FILTER (team <> $no_team) AS winner,
        count(champion) AS length_champion, count(challenger) AS length_challenger,
        coalesce(sum(champion), 0) AS weight_champion, coalesce(sum(challenger), 0) AS weight_challenger,
        coalesce(sum(champion) FILTER (rank IS NOT NULL), 0) AS gain_champion,
        coalesce(sum(challenger) FILTER (rank IS NOT NULL), 0) AS gain_challenger
    FROM places LEFT JOIN given ON id = impression AND item = item_id GROUP BY id
"""
"""Figures of each list with an item, from its places and the rank by time of the feedback that is given on them.

A model whose own list was shorter has no flags at the places beyond it: NULL there, and neither weight nor gain.
"""


def _of_lists(
    connection: duckdb.DuckDBPyConnection, impressions: pa.Table, counts: pd.Series, clip: float
) -> pd.DataFrame:
    """What `Pair.lists` has, of the lists of a file; of people, a hash, which is shorter than their ids.

    Args:
        connection: with the table `given`.
        impressions: of a file.
        counts: id of a list → how much feedback is given on it.
        clip: see `evaluate`.
    """
    found = connection.register("impressions", impressions).execute(_OF_LISTS, {"clip": clip, "no_team": NO_TEAM}).df()
    lists = impressions.select(["champion", "challenger", "user", "id", "time", "explore"]).to_pandas()
    lists["is_known"], lists["given"] = lists["user"].notna(), lists["id"].map(counts).fillna(0).astype(np.int64)
    lists["person"] = pd.util.hash_array(lists["user"].fillna(lists["id"]).to_numpy(object))
    merged = lists.merge(found, "left", "id").drop(columns=["user", "id"])
    return merged.fillna({"answered": 0, "winner": NO_TEAM})
