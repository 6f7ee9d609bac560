"""The replay of nights: events up to each day, a warm fit next to the full one, and what the page says."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import warm_start
from tiny_bench import fifth_items, two_halves
from warm_start import NIGHTS, Replay, markdown, measure, night_split

from bakeoff.core.workspace import Workspace
from bakeoff.params import Params


def made(root):
    root.mkdir(exist_ok=True)
    return Workspace(root)


@pytest.fixture
def nights(monkeypatch, tmp_path):
    """Four measured nights of MF on a split that stays the same."""
    monkeypatch.setattr(warm_start, "load_prepared", lambda _: two_halves())
    monkeypatch.setattr(warm_start, "load_held_out", lambda *_: SimpleNamespace(test=fifth_items()))

    def one_split_for_all_seeds(replay, params, _, folder, day):
        assert params.seed == replay.seed
        return made(folder.parents[1] / f"{day:%d}")

    monkeypatch.setattr(warm_start, "night_split", one_split_for_all_seeds)
    values = Params(mf={"dim": 2, "max_epochs": 4}, warm_start={"margin": 1.0}).model_dump(mode="json")
    monkeypatch.setattr(warm_start, "settings_of", lambda *_: json.loads(json.dumps(values)))
    arguments = SimpleNamespace(scratch=tmp_path, data=None, epoch_share=0.25, refit_every=2, nights=3)
    replay = Replay(SimpleNamespace(name="halves", title="Two halves"), "2020-01-02", ("mf",))
    return replay, arguments, *measure(replay, "mf", arguments)


def test_each_night_starts_from_the_one_before_and_is_measured_once(nights, monkeypatch):
    replay, arguments, _, found = nights
    assert (arguments.scratch / "01/mf-42-full.json").exists()
    assert [night["day"] for night in found] == ["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-04"]
    assert "warm" not in found[0]
    for night in found[1:]:
        assert night["fit"] == "warm"
        mean, low, high = night["difference"]
        assert low <= mean <= high
        assert mean == pytest.approx(night["test_warm"] - night["test_full"])
        assert night["test_untrained"] == pytest.approx(night["test_full"])  # the split stays the same
    monkeypatch.setattr(warm_start, "full_fit", None)  # not called again
    assert measure(replay, "mf", arguments)[1] == found


def test_the_page_judges_the_goals_by_its_figures(nights):
    _, _, params, found = nights
    for night, difference in zip(found[1:], (0.001, -0.0021, 0.0), strict=True):
        night |= {"full_cpu": 10.0, "warm_cpu": 1.9, "difference": [difference, difference, difference]}
        night |= {"test_full": 0.3, "test_untrained": 0.29}
    replay = {"title": "Two halves", "model": "mf", "seed": 42, "by_seed": {}, "nights": found, "max_epochs": 4}
    replay["warm_start"] = params.warm_start.model_dump()
    text = markdown({"cores": 2, "replays": {"halves mf": replay}})
    assert "Only 3 of 7 nights were measured." in text
    assert "CPU ratio over the week 0.190: goal open." in text
    assert "at most 0.002 below on 2 of 3 nights, goal missed" in text
    assert "Untrained since the night before the week, the model differs from full fits by -0.0100 on average." in text
    assert f"| 0.3000 | {found[1]['full']:.4f} | 10.0 |" in text
    assert len([line for line in text.splitlines() if line.startswith("| 2020-01")]) == 4


@pytest.mark.parametrize(
    ("differences", "says"),
    [
        ([0.0, -0.1, -0.2, -0.3], "-0.10000 (95 %: -0.10000 to -0.10000); a loss from night to night is shown."),
        ([0.0, 0.1, 0.2, 0.3], "+0.10000 (95 %: +0.10000 to +0.10000); no loss from night to night is shown."),
        # Residuals .04, -.12, .12, -.04: a standard error of √(.016 / 5) = .0566, times 4.303 (t, two degrees).
        ([0.0, -0.2, 0.0, -0.2], "-0.04000 (95 %: -0.28339 to +0.20339); no loss from night to night is shown."),
        ([0.0, -0.1], "Too few nights to show a drift."),
        ([0.0, 0.0, 0.0], "The difference is the same on every night."),
    ],
)
def test_a_drift_is_a_slope_whose_interval_lies_below_0(differences, says):
    assert warm_start.drift(np.array(differences)).endswith(says)


def test_further_seeds_fit_in_full_on_the_first_and_last_night_and_the_page_says_what_they_have_in_common(nights):
    replay, arguments, params, found = nights
    _, again = measure(replay, "mf", arguments, 43)
    assert [("full" in night, "difference" in night) for night in again] == [
        (True, False),
        (True, True),
        (False, False),
        (True, True),
    ]
    ends = {"test_full": 0.3, "test_warm": 0.31}
    weeks = {
        "42": [
            found[1] | {"difference": [0.001]},
            found[-1] | ends | {"difference": [-0.001], "test_untrained": 0.309},
        ],
        "43": [
            again[1] | {"difference": [0.003]},
            again[-1] | ends | {"difference": [-0.003], "test_untrained": 0.307},
        ],
    }
    whole = {"title": "Two halves", "model": "mf", "seed": 42, "by_seed": weeks, "nights": found, "max_epochs": 4}
    text = markdown({"cores": 2, "replays": {"halves mf": whole | {"warm_start": params.warm_start.model_dump()}}})
    # Means, and 12.706 (t, one degree of freedom) times their standard errors of .001, .001 and .002.
    assert "With 2 seeds" in text
    assert "the difference is +0.0020 (-0.0107 to +0.0147) on the first night" in text
    assert "and -0.0020 (-0.0147 to +0.0107) on the last" in text
    assert "changes by -0.0040 (-0.0294 to +0.0214) in between" in text
    assert "differs from the untrained one by +0.0020 (-0.0107 to +0.0147)" in text
    assert "| 43 | +0.0030 | 0.3000 | 0.3100 | 0.3070 |" in text


def test_a_night_has_the_events_up_to_the_end_of_its_day(monkeypatch, tmp_path):
    whole = Workspace(tmp_path / "workspace")
    whole.validated.mkdir(parents=True)
    midnight = int(pd.Timestamp("2020-01-03", tz="UTC").timestamp())
    pd.DataFrame({"timestamp": midnight - np.array([86_401, 86_400, 1, 0])}).to_parquet(
        whole.validated / "interactions.parquet"
    )
    for name in ("users", "items"):
        pd.DataFrame({"id": [1, 2]}).to_parquet(whole.validated / f"{name}.parquet")
    monkeypatch.setattr(warm_start, "make_split", lambda *_: None)
    monkeypatch.setattr(warm_start.split, "run", lambda *_: None)
    replay = Replay(SimpleNamespace(name="any"), "2020-01-02", ("mf",))
    found = night_split(replay, Params(), None, tmp_path, pd.Timestamp("2020-01-02", tz="UTC"))
    assert len(pd.read_parquet(found.validated / "interactions.parquet")) == 3
    assert NIGHTS == 7
