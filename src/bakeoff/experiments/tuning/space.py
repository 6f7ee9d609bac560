"""The search space of a model: from the searches that its parameters declare to values of a trial, and back."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import reduce
from operator import getitem
from typing import Any

import optuna

from bakeoff.core.errors import BakeoffError
from bakeoff.core.parameters import Frozen, Search, search_space

Space = Mapping[str, Search]
"""By name within the section of a model; nested names have a dot."""

Values = dict[str, Any]
"""A JSON value for each name of a space."""

SIGNIFICANT_DIGITS = 3
"""Digits of a drawn number: it ends up in params.yaml, where people read it."""


def space_of(model: str, section: Frozen) -> dict[str, Search]:
    """The search space of a model, widened where a current value lies outside; settings without effect are left out.

    Args:
        model: its name, for messages.
        section: its section of params.yaml.

    Raises:
        BakeoffError: the model declares no search, or a parameter that is searched as a number is null.
    """
    content = section.model_dump(mode="json")
    found = search_space(type(section)).items()
    space = {name: each for name, each in found if each.only_if is None or content[each.only_if[0]] == each.only_if[1]}
    if not space:
        raise BakeoffError(f"{model} has no parameter that declares a search: there is nothing to tune.")
    current = current_values(section, space)
    return {name: _widened(f"{model}.{name}", search, current[name]) for name, search in space.items()}


def current_values(section: Frozen, names: Iterable[str]) -> Values:
    """The values that a section has now, as JSON values by dotted name."""
    content = section.model_dump(mode="json")
    return {name: reduce(getitem, name.split("."), content) for name in names}


def draw(trial: optuna.trial.BaseTrial, space: Space) -> Values:
    """Values of a trial; floats are rounded to SIGNIFICANT_DIGITS."""
    return {name: _drawn(trial, name, search) for name, search in space.items()}


def as_trial(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """The same values as parameters of an Optuna trial, for `Study.enqueue_trial`."""
    return {name: json.dumps(values[name]) if search.choices else values[name] for name, search in space.items()}


def _drawn(trial: optuna.trial.BaseTrial, name: str, search: Search) -> Any:
    if search.choices:
        # Optuna compares choices by ==; as JSON texts, null, lists and numbers stay distinct.
        return json.loads(trial.suggest_categorical(name, [json.dumps(choice) for choice in search.choices]))
    low, high = search.low, search.high
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, log=search.log)
    value = trial.suggest_float(name, float(low or 0), float(high or 0), log=search.log)
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def _widened(name: str, search: Search, current: Any) -> Search:
    if search.choices:
        choices = json.loads(json.dumps(search.choices))  # tuples become lists, as JSON has them
        return replace(search, choices=tuple(choices if current in choices else [*choices, current]))
    if current is None:
        raise BakeoffError(f"{name} is null and tuning tries numbers: set it to one in params.yaml.")
    low, high = min(search.low or 0, current), max(search.high or 0, current)
    return replace(search, low=low, high=high, log=search.log and low > 0)
