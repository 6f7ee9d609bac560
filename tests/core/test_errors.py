import pytest
from pydantic import TypeAdapter, ValidationError

from bakeoff.core.errors import first_line


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError("gone\nand more"), "gone"),
        (ValueError(), "no reason given"),
        (KeyError("variants"), "'variants' is missing"),
        (FileNotFoundError("items.parquet"), "items.parquet is missing"),
        (FileNotFoundError(2, "No such file or directory", "a.json"), "[Errno 2] No such file or directory: 'a.json'"),
    ],
)
def test_an_error_says_one_line_whatever_it_holds(error: Exception, says: str) -> None:
    assert first_line(error) == says


def test_what_does_not_fit_a_model_is_said_instead_of_how_many_things_do_not() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(int).validate_json('"x')
    assert first_line(caught.value).startswith("Invalid JSON: EOF while parsing a string")
