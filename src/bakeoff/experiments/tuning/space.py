"""From the searches that parameters declare to values, and back."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import optuna

from bakeoff.core.errors import BakeoffError
from bakeoff.core.parameters import Frozen, Search, search_space
from bakeoff.params import Params

Space = Mapping[str, Search]
"""By name within the section of a model; nested names have a dot."""

Values = dict[str, Any]
"""A JSON value for each name of a space."""

SIGNIFICANT_DIGITS = 3
"""Of a number that is drawn: it ends in params.yaml, where people read it."""


def space_of(params: Params, model: str) -> dict[str, Search]:
    """What is searched for a model, stretched where a value that stands in params.yaml lies outside.

    Raises:
        BakeoffError: the model has nothing to search, or null stands where numbers are searched.
    """
    section = getattr(params, model, None)
    space = search_space(type(section)) if isinstance(section, Frozen) else {}
    if not space:
        raise BakeoffError(f"{model} has no parameter that declares a search: there is nothing to tune.")
    standing = standing_values(params, model, space)
    return {name: _stretched(f"{model}.{name}", search, standing[name]) for name, search in space.items()}


def standing_values(params: Params, model: str, names: Iterable[str]) -> Values:
    """The values that stand now."""
    section = getattr(params, model).model_dump(mode="json")
    return {name: _at(section, name.split(".")) for name in names}


def with_values(params: Params, model: str, values: Mapping[str, Any]) -> Params:
    """Parameters in which these values take the place of those that stand.

    Raises:
        ValidationError: a value can't be, or not beside the others.
    """
    all_values = params.model_dump(mode="json")
    for name, value in values.items():
        *path, last = name.split(".")
        _at(all_values[model], path)[last] = value
    return Params.model_validate(all_values)


def draw(trial: optuna.Trial, space: Space) -> Values:
    """Values of a trial, numbers rounded."""
    return {name: _drawn(trial, name, search) for name, search in space.items()}


def as_trial(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """How Optuna names these values, to try them first."""
    return {name: _key(values[name]) if search.choices else values[name] for name, search in space.items()}


def _drawn(trial: optuna.Trial, name: str, search: Search) -> Any:
    if search.choices:
        return json.loads(trial.suggest_categorical(name, [_key(choice) for choice in search.choices]))
    low, high = search.low, search.high
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, log=search.log)
    value = trial.suggest_float(name, float(low or 0), float(high or 0), log=search.log)
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def _key(choice: Any) -> str:
    """Optuna knows choices by text; JSON keeps null, lists and numbers apart."""
    return json.dumps(choice)


def _stretched(name: str, search: Search, standing: Any) -> Search:
    if search.choices:
        choices = [json.loads(_key(choice)) for choice in search.choices]  # lists as JSON has them
        return replace(search, choices=tuple(choices if standing in choices else [*choices, standing]))
    if standing is None:
        raise BakeoffError(f"{name} is null and tuning tries numbers: set it to one in params.yaml.")
    low, high = min(search.low or 0, standing), max(search.high or 0, standing)
    return replace(search, low=low, high=high, log=search.log and low > 0)


def _at(values: Any, path: Iterable[str]) -> Any:
    for part in path:
        values = values[part]
    return values
