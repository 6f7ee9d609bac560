import pandas as pd
import pytest

from bakeoff.data.validate.gx import Runner, check, gxe

FRAME = pd.DataFrame({"rating": [1.0, 9.0, None, 7.0]}, index=[10, 11, 12, 13])


def between(low, high):
    return check(
        gxe.ExpectColumnValuesToBeBetween,
        "in between",
        "is not in between",
        column="rating",
        min_value=low,
        max_value=high,
    )


def test_rows_are_named_by_their_index_labels():
    (outcome,) = Runner().judge("ratings", [between(1, 5)], [FRAME])
    assert not outcome.success
    assert outcome.rows.tolist() == [11, 13]


def test_outcomes_come_in_the_order_of_the_checks():
    suite = [
        between(1, 8),
        check(gxe.ExpectColumnValuesToNotBeNull, "given", "is empty", column="rating"),
        between(0, 9),
    ]
    outcomes = Runner().judge("ratings", suite, [FRAME])
    assert [o.check for o in outcomes] == suite
    assert [o.rows.tolist() for o in outcomes] == [[11], [12], []]


def test_a_table_in_pieces_is_judged_by_one_suite():
    (outcome,) = Runner().judge("ratings", [between(1, 8)], [FRAME[2:], FRAME[:2]])
    assert not outcome.success
    assert outcome.rows.tolist() == [11]


def test_a_check_that_cannot_be_computed_does_not_pass_for_one_that_held():
    with pytest.raises(RuntimeError, match="Every age is a number"):
        Runner().judge(
            "ratings", [check(gxe.ExpectColumnValuesToBeNull, "Every age is a number", "", column="age")], [FRAME]
        )


def test_the_data_docs_show_the_sentence(tmp_path):
    runner = Runner()
    runner.judge("ratings", [between(1, 5)], [FRAME])
    runner.build_docs(tmp_path)
    (page,) = (tmp_path / "validations").rglob("*.html")
    assert "in between" in page.read_text(encoding="utf-8")


def test_a_table_without_rows_can_be_judged():
    (outcome,) = Runner().judge("ratings", [between(1, 5)], [FRAME.head(0)])
    assert outcome.success
