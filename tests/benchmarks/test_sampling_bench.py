"""Samplers in equal time: one half of the validation users chooses, the other is reported, and fits are made once."""

import json
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sampling
from harness.planted import Planted
from sampling import PLANTED, SAMPLERS, Fits, Halves, markdown, measure, picture
from tiny_bench import two_halves

from bakeoff.experiments.training.runner import Epochs, Seconds
from bakeoff.params import Params


@dataclass(frozen=True)
class Drawn:
    """Stands in for an experiment, its trainer and its model, whose embeddings are drawn from seed and settings."""

    spec: Any
    settings: Any
    prepared: Any
    seed: int

    def queries(self, histories):
        return histories

    def trainer(self, queries):
        return self

    def retriever(self):
        return self

    def _embeddings(self, count):
        made_of = (self.seed, int(1000 * self.settings.learning_rate), len(self.settings.negatives.sampler))
        return np.random.default_rng(made_of).normal(size=(count, self.settings.dim)).astype(np.float32)

    @property
    def item_embeddings(self):
        return self._embeddings(self.prepared.num_items)

    def embed_queries(self, queries):
        return self._embeddings(len(queries))


def seconds_of(trainer, epochs):
    """Instead of training: an epoch takes 0.1 seconds, but for the first one."""
    return Epochs([], [Seconds(cpu, cpu) for cpu in [9.0, *[0.1] * (epochs - 1)]])


def test_every_sampler_is_a_setting_that_there_is():
    softmax = Params().softmax
    for values in SAMPLERS.values():
        for name in values:
            section, _, setting = name.partition(".")
            assert hasattr(getattr(softmax, section), setting)


def test_no_user_both_chooses_and_is_reported():
    halves = Halves.of(two_halves())
    chosen, reported = (set(each.users.tolist()) for each in (halves.choosing, halves.reported))
    assert len(chosen) == len(reported) == 10
    assert not chosen & reported


@pytest.fixture
def arguments(monkeypatch, tmp_path):
    prepared = two_halves()
    split = SimpleNamespace(workspace=None, params=Params(softmax={"hidden": (4,), "users_per_batch": 8}))
    monkeypatch.setattr(sampling, "make_split", lambda *_: split)
    monkeypatch.setattr(sampling, "load_prepared", lambda _: prepared)
    monkeypatch.setattr(sampling, "RATES", (0.003, 0.01))
    monkeypatch.setattr(sampling, "Experiment", Drawn)
    monkeypatch.setattr(sampling, "run_epochs", seconds_of)
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
    points = [(point["seconds"], point["epochs"], point["cpu"]) for point in full["points"]]
    assert points == [(0.001, 1, 9), (0.2, 2, 0.2)]  # one epoch at least
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
    first, users = fits.fit("full", 0.01, 1, 43)
    assert 0 < first["ndcg@20"] == users.mean()
    [figures] = tmp_path.glob("full-0.01-1-43.json")
    figures.unlink()
    again, _ = fits.fit("full", 0.01, 1, 43)
    assert again["epoch_cpu"] != first["epoch_cpu"] > 0
    assert again | {"epoch_cpu": 0} == first | {"epoch_cpu": 0}
    assert fits.fit("full", 0.01, 1, 43)[0] == again


SMALL = Planted(num_users=400, groups=12, size=20, asked=200, events=8)


def test_users_have_what_interests_them_and_nothing_twice():
    prepared = SMALL.prepared()
    assert prepared.num_items == 240
    assert prepared.train.lengths.tolist() == [8] * 400
    assert prepared.valid.lengths.tolist() == [1] * 200 + [0] * 200
    for user in range(200):
        had = [*prepared.train.items[8 * user : 8 * user + 8].tolist(), int(prepared.valid.items[user])]
        assert len(set(had)) == 9
        assert {item // 20 for item in had} <= set(SMALL.interesting[user].tolist())
    places = np.bincount(prepared.train.items % 20, minlength=20)
    assert places[:5].sum() > 2 * places[-5:].sum()


def test_the_planted_order_finds_more_where_preferences_are_strong():
    found = []
    for zipf in (-1.5, 0.0, 1.5):  # below 0, items that come last in the order are liked most
        planted = replace(SMALL, zipf=zipf)
        prepared = planted.prepared()
        found.append(planted.best_ndcg(prepared.train, prepared.valid, np.arange(200), 20))
    assert found[0] + 0.05 < found[1] < found[2] - 0.05


def test_on_planted_data_the_first_sampler_is_what_others_are_compared_with(arguments, monkeypatch):
    monkeypatch.setattr(sampling, "Planted", lambda: SMALL)
    monkeypatch.setattr(sampling, "RATES", (0.01,))
    arguments.benchmark, arguments.samplers, arguments.seconds = PLANTED, ["uniform", "popularity"], [0.001]
    page = json.loads(json.dumps(measure(arguments)))
    prepared = SMALL.prepared()
    reported = Halves.of(prepared).reported.users
    assert page["known"] == SMALL.best_ndcg(prepared.train, prepared.valid, reported, 20)
    assert page["samplers"][0]["points"][0]["difference"] == [0, 0, 0]
    text = markdown(page, "drawn.svg")
    assert "NDCG@20 less that of uniform" in text
    assert "Lists in the order of the planted preferences have NDCG@20" in text
    assert "drawn.svg" not in text  # one point is no curve
    assert page["command"].startswith("python benchmarks/sampling.py planted --seconds 0.001")
