"""What a parameter may be at all, before and after the models judge it: plain text, whole numbers that stay whole."""

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from bakeoff.core.parameters import Frozen

MAX_DEPTH = 20
"""Sections within sections; there are three."""
MAX_TEXT = 256
"""Characters of a text."""
MAX_INT = 2**53
"""Whole numbers up to here are the same as floats."""

_NO_TEXT = {"Cc": "a control character", "Cs": "half a character", "Zl": "a line break", "Zp": "a line break"}


def refusals(value: Any, place: str = "", depth: int = 0) -> Iterator[str]:
    """What can't stand in any parameter, each with its place and the reason.

    Args:
        value: a mapping, list, text, number, true, false or null.
        place: keys that lead to it, joined by dots.
        depth: how many they are.
    """
    if depth > MAX_DEPTH:
        yield f"{place[:MAX_TEXT]}: more than {MAX_DEPTH} levels within each other"
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            problem = _problem(key)
            # A key that is no text is for the models to refuse: they name it.
            yield from [f"{place or 'values'}: a key holds {problem}"] if problem else []
            yield from refusals(inner, f"{place}.{ascii(key)[:80] if problem else key}".lstrip("."), depth + 1)
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from refusals(inner, f"{place}.{number}", depth + 1)
    elif problem := _problem(value):
        yield f"{place}: the value holds {problem}"


def changes(values: Any, checked: Any, place: str = "") -> Iterator[str]:
    """Values that became something else when they were checked: a number that was true, a truth that was `no`.

    Args:
        values: as they were given.
        checked: the models made of them.
        place: keys that lead there, joined by dots.
    """
    if isinstance(values, Mapping):
        for key, inner in values.items():
            at = getattr(checked, key) if isinstance(checked, Frozen) else checked[key]
            yield from changes(inner, at, f"{place}.{key}".lstrip("."))
    elif isinstance(values, list | tuple):
        for number, (inner, at) in enumerate(zip(values, checked, strict=True)):
            yield from changes(inner, at, f"{place}.{number}")
    elif _kind(values) != _kind(checked):
        yield f"{place}: Input should be {_kind(checked)}, not {_kind(values)}"


def _problem(value: Any) -> str | None:
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            return f"{len(value):,} characters, more than {MAX_TEXT}"
        return next((_NO_TEXT[kind] for kind in map(unicodedata.category, value) if kind in _NO_TEXT), None)
    if isinstance(value, int) and abs(value) > MAX_INT:
        return f"a whole number beyond ±{MAX_INT:,}"
    return None


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    return "a text" if isinstance(value, str) else "null" if value is None else type(value).__name__
