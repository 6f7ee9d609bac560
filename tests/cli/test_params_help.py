from typing import Annotated, Literal

import pytest
from pydantic import Field, TypeAdapter

from bakeoff.cli import params_help as stage
from bakeoff.models.mf.spec import MFParams
from bakeoff.params import Params

FREE = ("user_features", "item_features", "event_weights", "conf", "links")
"""Mappings whose keys are the user's: one parameter each."""


def leaves(values, prefix=""):
    for name, value in values.items():
        if isinstance(value, dict) and name not in FREE:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def test_every_parameter_is_described_once_in_the_order_of_the_models():
    assert [row.name for row in stage.describe(Params())] == list(leaves(Params().model_dump()))


def test_every_parameter_but_the_sections_has_a_meaning_and_limits():
    assert [row.name for row in stage.describe(Params()) if not (row.meaning and row.limits)] == []


def test_the_value_is_the_one_given():
    rows = {row.name: row for row in stage.describe(Params(mf=MFParams(dim=7)))}
    assert rows["mf.dim"].value == "7"
    assert rows["mf.dim"].limits == "integer > 0, ≤ 8192"
    assert rows["mf.dim"].meaning == "Embedding dimension d."


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (bool, "true | false"),
        (str | None, "text or null"),
        (Literal["a", "b"], "a | b"),
        (Annotated[float, Field(ge=0, lt=1)], "number ≥ 0, < 1"),
        (tuple[Annotated[int, Field(gt=0)], ...], "list of integer > 0"),
        (dict[str, Literal["dense"]], "name: dense"),
    ],
)
def test_limits_are_words(kind, words):
    assert stage.limits(TypeAdapter(kind).json_schema()) == words


def test_the_table_shows_brackets_and_every_name(capsys):
    stage.run(Params())
    printed = capsys.readouterr().out
    for row in stage.describe(Params()):
        assert row.name in printed
    assert "[10, 20, 100]" in printed
