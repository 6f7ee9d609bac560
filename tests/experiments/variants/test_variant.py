import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.experiments.variants.groups import Variant, with_bases
from bakeoff.params import Params

PARAMS = Params(seed=3).experiments


def test_settings_take_the_place_of_those_that_stand_and_leave_the_rest():
    variant = Variant("x", "softmax", "x", {"softmax.hidden": [8, 8], "softmax.negatives.sampler": "uniform"})
    changed = variant.applied_to(PARAMS)
    assert changed.softmax.hidden == (8, 8)
    assert changed.softmax.negatives.sampler == "uniform"
    others = [each for each in PARAMS.models if each != "softmax"]
    assert all(changed.models[each] == PARAMS.models[each] for each in others)
    assert (changed.seed, changed.evaluate, changed.evidence) == (PARAMS.seed, PARAMS.evaluate, PARAMS.evidence)
    assert changed.softmax.negatives.num_sampled == PARAMS.softmax.negatives.num_sampled


@pytest.mark.parametrize("setting", ["softmax.width", "sofmax.dim", "softmax.negatives.betas.first"])
def test_a_setting_that_does_not_exist_is_refused_by_name(setting):
    with pytest.raises(BakeoffError, match=r"Variant 'x' of mf is not valid"):
        Variant("x", "mf", "x", {setting: 1}).applied_to(PARAMS)


def test_a_value_that_can_not_be_is_refused():
    with pytest.raises(BakeoffError, match=r"mf\.unobserved_weight.*got -1"):
        Variant("x", "mf", "x", {"mf.unobserved_weight": -1}).applied_to(PARAMS)


def test_what_changes_nothing_is_the_base():
    variants = [Variant(f"{a}", "mf", f"{a}", {"mf.unobserved_weight": a}) for a in (0.0, PARAMS.mf.unobserved_weight)]
    assert [(each.name, each.base) for each in with_bases(variants, PARAMS)] == [("0.0", False), ("0.1", True)]


def test_a_model_without_a_base_gets_one_before_its_variants():
    variants = [
        Variant("zero", "mf", "0", {"mf.unobserved_weight": 0}),
        Variant("plain", "softmax", "plain"),
        Variant("one", "mf", "1", {"mf.unobserved_weight": 1}),
    ]
    found = [(each.name, each.model, each.base) for each in with_bases(variants, PARAMS)]
    assert found == [
        ("mf-shipped", "mf", True),
        ("zero", "mf", False),
        ("one", "mf", False),
        ("plain", "softmax", True),
    ]


def test_a_model_without_negatives_is_no_base_whatever_its_settings():
    [base, variant] = with_bases([Variant("x", "softmax", "x", build=lambda *_: None)], PARAMS)
    assert (base.name, base.base, variant.base) == ("softmax-shipped", True, False)
