import pandas as pd
import pytest

from bakeoff.data.validate import checks
from bakeoff.data.validate.gx_runner import Inspector

FRAME = pd.DataFrame({"rating": [1.0, 9.0, None, 7.0]}, index=[10, 11, 12, 13])


def between(low, high):
    return checks.check(
        checks.gxe.ExpectColumnValuesToBeBetween,
        "in between",
        "is not in between",
        column="rating",
        min_value=low,
        max_value=high,
    )


def test_rows_are_named_by_their_index_labels():
    (outcome,) = Inspector().run("ratings", [between(1, 5)], FRAME)
    assert not outcome.success
    assert outcome.rows.tolist() == [11, 13]


def test_outcomes_come_in_the_order_of_the_checks():
    suite = [between(1, 8), checks.column_exists("rating", ""), between(0, 9)]
    outcomes = Inspector().run("ratings", suite, FRAME)
    assert [o.check for o in outcomes] == suite
    assert [o.rows.tolist() for o in outcomes] == [[11], [], []]


def test_a_missing_column_fails_a_check_of_the_whole_table():
    (outcome,) = Inspector().run("ratings", [checks.column_exists("age", "")], FRAME)
    assert not outcome.success


def test_a_check_that_cannot_be_computed_does_not_pass_for_one_that_held():
    with pytest.raises(RuntimeError, match="Every age is a number"):
        Inspector().run("ratings", [checks.is_readable("age", "unreadable age", "a number")], FRAME)


def test_the_data_docs_show_the_sentence(tmp_path):
    inspector = Inspector()
    inspector.run("ratings", [between(1, 5)], FRAME)
    inspector.build_docs(tmp_path)
    (page,) = (tmp_path / "validations").rglob("*.html")
    assert "in between" in page.read_text(encoding="utf-8")


def test_a_table_without_rows_can_be_judged():
    (outcome,) = Inspector().run("ratings", [between(1, 5)], FRAME.head(0))
    assert outcome.success
