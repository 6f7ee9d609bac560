from typing import Annotated

import optuna
import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.core.parameters import Frozen, Search, search_space
from bakeoff.experiments.params import with_values as section_with
from bakeoff.experiments.tuning.trials import as_trial, current_values, draw, space_of
from bakeoff.params import Params

TUNED = [name for name in Params.model_fields if isinstance(getattr(Params(), name), Frozen)]
TUNED = [name for name in TUNED if search_space(type(getattr(Params(), name)))]


def section_of(model):
    return Params().section(model)


def with_values(model, values):
    return section_with(section_of(model), values, "The test", model)


def drawn(space, seed=0):
    """Values of a trial drawn at random."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return draw(study.ask(), space)


def test_every_contender_that_has_settings_declares_a_search():
    assert {"recent_popularity", "ease", "mf", "softmax"} <= set(TUNED)


@pytest.mark.parametrize("model", TUNED)
def test_every_value_that_can_be_drawn_is_a_valid_parameter(model):
    space = space_of(model, section_of(model))
    for seed in range(50):
        with_values(model, drawn(space, seed))


@pytest.mark.parametrize("model", TUNED)
def test_every_end_of_a_range_and_every_choice_is_a_valid_parameter(model):
    current = current_values(section_of(model), space_of(model, section_of(model)))
    for name, search in space_of(model, section_of(model)).items():
        for value in search.choices or (search.low, search.high):
            with_values(model, {**current, name: value})


@pytest.mark.parametrize("model", TUNED)
def test_the_current_values_are_what_a_first_trial_tries(model):
    space = space_of(model, section_of(model))
    current = current_values(section_of(model), space)
    assert with_values(model, current) == section_of(model)
    # Defaults have no more than three digits: drawn, they are what they were.
    assert draw(optuna.trial.FixedTrial(as_trial(space, current)), space) == current


def test_nested_parameters_are_named_with_a_dot():
    class Inner(Frozen):
        beta: Annotated[float, Search(low=0.0, high=1.0)] = 0.5

    class Outer(Frozen):
        plain: int = 1
        inner: Inner = Inner()

    assert search_space(Outer) == {"inner.beta": Search(low=0.0, high=1.0)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "low < high"),
        ({"low": 1}, "low < high"),
        ({"low": 2, "high": 2}, "low < high"),
        ({"low": 0, "high": 2, "log": True}, "above 0"),
        ({"choices": (1, 2), "low": 1}, "not both"),
        ({"choices": (1,)}, "two or more"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Search(**arguments)


def test_a_current_value_outside_the_declared_values_is_searched_too():
    section = with_values("mf", {"dim": 48, "regularization": 70.0})
    space = space_of("mf", section)
    assert 48 in space["dim"].choices
    assert space["regularization"].high == 70.0
    assert space["regularization"].low == space_of("mf", section_of("mf"))["regularization"].low


def test_null_where_numbers_are_searched_says_what_to_set():
    class Section(Frozen):
        x: Annotated[float | None, Search(low=0.0, high=1.0)] = None

    with pytest.raises(BakeoffError, match=r"section\.x is null and tuning tries numbers"):
        space_of("section", Section())


def test_a_model_that_declares_no_search_can_not_be_tuned():
    with pytest.raises(BakeoffError, match="popularity has no parameter that declares a search"):
        space_of("popularity", section_of("popularity"))


def test_drawn_numbers_have_three_digits_and_whole_ends_give_whole_numbers():
    values = drawn({"x": Search(low=1e-4, high=1.0, log=True), "n": Search(low=1, high=9)})
    assert values["x"] == float(f"{values['x']:.2e}")
    assert isinstance(values["n"], int)


def test_choices_keep_null_lists_and_numbers_apart():
    space = {"x": Search(choices=(None, (), (64, 32), 3, "null"))}
    found = [draw(optuna.trial.FixedTrial(as_trial(space, {"x": choice})), space)["x"] for choice in space["x"].choices]
    assert found == [None, [], [64, 32], 3, "null"]
