"""Samplers in equal time: one half of the validation users chooses, the other is reported, and fits are made once."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import sampling
from sampling import SAMPLERS, Fits, Halves, markdown, measure, measure_sampler, picture
from tiny_bench import two_halves

from bakeoff.params import Params


def test_every_sampler_is_a_setting_that_there_is():
    softmax = Params().softmax
    for values in SAMPLERS.values():
        for name in values:
            section, _, setting = name.partition(".")
            assert hasattr(getattr(softmax, section), setting)


def test_no_user_both_chooses_and_is_reported():
    halves = Halves.of(two_halves())
    chosen, reported = (set(each.truth.items.tolist()) for each in (halves.choosing, halves.reported))
    assert len(halves.choosing.truth) == len(halves.reported.truth) == 10
    assert chosen
    assert reported


@pytest.fixture
def arguments(monkeypatch, tmp_path):
    prepared = two_halves()
    split = SimpleNamespace(workspace=None, params=Params(softmax={"hidden": (4,), "users_per_batch": 8}))
    monkeypatch.setattr(sampling, "make_split", lambda *_: split)
    monkeypatch.setattr(sampling, "load_prepared", lambda _: prepared)
    monkeypatch.setattr(sampling, "RATES", (0.003, 0.01))
    return SimpleNamespace(
        benchmark="gowalla",
        data=None,
        dim=4,
        seconds=[0.2, 0.001],
        seeds=2,
        samplers=["full", "in-batch, uncorrected"],
        scratch=tmp_path,
    )


def test_the_page_has_each_sampler_in_each_time_with_its_difference_from_the_full_softmax(arguments, monkeypatch):
    page = json.loads(json.dumps(measure(arguments)))
    assert [row["name"] for row in page["samplers"]] == arguments.samplers
    full, sampled = page["samplers"]
    assert [point["seconds"] for point in full["points"]] == [0.001, 0.2]
    assert full["points"][0]["epochs"] == 1  # one at least
    assert all(point["difference"] == [0, 0, 0] for point in full["points"])
    for point in sampled["points"]:
        mean, low, high = point["difference"]
        assert low <= mean <= high
        assert len(point["ndcg@20"]) == 2
        assert point["interval"][0] == pytest.approx(np.mean(point["ndcg@20"]))
    assert sampled["rate"] in (0.003, 0.01)
    assert sampled["tried"][f"{sampled['rate']:g}"] == max(sampled["tried"].values())
    text = markdown(page, "drawn.svg")
    assert "## 0.001 CPU seconds" in text
    assert "![NDCG@20 by CPU seconds](drawn.svg)" in text
    assert len([line for line in text.splitlines() if line.startswith("| in-batch, uncorrected |")]) == 2
    assert picture(page).startswith("<svg")
    monkeypatch.setattr(sampling, "run_epochs", None)  # not called again
    assert json.loads(json.dumps(measure(arguments))) == page


def test_a_fit_that_was_cut_off_is_made_again_and_others_are_not(tmp_path):
    prepared = two_halves()
    section = Params(softmax={"hidden": (4,), "users_per_batch": 8, "dim": 4}).softmax
    fits = Fits(prepared, section, Halves.of(prepared), tmp_path)
    first = measure_sampler("full", fits, [0.001], range(43, 44))
    [figures] = tmp_path.glob(f"full-{first['rate']:g}-1-43.json")
    before = figures.read_bytes()
    figures.unlink()
    again = measure_sampler("full", fits, [0.001], range(43, 44))
    assert again["points"][0]["ndcg@20"] == first["points"][0]["ndcg@20"]
    assert json.loads(figures.read_bytes())["ndcg@20"] == json.loads(before)["ndcg@20"]
