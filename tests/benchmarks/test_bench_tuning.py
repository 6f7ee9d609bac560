"""Peers are tuned on validation: declared grids, epochs from one training, choices kept in a file."""

import json
from itertools import product

import pytest
import tiny_bench as tiny
from harness.datasets import BENCHMARKS
from harness.measuring import write_data
from harness.processes import SystemFailedError
from harness.systems import SYSTEMS
from harness.tuning import (
    GRIDS,
    LOOK_EVERY,
    SETTINGS,
    Outcome,
    at_edge,
    chosen_setting,
    grid_of,
    keep,
    tune,
    tuning_seconds,
)
from ruamel.yaml import YAML

PEERS = [system for system in SYSTEMS if system.tuned and not system.ours]


def search(system, settings, every, runner, tmp_path, say=lambda text: None):
    split = tiny.split(tmp_path)
    valid = write_data(split, tmp_path)["valid"]
    return tune(system, settings, every, valid, split.truth["valid"], "ndcg@10", runner, tmp_path / "t", say)


def test_the_setting_that_is_best_on_validation_is_chosen(runner, tmp_path):
    outcome = search(tiny.FAKE, [{"orders": [tiny.WORST]}, {"orders": [tiny.BEST]}], None, runner, tmp_path)
    assert outcome.setting == {"orders": [tiny.BEST]}
    assert outcome.valid["ndcg@10"] == 1
    assert outcome.tried == 2


def test_epochs_are_chosen_among_the_looks_of_one_training_the_earliest_of_equals(runner, tmp_path):
    setting = {"orders": [tiny.WORST, tiny.BEST, tiny.BEST, tiny.WORST], "epochs": 4}
    outcome = search(tiny.STEPWISE, [setting], 1, runner, tmp_path)
    assert outcome.setting["epochs"] == 2
    assert outcome.valid["ndcg@10"] == 1


def test_only_the_epochs_of_a_look_can_be_chosen(runner, tmp_path):
    setting = {"orders": [tiny.BEST, tiny.WORST, tiny.BEST, tiny.BEST], "epochs": 4}
    assert search(tiny.STEPWISE, [setting], 2, runner, tmp_path).setting["epochs"] == 4


def test_numbers_at_an_edge_of_several_tried_ones_are_named(runner, tmp_path):
    def tried(dim, epochs):
        orders = [tiny.WORST, tiny.BEST if (dim, epochs) == (2, 2) else tiny.WORST]
        return {"orders": orders[:epochs], "epochs": epochs, "dim": dim, "rate": 0.1, "normalised": True}

    edge = search(tiny.STEPWISE, [tried(1, 2), tried(2, 2)], 1, runner, tmp_path / "edge")
    assert edge.at_edge == ["epochs", "dim"]
    inside = search(tiny.STEPWISE, [tried(1, 2), tried(2, 2), tried(3, 2)], 1, runner, tmp_path / "inside")
    assert inside.at_edge == ["epochs"]
    keep(tiny.STEPWISE, "tiny", edge, tmp_path / "settings.yaml")
    assert at_edge(tiny.STEPWISE, "tiny", tmp_path / "settings.yaml") == ["epochs", "dim"]
    assert at_edge(tiny.FAKE, "tiny", tmp_path / "settings.yaml") == []


def test_a_setting_that_fails_does_not_end_the_search(runner, tmp_path):
    said = []
    outcome = search(tiny.FAKE, [{"raise": "boom"}, {"orders": [tiny.WORST]}], None, runner, tmp_path, said.append)
    assert outcome.failed == 1
    assert "boom" in said[0]


def test_a_search_in_which_all_fail_fails(runner, tmp_path):
    with pytest.raises(SystemFailedError, match="none of 1"):
        search(tiny.FAKE, [{"raise": "boom"}], None, runner, tmp_path)


def test_a_choice_is_kept_beside_earlier_ones_and_read_again(tmp_path):
    path = tmp_path / "settings.yaml"
    keep(tiny.FAKE, "tiny", Outcome({"dim": 3, "rate": 0.1}, {"ndcg@10": 0.12345}, 5, 0, 7.6), path)
    keep(tiny.STEPWISE, "tiny", Outcome({"epochs": 4}, {"ndcg@10": 0.2}, 2, 0, 1.0), path)
    assert chosen_setting(tiny.FAKE, "tiny", path) == {"dim": 3, "rate": 0.1}
    assert chosen_setting(tiny.FAKE, "other", path) is None
    kept = YAML(typ="safe").load(path.read_text())["tiny"]["fake"]
    assert {name: kept[name] for name in ("valid", "tried", "seconds")} == {
        "valid": {"ndcg@10": 0.1235},
        "tried": 5,
        "seconds": 8,
    }


def test_a_grid_is_every_combination_and_a_data_set_may_have_its_own(tmp_path):
    path = tmp_path / "grids.yaml"
    path.write_text(json.dumps({"s": {"default": {"a": [1, 2], "b": [3, 4], LOOK_EVERY: 5}, "tiny": {"a": [9]}}}))
    settings, every = grid_of("s", "anything", path)
    assert settings == [{"a": a, "b": b} for a, b in product([1, 2], [3, 4])]
    assert every == 5
    assert grid_of("s", "tiny", path) == ([{"a": 9}], None)


@pytest.mark.parametrize("system", PEERS, ids=lambda system: system.name)
def test_every_tuned_peer_has_a_grid_for_every_data_set(system):
    for benchmark in BENCHMARKS:
        settings, every = grid_of(system.name, benchmark)
        assert settings
        assert (every is not None) == system.stepwise
        if system.stepwise:
            assert all(setting["epochs"] >= every for setting in settings)


def test_seconds_of_tuning_are_those_of_the_same_data_and_settings():
    systems = {system.name: system for system in SYSTEMS}
    cut, at_random = BENCHMARKS["ml-100k-global"], BENCHMARKS["ml-100k-random"]
    assert tuning_seconds(systems["mf"], cut) == tuning_seconds(systems["softmax"], cut) == 890
    assert tuning_seconds(systems["mf"], at_random) is None
    assert tuning_seconds(systems["mf_order_blind"], cut) is None
    assert tuning_seconds(systems["recent_popularity"], cut) > 0


def test_every_kept_choice_lies_in_its_grid():
    kept = YAML(typ="safe").load(SETTINGS.read_text(encoding="utf-8")) or {}
    stepwise = {system.name for system in PEERS if system.stepwise}
    for benchmark, systems in kept.items():
        for name, choice in systems.items():
            settings, _ = grid_of(name, benchmark, GRIDS)
            free = {"epochs"} if name in stepwise else set()
            assert without(choice["setting"], free) in [without(setting, free) for setting in settings]


def without(setting, keys):
    return {key: value for key, value in setting.items() if key not in keys}
