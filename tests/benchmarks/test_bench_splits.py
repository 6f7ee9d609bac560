"""Splits are made by the project's own stages; ours are trained by them too."""

import numpy as np
import pyarrow as pa
import pytest
from harness import datasets, ours
from harness.datasets import BENCHMARKS, DEFAULT, core_of, make_split, present, settings_of, with_overrides
from tiny_bench import two_halves

from bakeoff.core.errors import BakeoffError
from bakeoff.experiments.training.runner import Experiment
from bakeoff.models.base.specs import spec
from bakeoff.params import Params, parse_params


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Tiny files in the published format: 30 users, 12 items, two tastes."""
    raw = tmp_path_factory.mktemp("raw")
    (raw / "gowalla").mkdir()
    lines = {"train": [], "test": []}
    for user in range(30):
        taste = [str(6 * (user % 2) + (user // 2 + j) % 6) for j in range(6)]
        lines["train"].append(" ".join([str(user), *taste[:5]]))
        lines["test"].append(" ".join([str(user), *taste[5:]]))
    for part, rows in lines.items():
        (raw / f"gowalla/{part}.txt").write_text("\n".join(rows) + "\n")
    return raw


@pytest.fixture(scope="module")
def gowalla(raw, tmp_path_factory):
    return make_split(BENCHMARKS["gowalla"], raw, tmp_path_factory.mktemp("scratch"))


def test_a_split_is_kept_until_its_code_changes(raw, gowalla, monkeypatch):
    scratch, made = gowalla.workspace.root.parent, []
    monkeypatch.setattr(datasets.split, "run", lambda *_: made.append("split"))
    make_split(BENCHMARKS["gowalla"], raw, scratch)
    assert made == []
    monkeypatch.setattr(datasets, "code_hash", lambda _: "another")
    make_split(BENCHMARKS["gowalla"], raw, scratch)
    assert made == ["split"]


def test_systems_are_given_train_for_validation_and_both_for_test_and_never_what_is_asked(gowalla):
    valid, test = gowalla.data["valid"], gowalla.data["test"]
    assert len(valid.items) == gowalla.facts["train"]
    assert len(test.items) == gowalla.facts["train"] + gowalla.facts["valid"] == 150
    for phase, data in gowalla.data.items():
        had = set(zip(data.users.tolist(), data.items.tolist(), strict=True))
        truth = gowalla.truth[phase]
        assert not had & set(zip(truth.rows.tolist(), truth.items.tolist(), strict=True))
        assert data.rows.tolist() == np.flatnonzero(truth.lengths).tolist()


def test_data_without_times_says_so(gowalla):
    assert not gowalla.data["test"].has_times
    assert gowalla.facts["days"] is None


def test_what_was_saved_is_read_again(gowalla, tmp_path):
    data = gowalla.data["test"]
    data.save(tmp_path / "data.npz")
    again = type(data).load(tmp_path / "data.npz")
    assert again.num_items == 12
    assert all(np.array_equal(getattr(again, name), value) for name, value in vars(data).items())


def test_ours_choose_the_epoch_on_validation_and_are_refitted_for_as_many(gowalla):
    values = with_overrides(gowalla.params.model_dump(mode="json"), {"mf": {"dim": 4, "max_epochs": 3}})
    setting = {"workspace": str(gowalla.workspace.root), "model": "mf", "params": values}
    task = ours.prepare(gowalla.data["test"], setting)
    chosen = ours.select(task, setting, 1, 1)
    assert 1 <= chosen["epochs"] <= chosen["of"] == 3
    [scorer] = ours.train(task, {**setting, "epochs": chosen["epochs"]}, 1, 1)
    scores = scorer(gowalla.data["test"].rows)
    assert scores.shape == (30, 12)
    own = np.arange(12) // 6 == np.arange(30)[:, np.newaxis] % 2
    assert scores[own].mean() > scores[~own].mean()


def test_ours_are_asked_at_the_time_that_they_are_told():
    section = Params().softmax.model_copy(update={"dim": 4, "hidden": (4,), "max_epochs": 1, "use_query_time": True})
    task = Experiment(spec("softmax"), section, two_halves(), 1)
    scores = {}
    for name, asked in (("never", {}), ("soon", {"asked": 10}), ("late", {"asked": 90 * 86_400})):
        [scorer] = ours.train(task, {"epochs": 1, **asked}, 1, 1)
        scores[name] = scorer(np.arange(5, 15))
    assert len({found.tobytes() for found in scores.values()}) == 3


def test_without_its_folder_a_data_set_that_is_not_fetched_is_refused(tmp_path):
    with pytest.raises(BakeoffError, match="--data DIR"):
        make_split(BENCHMARKS["gowalla"], None, tmp_path)


def test_a_folder_that_is_not_as_published_is_refused(tmp_path):
    (tmp_path / "ml-100k").mkdir()
    with pytest.raises(BakeoffError, match="not MovieLens 100K as published"):
        make_split(BENCHMARKS["ml-100k"], tmp_path, tmp_path / "scratch")


def test_data_sets_that_are_present_join_the_default_ones(tmp_path):
    assert present(None) == list(DEFAULT)
    (tmp_path / "gowalla").mkdir()
    assert present(tmp_path) == [*DEFAULT, "gowalla"]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_settings_of_every_data_set_are_valid_and_hold_nobody_out(name):
    params = parse_params(settings_of(BENCHMARKS[name]), name)
    assert params.split.new_user_share == 0


def test_overrides_reach_into_sections_and_an_empty_section_replaces():
    assert with_overrides({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 5}}) == {"a": {"b": 5, "c": 2}, "d": 3}
    assert with_overrides({"a": {"b": 1}}, {"a": {}}) == {"a": {}}


def test_a_core_is_what_is_left_once_rare_users_and_items_and_those_that_miss_them_are_gone():
    # Without item z, user c has one event left, and without c so has item y.
    pairs = [("a", "w"), ("a", "x"), ("b", "w"), ("b", "x"), ("c", "y"), ("c", "z"), ("a", "y")]
    users, items = (pa.array(ids) for ids in zip(*pairs, strict=True))
    tables = {
        "interactions": pa.table({"user_id": users, "item_id": items}),
        "users": pa.table({"user_id": ["c", "b", "a"]}),
        "items": pa.table({"item_id": ["w", "x", "y", "z"]}),
    }
    left = core_of(tables, 2)
    assert left["interactions"].to_pylist() == tables["interactions"].slice(0, 4).to_pylist()
    assert left["users"]["user_id"].to_pylist() == ["b", "a"]
    assert left["items"]["item_id"].to_pylist() == ["w", "x"]
