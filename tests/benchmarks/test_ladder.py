"""The information ladder: what a rung forbids, which events are later, and what the page says."""

import json
from types import SimpleNamespace

import ladder
import numpy as np
import pytest
from harness.datasets import BENCHMARKS
from ladder import MODELS, RUNGS, beyond_a_day, climb, markdown, results_of, score
from tiny_bench import two_halves

from bakeoff.core.histories import Histories
from bakeoff.experiments.training.runner import Experiment
from bakeoff.models.base.specs import spec
from bakeoff.params import Params

DAY = 86_400


def test_each_rung_forbids_settings_that_there_are_and_no_more_than_the_one_before():
    params = Params()
    for forbidden in RUNGS.values():
        for name in forbidden:
            model, _, setting = name.partition(".")
            assert model in MODELS
            assert hasattr(params.section(model), setting)
    sizes = [len(forbidden) for forbidden in RUNGS.values()]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 0


def test_later_events_come_more_than_a_day_after_the_last_known_one():
    known = Histories.from_rows(np.array([0, 0, 1]), np.array([0, 1, 2]), np.array([5, 10, 20]), 3)
    rows, items = np.array([0, 0, 1, 2]), np.array([3, 4, 3, 3])
    truth = Histories.from_rows(rows, items, np.array([10 + DAY, 11 + DAY, 20 + 9 * DAY, 9 * DAY]), 3)
    later = beyond_a_day(known, truth)
    assert later.rows.tolist() == [0, 1]  # user 2 has no known event, so that no time has passed since
    assert later.items.tolist() == [4, 3]


@pytest.fixture
def split(monkeypatch: pytest.MonkeyPatch, tmp_path):
    """Twenty users of two halves of a catalogue; each is to find a fifth item of a half, days later."""
    made, users = two_halves(), np.arange(20)
    test = Histories.from_rows(users, (users // 2 + 4) % 5 + 5 * (users % 2), np.full(20, 10 * DAY), 20)
    monkeypatch.setattr(ladder, "load_prepared", lambda _: made)
    monkeypatch.setattr("bakeoff.experiments.tuning.tune.load_prepared", lambda _: made)
    monkeypatch.setattr(ladder, "MODELS", {"mf": "MF", "ease": "EASE"})
    params = Params(mf={"dim": 2, "max_epochs": 2})
    return SimpleNamespace(workspace=None, params=params, truth={"test": test}, prepared=made)


def test_each_model_is_tuned_on_every_rung_that_gives_it_something(split, tmp_path):
    mf = Experiment(spec("mf"), split.params.mf, split.prepared, seed=0)
    score(mf, split.truth["test"], split.truth["test"])  # what is compiled first takes longer than the search may
    cells = list(climb(split, tmp_path, 0.5, range(2)))
    rungs = [(cell.model, cell.rung) for cell in cells]
    climbed = ["ids", "+ order in the query", "+ order in training"]
    assert rungs == [(model, rung) for rung in climbed for model in ("mf", "ease")]  # neither can read features
    assert "recency_scale" not in cells[0].setting
    assert "window" not in cells[2].setting
    assert {"recency_scale", "window"} <= set(cells[4].setting)
    assert [len(cell.seeds) for cell in cells] == [2, 1] * 3  # EASE draws nothing
    assert all(np.array_equal(cell.users, cell.later) for cell in cells)  # every test event comes days later
    found = json.loads(json.dumps(results_of(BENCHMARKS["ml-100k"], cells, "python benchmarks/ladder.py ml-100k")))
    page = markdown(found)  # from its JSON alone
    assert page.count("| EASE | + order") == 2 * 2  # what it adds, and its settings
    figures = found["cells"][0]
    assert figures["test"][1] <= figures["test"][0] <= figures["test"][2]
    assert figures["system"] == "mf"
