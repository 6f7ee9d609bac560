import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.experiments.variants.groups import GROUPS, Group, NothingToCompareError, make_group
from bakeoff.models.base.specs import DataFacts
from bakeoff.params import Params

PARAMS = Params()
ALL = DataFacts(100, has_item_features=True, has_user_features=True)


def softmax(group):
    return [each for each in group.variants if each.model == "softmax"]


def labels(group):
    return [each.label for each in softmax(group)]


def made(name, data=ALL, **sections):
    values = PARAMS.model_dump()
    for section, changed in sections.items():
        values[section] |= changed
    return make_group(name, Params.model_validate(values).experiments, data)


@pytest.mark.parametrize("name", GROUPS)
def test_every_group_has_settings_that_can_be_distinct_names_and_one_base_per_model(name):
    group = made(name)
    assert isinstance(group, Group)
    assert len({each.name for each in group.variants}) == len(group.variants) > 1
    of_softmax = [each for each in group.variants if each.model == "softmax"]
    settings = {(each.applied_to(group.shipped).softmax.model_dump_json(), each.build) for each in of_softmax}
    assert len(settings) == len(of_softmax)
    for model in {each.model for each in group.variants}:
        bases = [each for each in group.variants if each.model == model and each.base]
        assert [each.applied_to(group.shipped) for each in bases] == [group.shipped]


def test_a_group_that_does_not_exist_is_refused_with_the_names_of_those_that_do():
    with pytest.raises(BakeoffError, match=r"'depths' is not a group.*features, new-items, folding, depth, sampling"):
        made("depths")


@pytest.mark.parametrize("name", ["new-items", "sampling"])
def test_networks_of_every_group_train_all_their_epochs(name):
    epochs = {"softmax": {"max_epochs": 24}, "two_tower": {"max_epochs": 7}, "mf": {"max_epochs": 16}}
    shipped = made(name, **epochs).shipped
    assert (shipped.softmax.max_epochs, shipped.models["two_tower"].max_epochs, shipped.mf.max_epochs) == (24, 7, 16)


def test_features_are_left_out_one_side_at_a_time():
    group = made("features")
    assert labels(group) == ["as shipped", "without user features", "without item features"]
    used = [each.applied_to(group.shipped).softmax for each in softmax(group)]
    assert [(each.use_user_features, each.use_item_features) for each in used] == [
        (True, True),
        (False, True),
        (True, False),
    ]


def test_features_that_are_shipped_off_are_put_in():
    group = made("features", softmax={"use_user_features": False})
    assert labels(group)[1] == "with user features"
    assert group.variants[1].applied_to(group.shipped).softmax.use_user_features


def test_only_features_that_the_data_has_are_left_out():
    assert labels(made("features", DataFacts(9, has_item_features=True))) == ["as shipped", "without item features"]
    assert labels(made("features", DataFacts(9, has_item_features=False, has_user_features=True))) == [
        "as shipped",
        "without user features",
    ]
    with pytest.raises(NothingToCompareError, match=r"data\.user_features"):
        made("features", DataFacts(9, has_item_features=False))


def test_depth_has_every_number_and_width_of_layers_and_no_layer_once():
    group = made("depth", evidence={"depths": (0, 1, 2), "widths": (64, 128)}, softmax={"hidden": (128,)})
    assert labels(group) == ["no hidden layer", "1 × 64", "1 × 128", "2 × 64", "2 × 128"]
    assert [each.applied_to(group.shipped).softmax.hidden for each in softmax(group)] == [
        (),
        (64,),
        (128,),
        (64, 64),
        (128, 128),
    ]
    assert [each.base for each in softmax(group)] == [False, False, True, False, False]


def test_a_shipped_network_that_is_not_among_the_depths_stands_before_them():
    group = made("depth", evidence={"depths": (0,), "widths": (64,)}, softmax={"hidden": (32, 16)})
    assert [(each.label, each.base) for each in softmax(group)] == [("as shipped", True), ("no hidden layer", False)]


def test_depths_that_name_the_shipped_network_alone_are_skipped():
    with pytest.raises(NothingToCompareError, match=r"evidence\.depths"):
        made("depth", evidence={"depths": (1,), "widths": (128,)}, softmax={"hidden": (128,)})


def test_folding_has_the_shipped_weight_among_those_of_unobserved_pairs():
    group = made("folding", evidence={"unobserved_weights": (0.0, 10.0)}, mf={"unobserved_weight": 0.5})
    of_mf = [each for each in group.variants if each.model == "mf"]
    assert [(each.label, each.base) for each in of_mf] == [("α₀ = 0", False), ("α₀ = 0.5", True), ("α₀ = 10", False)]
    assert [each.applied_to(group.shipped).mf.unobserved_weight for each in of_mf] == [0.0, 0.5, 10.0]


