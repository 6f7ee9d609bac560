"""A log as `bakeoff serve --log` writes it, of rows that a test makes."""

import os
from datetime import UTC, datetime, timedelta

from bakeoff.ops.online.log import LogWriter, parts

CHAMPION, CHALLENGER = "softmax@v1.0.0+aaaaaaaa", "mf@workspace+bbbbbbbb"
START = datetime(2026, 3, 1, tzinfo=UTC)


def writer(folder, days=10_000):
    """One that writes when it is closed, or when it is told to."""
    return LogWriter(folder, days, seconds=600)


def impression(log, user=None, items=("a", "b"), **columns):
    """A list of two items, the first of the champion's team; its id."""
    identity = columns.pop("id", None) or log.pseudonyms.new_impression()
    log.add(
        "impressions",
        {
            "id": identity,
            "time": START,
            "user": user and log.pseudonyms.user(user),
            "champion": CHAMPION,
            "challenger": CHALLENGER,
            "items": items,
            "scores": [1.0] * len(items),
            "propensities": [1.0] * len(items),
            "teams": [1, 2],
            "as_champion": [True] * len(items),
            "as_challenger": [False] * len(items),
            "explore": 0.0,
        }
        | columns,
    )
    return identity


def feedback(log, identity, item="a", event="click", after=1):
    row = {"impression": identity, "item_id": item, "event": event, "time": START + timedelta(seconds=after)}
    log.add("feedback", row)


def interleaved(folder, wins, losses):
    """A log in which the challenger wins and loses so often, each time with another person."""
    log = writer(folder)
    for number in range(wins + losses):
        identity = impression(log, f"u{number}")
        feedback(log, identity, "b" if number < wins else "a", after=number)
    log.close()


def damaged(folder):
    """A log whose file of impressions was cut off; that file."""
    interleaved(folder, 1, 0)
    [path] = parts(folder, "impressions")
    os.truncate(path, 100)
    return path
