import pytest

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