@pytest.mark.parametrize("name", ["features", "folding", "depth"])
def test_popularity_and_ease_stand_beside_the_contenders_where_ease_fits(name):
    group = made(name, DataFacts(100, True, True, 20.0))
    assert [(each.model, each.base) for each in group.variants[-2:]] == [("popularity", True), ("ease", True)]
    large = made(name, DataFacts(100, True, True, 20.0), ease={"max_items": 99})
    assert "ease" not in [each.model for each in large.variants]
    assert list(large.left_out) == ["ease"]
    assert "They are more than ease.max_items = 99" in large.left_out["ease"]


def test_the_ridge_of_the_mean_user_is_held_when_the_weight_changes():
    # λ_u = λ (events + α₀ n)^ν: 0.01 · (20 + 0.5 · 100) = 0.7 = λ · (20 + 10 · 100)
    mf = {"unobserved_weight": 0.5, "regularization": 0.01, "regularization_exponent": 1.0}
    group = made("folding", DataFacts(100, True, True, 20.0), evidence={"unobserved_weights": (10.0,)}, mf=mf)
    [changed] = [each for each in group.variants if each.name == "mf-10"]
    assert changed.applied_to(group.shipped).mf.regularization == pytest.approx(0.7 / 1020)


def test_folding_has_every_kind_of_negatives():
    group = made("folding")
    settings = [each.applied_to(group.shipped).softmax.negatives for each in group.variants if each.model == "softmax"]
    assert {each.sampler for each in settings} >= {"uniform", "popularity", "in-batch", "mixed"}
    assert [each.selection for each in settings].count("hard") == 1
    [alone] = [each for each in group.variants if each.build is not None]
    assert alone.name == "positives-only"
    changed = alone.applied_to(group.shipped).softmax
    assert (changed.loss, changed.negatives.logq_correction) == ("multi-hot", False)
    [mixed] = [each for each in settings if each.sampler == "mixed"]
    assert mixed.mixture == ("in-batch", "uniform")


def test_shipped_hard_negatives_do_not_leak_into_the_other_kinds():
    group = made("folding", softmax={"negatives": {"selection": "hard"}})
    selections = {each.name: each.applied_to(group.shipped).softmax.negatives.selection for each in group.variants}
    assert selections["uniform"] == selections["popularity"] == "none"
    assert selections["softmax-shipped"] == "hard"


def test_new_items_are_asked_of_every_model_that_the_data_allows():
    models = ["popularity", "ease", "mf", "softmax", "two_tower"]
    assert [each.model for each in made("new-items").variants if each.base] == models
    group = made("new-items", DataFacts(100, has_item_features=False, has_user_features=True), ease={"max_items": 99})
    assert [each.model for each in group.variants] == ["popularity", "mf", "softmax"]
    assert set(group.left_out) == {"ease", "two_tower"}


def test_the_dnn_is_asked_about_new_items_with_a_mere_table_too():
    group = made("new-items")
    [table] = [each for each in group.variants if not each.base]
    assert (table.model, table.applied_to(group.shipped).softmax.use_item_features) == ("softmax", False)
    assert all(each.base for each in made("new-items", softmax={"use_item_features": False}).variants)


def test_without_a_share_no_item_is_new():
    with pytest.raises(NothingToCompareError, match=r"evidence\.new_item_share"):
        made("new-items", evidence={"new_item_share": 0})


def test_the_study_names_the_negatives_of_every_variant_the_shipped_ones_included():
    group = made("sampling", softmax={"negatives": {"sampler": "in-batch", "selection": "hard", "num_selected": 8}})
    named = {f"softmax.negatives.{name}" for name in ("sampler", "selection", "logq_correction")}
    assert all(set(each.settings) >= named - {"softmax.negatives.logq_correction"} for each in softmax(group))
    [base] = [each for each in softmax(group) if each.base]
    assert base.settings["softmax.negatives.selection"] == "hard"
    other = made("sampling", softmax={"negatives": {"sampler": "popularity", "selection": "hard"}})
    [base] = [each for each in softmax(other) if each.base]
    assert base.name == "softmax-shipped"
    assert set(base.settings) == named


def test_the_study_has_every_sampler_with_and_without_correction_and_is_judged_on_validation():
    group = made("sampling")
    assert group.judged_on == "valid"
    negatives = [each.applied_to(group.shipped).softmax.negatives for each in softmax(group)]
    found = {(each.sampler, each.selection, each.logq_correction) for each in negatives}
    pools = [(sampler, "none") for sampler in ("uniform", "popularity", "log-uniform", "in-batch", "mixed")]
    pools += [(sampler, selection) for sampler in ("uniform", "in-batch") for selection in ("hard", "top-k")]
    expected = {(*pool, corrected) for pool in pools for corrected in (True, False)} | {("full", "none", True)}
    assert found == expected
    assert len(negatives) == len(expected)


def test_other_models_stand_beside_the_study_and_ease_where_it_fits():
    beside = [each.name for each in made("sampling").variants if each.model != "softmax"]
    assert beside == ["mf-shipped", "ease-shipped", "popularity-shipped"]
    large = made("sampling", DataFacts(10**6, True, True))
    assert [each.model for each in large.variants if each.model != "softmax"] == ["mf", "popularity"]
    assert "1,000,000 items" in large.left_out["ease"]
