"""The page about new items in a running server: a real command and a real server on a small catalogue."""

import json

import catalogue_add
import pytest

from bakeoff.core.errors import BakeoffError


def test_a_running_server_ranks_what_the_command_adds(monkeypatch):
    monkeypatch.setattr(catalogue_add, "USERS", 100)
    monkeypatch.setattr(catalogue_add, "EVENTS", 3_000)
    monkeypatch.setattr(catalogue_add, "ROUNDS", 1)
    monkeypatch.setattr(catalogue_add, "MANY", 3)
    rows = json.loads(json.dumps(catalogue_add.measure(600, ["mf"])))
    assert [(row["items"], row["model"], row["added"], len(row["rounds"])) for row in rows] == [
        (600, "mf", 1, 1),
        (600, "mf", 3, 1),
    ]
    assert all(0 < found["ranked"] < found["command"] for row in rows for found in row["rounds"])


def test_an_item_that_the_server_does_not_take_up_is_an_error(monkeypatch, tmp_path):
    """The command fails in a directory that is no workspace; the server would never know of the item."""

    class Answer:
        def json(self):
            return {"added_items": 0}

    monkeypatch.setattr(catalogue_add.httpx, "get", lambda _: Answer())
    with pytest.raises(BakeoffError, match=r"mf did not take up .*new\.csv: .*params\.yaml"):
        catalogue_add.added(catalogue_add.Workspace(tmp_path), "http://127.0.0.1:1", "mf", ["n"])


def test_the_page_counts_what_came_late():
    rounds = [{"command": 3.0, "ranked": 0.2}, {"command": 4.0, "ranked": 0.25}, {"command": 5.0, "ranked": 1.5}]
    row = {"items": 4_000, "model": "mf", "added": 1, "rounds": rounds}
    page = {"command": "python x", "cores": 2, "users": 5_000, "dim": 32, "rows": [row]}
    text = catalogue_add.markdown(page)
    assert "In 2 of 3 additions the server ranked the items within 1 s" in text
    assert "| 4,000 | mf | 1 | 4.0 | 0.25 | 1.50 |" in text
