import hashlib
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import small_split

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_prepared
from bakeoff.experiments.training.runner import Seconds, TrainedModel
from bakeoff.experiments.variants import measure, protocol
from bakeoff.experiments.variants.protocol import draw_new_items
from bakeoff.params import Params
from bakeoff.stages import variants

STEPS = -(-len(small_split.WARM) // small_split.PARAMS.softmax.users_per_batch)
"""Batches of an epoch."""

NUM_WARM, NUM_NEW, NUM_ITEMS = len(small_split.WARM), len(small_split.NEW), len(small_split.ITEMS)


class Model:
    """Item j scores j for everyone, and whoever has no history gets a fallback."""

    item_embeddings = np.arange(NUM_ITEMS, dtype=np.float32)[:, np.newaxis]

    def embed_queries(self, queries):
        return np.ones((len(queries), 1), np.float32)

    def uses_fallback(self, queries):
        return queries.histories.lengths == 0


class Masking:
    """A trainer whose mask of own items caught 14 candidates."""

    masked = np.array([14, 100])


class Trained:
    """Stands in for a training; with some seeds the lists of its model are upside down."""

    def __init__(self, upside_down=lambda seed: False):
        self.upside_down = upside_down

    def __call__(self, experiment):
        model = Model()
        if self.upside_down(experiment.seed):
            model.item_embeddings = -Model.item_embeddings
        trainer = Masking() if experiment.spec.name == "softmax" else None
        return TrainedModel(model, 1, 10, 3.0, [Seconds(1.0, 1.0)] * 2, trainer=trainer)


@pytest.fixture
def trainings(monkeypatch):
    """Nothing is trained; what would have been: (model, settings, prepared) of each variant."""
    asked = []

    def train(trained):
        asked.append((trained.spec.name, trained.settings, trained.prepared))
        trainer = Masking() if trained.spec.name == "softmax" else None
        return TrainedModel(Model(), len(asked), 10, 3.0, [Seconds(1.0, 1.0)] * 2, trainer=trainer)

    monkeypatch.setattr(measure, "train_variant", train)
    return asked


def with_params(**sections):
    values = small_split.PARAMS.model_dump()
    for section, changed in sections.items():
        values[section] |= changed
    return Params.model_validate(values)


def read(workspace, group):
    return json.loads((workspace.variants(group) / "variants.json").read_text(encoding="utf-8"))


def ranks(workspace, candidates=small_split.ITEMS):
    """By user, the place of the test item among the candidates that are not known before test, highest j first."""
    parts = [pd.read_parquet(workspace.split / f"{part}.parquet") for part in ("train", "valid")]
    known = pd.concat(parts).groupby("user_id")["item_id"].agg(set)
    test = pd.read_parquet(workspace.split / "test.parquet")
    test = test[test["item_id"].isin(candidates)].set_index("user_id")["item_id"]
    left = {user: [item for item in candidates[::-1] if item not in known[user]] for user in test.index}
    return {user: 1 + left[user].index(item) for user, item in test.items()}


def test_a_group_that_does_not_exist_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(BakeoffError, match="features, new-items, folding, depth, sampling"):
        variants.run(small_split.PARAMS, Workspace(tmp_path), "width")
    assert list(tmp_path.iterdir()) == []


def test_settings_of_the_variants_reach_training(workspace, trainings):
    variants.run(small_split.PARAMS, workspace, "features")
    assert [model for model, _, _ in trainings] == [*["softmax"] * 3, "popularity", "ease"]
    used = [(settings.use_user_features, settings.use_item_features) for _, settings, _ in trainings[:3]]
    assert used == [(True, True), (False, True), (True, False)]
    assert [settings.max_epochs for _, settings, _ in trainings[:3]] == [small_split.PARAMS.softmax.max_epochs] * 3


def test_a_sample_of_users_is_trained_on_and_asked_about_where_there_are_more_than_the_bound(workspace, trainings):
    params = with_params(evidence={"max_users": 4})
    variants.run(params, workspace, "features")
    assert f"4 of {NUM_WARM + NUM_NEW} users" in read(workspace, "features")["sentence"]
    assert [len(prepared.users) for _, _, prepared in trainings] == [4] * 5
    ids = set(trainings[0][2].users["user_id"].to_pylist())
    assert set(pd.read_parquet(workspace.variants("features") / "users.parquet")["user_id"]) <= ids


def test_an_entry_says_what_was_changed_and_what_came_of_it(workspace, trainings):
    variants.run(small_split.PARAMS, workspace, "features")
    found = read(workspace, "features")
    assert found["group"] == "features"
    assert found["sentence"].startswith("The softmax DNN with and without the features")
    base, changed, *_ = found["variants"]
    assert (base["base"], base["settings"], changed["base"]) == (True, {}, False)
    assert changed["settings"] == {"softmax.use_user_features": False}
    assert (changed["name"], changed["label"]) == ("without-user-features", "without user features")
    assert (changed["selected_epoch"], changed["num_parameters"]) == (2, 10)
    # 14 candidates caught in two epochs, in each of which 14 users are seen once
    assert (changed["false_negatives_per_query"], changed["false_negatives_per_batch"]) == (0.5, 14 / (2 * STEPS))
    assert changed["folding"] is None
    assert {"ndcg@10", "recall@2", "popularity_lift@10", "coverage@10", "gini@10", "long_tail_share@10"} < set(
        changed["metrics"]
    )


def test_figures_are_means_over_users_who_were_asked_about_test(workspace, trainings):
    variants.run(small_split.PARAMS, workspace, "features")
    users = pd.read_parquet(workspace.variants("features") / "users.parquet")
    assert users.columns[:3].tolist() == ["variant", "user_id", "num_test"]
    assert len(users) == 5 * NUM_WARM
    assert users["num_test"].tolist() == [1] * len(users)
    expected = {user: 1 / rank for user, rank in ranks(workspace).items()}
    of_base = users[users["variant"] == "shipped"].set_index("user_id")["mrr@10"]
    assert of_base.to_dict() == pytest.approx(expected)
    assert read(workspace, "features")["variants"][0]["metrics"]["mrr@10"] == pytest.approx(of_base.mean())


def test_new_users_are_asked_about_with_their_first_events(workspace, trainings):
    variants.run(small_split.PARAMS, workspace, "features")
    users = pd.read_parquet(workspace.variants("features") / "new_users.parquet")
    assert users.columns[:5].tolist() == ["variant", "first_interactions", "user_id", "fallback", "num_test"]
    assert len(users) == 5 * 3 * NUM_NEW
    assert users.groupby("first_interactions")["fallback"].mean().to_dict() == {"0": 1.0, "1": 0.0, "all": 0.0}
    # Whatever the model is told, all earlier events are left out of the list: the model says the same each time.
    of_base = read(workspace, "features")["variants"][0]["new_users"]
    assert set(of_base) == {"0", "1", "all"}
    assert of_base["0"]["ndcg@10"] == of_base["all"]["ndcg@10"] > 0


def test_other_groups_say_nothing_of_new_users(workspace, trainings):
    variants.run(with_params(evidence={"depths": (0, 2), "widths": (4, 8)}), workspace, "depth")
    assert [settings.hidden for _, settings, _ in trainings[:4]] == [(4,), (), (4, 4), (8, 8)]
    folder = workspace.variants("depth")
    users, new_users = (pd.read_parquet(folder / f"{name}.parquet") for name in ("users", "new_users"))
    assert len(new_users) == 0
    assert new_users.columns.tolist() == [
        "variant",
        "first_interactions",
        "user_id",
        "fallback",
        *users.columns[2:],
    ]
    assert [each["new_users"] for each in read(workspace, "depth")["variants"]] == [{}] * 6


def test_folding_is_measured_where_it_is_the_question(workspace, trainings):
    variants.run(with_params(evidence={"unobserved_weights": (0.0,)}), workspace, "folding")
    of_mf = [settings.unobserved_weight for model, settings, _ in trainings if model == "mf"]
    assert of_mf == [0.0, small_split.PARAMS.mf.unobserved_weight]
    for each in read(workspace, "folding")["variants"]:
        assert set(each["folding"]) == {"folding", "spurious@10"}
        assert 0 <= each["folding"]["folding"] <= 1


@pytest.fixture
def asked_new(workspace, trainings):
    """The group of new items; which items are new."""
    variants.run(with_params(evidence={"new_item_share": 0.4}), workspace, "new-items")
    new = draw_new_items(load_prepared(workspace), 0.4, small_split.PARAMS.seed)
    assert len(new) > 1
    return new


def test_new_items_have_no_event_in_what_models_see(workspace, trainings, asked_new):
    assert [model for model, _, _ in trainings] == ["softmax", "popularity", "ease", "mf", "softmax", "two_tower"]
    for _, _, seen in trainings:
        assert not np.isin(seen.known().items, asked_new).any()
        assert seen.known().item_counts(seen.num_items)[asked_new].sum() == 0
        assert len(seen.known().items) > 0


def test_new_items_are_asked_for_in_test_and_nothing_else_is(workspace, trainings, asked_new):
    test = pd.read_parquet(workspace.split / "test.parquet")
    names = {small_split.ITEMS[item] for item in asked_new}
    truth = test[test["item_id"].isin(names)]
    found = read(workspace, "new-items")
    assert found["new_items"] == {"items": len(names), "events": len(truth), "users": truth["user_id"].nunique()}
    users = pd.read_parquet(workspace.variants("new-items") / "users.parquet")
    assert set(users["user_id"]) == set(truth["user_id"])
    assert set(users["num_test"]) == {1}


def test_new_items_that_a_user_met_before_test_are_not_in_the_lists(workspace, trainings, asked_new):
    users = pd.read_parquet(workspace.variants("new-items") / "users.parquet")
    of_one = users[users["variant"] == "mf-shipped"].set_index("user_id")["mrr@10"].to_dict()
    expected = ranks(workspace)
    assert of_one == pytest.approx({user: 1 / expected[user] for user in of_one})


def test_among_new_items_the_old_ones_do_not_compete(workspace, trainings, asked_new):
    expected = ranks(workspace, [small_split.ITEMS[item] for item in asked_new])
    assert max(expected.values()) <= len(asked_new)
    entry = read(workspace, "new-items")["variants"][0]
    assert entry["among_new"]["mrr@10"] == pytest.approx(np.mean([1 / rank for rank in expected.values()]))
    assert entry["among_new"]["mrr@10"] > entry["metrics"]["mrr@10"]
    users = pd.read_parquet(workspace.variants("new-items") / "users.parquet")
    of_one = users[users["variant"] == entry["name"]]["among_new_mrr@10"]
    assert sorted(of_one) == pytest.approx(sorted(1 / rank for rank in expected.values()))


def test_models_that_the_data_does_not_allow_are_left_out_with_the_reason(workspace, trainings):
    params = with_params(evidence={"new_item_share": 0.4}, ease={"max_items": 3})
    variants.run(params, workspace, "new-items")
    assert list(read(workspace, "new-items")["left_out"]) == ["ease"]
    assert "ease" not in [model for model, _, _ in trainings]


def test_a_group_with_nothing_to_compare_says_why_and_trains_nothing(workspace, trainings, capsys):
    variants.run(with_params(evidence={"depths": (1,), "widths": (4,)}), workspace, "depth")
    found = read(workspace, "depth")
    assert set(found) == {"group", "skipped"}
    assert [path.name for path in workspace.variants("depth").iterdir()] == ["variants.json"]
    assert trainings == []
    assert json.loads(workspace.cost("variants/depth").read_text(encoding="utf-8"))["variants"] == {}
    assert capsys.readouterr().out == f"depth is skipped: {found['skipped']}\n"


def test_without_events_on_new_items_the_group_is_skipped(workspace, trainings):
    test = pd.read_parquet(workspace.split / "test.parquet")
    never_met = len(small_split.ITEMS) - 1  # and so not drawn
    test.assign(item_id=small_split.ITEMS[-1], item_index=never_met).to_parquet(workspace.split / "test.parquet")
    variants.run(small_split.PARAMS, workspace, "new-items")
    assert "No test event is on an item" in read(workspace, "new-items")["skipped"]


def test_without_test_items_the_stage_says_what_to_change(workspace, trainings):
    test = pd.read_parquet(workspace.split / "test.parquet")
    test[:0].to_parquet(workspace.split / "test.parquet")
    with pytest.raises(BakeoffError, match=r"raise split\.test_share"):
        variants.run(small_split.PARAMS, workspace, "folding")
    assert not workspace.variants("folding").exists()


def test_measured_costs_lie_in_the_cost_file(workspace, trainings):
    variants.run(small_split.PARAMS, workspace, "features")
    cost = json.loads(workspace.cost("variants/features").read_text(encoding="utf-8"))
    assert {"wall_seconds", "cpu_seconds", "peak_memory_bytes", "variants"} == set(cost)
    assert list(cost["variants"])[:3] == ["shipped", "without-user-features", "without-item-features"]
    of_base = cost["variants"]["shipped"]
    assert of_base == {
        "training_seconds": 3.0,
        "seconds_per_epoch": 1.0,
        "seconds_per_step": 1.0 / STEPS,
        "epoch_cpu_seconds": 1.0,
        "epoch_cpu_seconds_low": 1.0,
        "epoch_cpu_seconds_high": 1.0,
    }
    assert "seconds" not in (workspace.variants("features") / "variants.json").read_text(encoding="utf-8")


def test_a_line_is_printed_of_each_variant(workspace, trainings, capsys):
    variants.run(with_params(evidence={"depths": (0, 1), "widths": (4,)}), workspace, "depth")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "depth: 4 variants"
    assert lines[1].startswith("  softmax: no hidden layer  ndcg@2 0.")
    assert lines[2].startswith("  softmax: 1 × 4 (base)     ndcg@2 0.")
    assert lines[2].endswith(" s")


@pytest.fixture
def studied(workspace, trainings):
    """The study, which must do without the test part."""
    (workspace.split / "test.parquet").unlink()
    (workspace.split / "new_users.parquet").unlink()
    variants.run(small_split.PARAMS, workspace, "sampling")
    return json.loads((workspace.study / "sampling.json").read_text(encoding="utf-8"))


def test_the_study_is_judged_on_validation_and_lies_apart(workspace, trainings, studied):
    assert len(studied["variants"]) == 22
    assert len(trainings) == 5 * 22  # a training per seed
    assert [each["model"] for each in studied["variants"]] == ["softmax"] * 19 + ["mf", "ease", "popularity"]
    assert sorted(path.name for path in workspace.study.iterdir()) == ["sampling.json", "sampling_cost.json"]
    assert not workspace.variants("sampling").exists()
    assert not workspace.cost("variants/sampling").exists()
    cost = json.loads((workspace.study / "sampling_cost.json").read_text(encoding="utf-8"))
    assert list(cost["variants"]) == [each["name"] for each in studied["variants"]]


def test_the_study_has_intervals_in_place_of_tables_per_user(studied):
    [base] = [each for each in studied["variants"] if each["base"] and each["model"] == "softmax"]
    assert base["name"] == "in-batch-corrected"
    assert base["metric"] == "ndcg@10"
    interval = base["interval"]
    assert interval["low"] < interval["mean"] < interval["high"]
    assert interval["mean"] == pytest.approx(base["metrics"]["ndcg@10"])
    # All fakes answer alike, with every seed.
    assert all(each["difference_to_base"] == {"mean": 0, "low": 0, "high": 0} for each in studied["variants"])
    assert all(each["difference_over_seeds"] == {"low": 0, "high": 0} for each in studied["variants"])
    assert base["seeds"] == [base["metrics"]["ndcg@10"]] * 5


def test_the_study_trains_with_the_shipped_seed_and_the_next_ones(workspace, monkeypatch):
    seeds, train = [], Trained()
    monkeypatch.setattr(measure, "train_variant", lambda trained: seeds.append(trained.seed) or train(trained))
    params = with_params(evidence={"study_seeds": 2})
    variants.run(params, workspace, "sampling")
    assert seeds == [params.seed, params.seed + 1] * 22


def test_figures_of_the_study_are_means_over_seeds(workspace, monkeypatch):
    # With the odd seeds lists are upside down.
    monkeypatch.setattr(measure, "train_variant", Trained(upside_down=lambda seed: seed % 2 == 1))
    alone = []
    for seed in (0, 1):
        params = with_params(evidence={"study_seeds": 1}).model_copy(update={"seed": seed})
        variants.run(params, workspace, "sampling")
        alone.append(json.loads((workspace.study / "sampling.json").read_text(encoding="utf-8"))["variants"][0])
    variants.run(with_params(evidence={"study_seeds": 2}).model_copy(update={"seed": 0}), workspace, "sampling")
    both = json.loads((workspace.study / "sampling.json").read_text(encoding="utf-8"))
    entry = both["variants"][0]
    by_seed = [each["metrics"]["ndcg@10"] for each in alone]
    assert "seeds" not in alone[0]
    assert by_seed[0] != by_seed[1]
    assert entry["seeds"] == pytest.approx(by_seed)
    assert [entry["metrics"]["ndcg@10"], entry["interval"]["mean"]] == pytest.approx([np.mean(by_seed)] * 2)
    assert "means over 2 seeds" in both["sentence"]


def test_a_difference_has_an_interval_over_seeds_too():
    entries = [{"seeds": [0.2, 0.3, 0.4]}, {"seeds": [0.1, 0.1, 0.1]}]
    found = measure._over_seeds(entries[0], entries[1], 0.95)["difference_over_seeds"]
    # The mean of 0.1, 0.2 and 0.3, and Student's t with two degrees of freedom, 4.303, times 0.1 / √3.
    assert (found["low"], found["high"]) == pytest.approx((0.2 - 0.2484, 0.2 + 0.2484), abs=1e-4)
    assert measure._over_seeds({}, {}, 0.95) == {}


def test_the_study_without_validation_events_says_what_to_change(tmp_path, trainings):
    small_split.write_split(Workspace(tmp_path), with_valid=False)
    with pytest.raises(BakeoffError, match=r"raise split\.valid_share"):
        variants.run(small_split.PARAMS, Workspace(tmp_path), "sampling")


@pytest.fixture
def only(monkeypatch):
    """Leaves those variants of a group for which a function is true."""

    def leave(is_left):
        def some(*arguments):
            group = make_group(*arguments)
            return replace(group, variants=tuple(filter(is_left, group.variants)))

        make_group = protocol.make_group
        monkeypatch.setattr(protocol, "make_group", some)

    return leave


def test_training_twice_gives_the_same_bytes(workspace, only):
    # Networks take longer, and that each gives the same weights again is seen in tests/models/test_contract.py.
    only(lambda variant: variant.model != "softmax")
    params = with_params(evidence={"unobserved_weights": (0.0,)})
    digests = []
    for _ in range(2):
        variants.run(params, workspace, "folding")
        files = sorted(workspace.variants("folding").iterdir())
        digests.append({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files})
    assert digests[0] == digests[1]
    assert list(digests[0]) == ["new_users.parquet", "users.parquet", "variants.json"]
    zero, shipped, *_ = read(workspace, "folding")["variants"]
    assert (zero["label"], shipped["base"]) == ("α₀ = 0", True)
    assert zero["metrics"] != shipped["metrics"]


def test_every_model_can_be_asked_about_new_items(workspace, only):
    only(lambda variant: variant.base)
    variants.run(with_params(evidence={"new_item_share": 0.4}), workspace, "new-items")
    found = {each["model"]: each for each in read(workspace, "new-items")["variants"]}
    assert list(found) == ["popularity", "ease", "mf", "softmax", "two_tower"]
    assert all(each["among_new"]["recall@10"] == 1.0 for each in found.values())
    assert found["mf"]["selected_epoch"] >= 1
