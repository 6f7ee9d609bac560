"""How templates are filled: texts escaped, numbers written for people, what is missing refused."""

import re

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bakeoff.report import formats
from bakeoff.report.models import model_label

UNIT = re.compile(r"(?<=\d) (?=%|(?:s|min|h|MB|GB)\b)|(?<=\bp) (?=[<=])|(?<=[<=]) (?=\d)")
"""Spaces between a number and its unit, and within `p < 0.001`."""


def environment() -> Environment:
    """The templates of this package with the filters that they use."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader("bakeoff.report"), PackageLoader("bakeoff.report", "topics")]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=keep_units,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(decimal=formats.decimal, percent=formats.percent, count=formats.count, model=model_label)
    return made


def keep_units(value: object) -> object:
    """A number and its unit stay on one line: the space between them becomes one that does not break."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return UNIT.sub("\N{NO-BREAK SPACE}", value)
