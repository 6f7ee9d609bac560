from math import nan

import pytest
from jinja2 import UndefinedError

from bakeoff.report import formats


@pytest.mark.parametrize(("value", "text"), [(0.25, "0.2500"), (-0.25, "−0.2500"), (-0.00001, "0.0000"), (nan, "–")])
def test_figures_have_four_digits_and_a_true_minus(value: float, text: str):
    assert formats.decimal(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.01, "+0.0100"), (-0.01, "−0.0100"), (0.0, "±0.0000"), (-0.00001, "±0.0000")]
)
def test_differences_always_have_a_sign(value: float, text: str):
    assert formats.signed(value) == text


@pytest.mark.parametrize(
    ("p", "text"), [(0.0002, "p < 0.001"), (0.0123, "p = 0.012"), (1.0, "p = 1.000"), (nan, "p –")]
)
def test_tiny_p_values_are_only_bounded(p: float, text: str):
    assert formats.p_value(p) == text


def test_p_in_a_table_has_no_letter():
    assert [formats.p_figure(p) for p in (0.0002, 0.0123, nan)] == ["< 0.001", "0.012", "–"]


@pytest.mark.parametrize(
    ("value", "text"), [(0.423, "0.42 s"), (12.34, "12.3 s"), (125, "2 min 5 s"), (3840, "1 h 4 min")]
)
def test_durations_are_written_as_people_say_them(value: float, text: str):
    assert formats.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(83e-6, "83 µs"), (4.2e-3, "4.2 ms"), (0.0999, "99.9 ms"), (0.1, "0.10 s"), (12.34, "12.3 s")]
)
def test_short_durations_go_down_to_microseconds(value: float, text: str):
    assert formats.duration(value) == text


def test_small_sizes_keep_a_digit():
    assert [formats.megabytes(size) for size in (1.46e6, 9.94e6, 10e6)] == ["1.5 MB", "9.9 MB", "10 MB"]


def test_sizes_change_to_gigabytes_at_a_thousand_megabytes():
    assert formats.megabytes(650e6) == "650 MB"
    assert formats.megabytes(1.234e9) == "1.23 GB"


@pytest.mark.parametrize(
    ("value", "text"),
    [(24.0, "24"), (0.0030000000000000001, "0.003"), (52000.0, "52000"), (978300760.0, "978300760"), ("M", "M")],
)
def test_a_feature_is_written_without_an_exponent(value: object, text: str):
    assert formats.plain(value, 4) == text


def test_thousands_are_set_apart_without_a_comma():
    assert formats.count(11890) == "11\N{NARROW NO-BREAK SPACE}890"


def test_metrics_have_the_names_that_people_know():
    assert [formats.metric_label(m) for m in ("ndcg@10", "hit_rate@100")] == ["NDCG@10", "Hit rate@100"]


@pytest.mark.parametrize(
    ("words", "text"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c"), ([], "")]
)
def test_lists_are_written_as_people_say_them(words: list[str], text: str):
    assert formats.listing(words) == text


def test_the_level_has_no_needless_digits():
    assert [formats.level(c) for c in (0.95, 0.975)] == ["95 %", "97.5 %"]


def test_a_caption_is_three_paragraphs_each_in_one_line():
    title, alt, sentence = formats.paragraphs("captions.txt.j2", "planted_map")
    assert title == "Items of the planted groups, as each variant places them"
    assert alt.endswith("colour and shape by group.")
    assert sentence.startswith("Each colour is a group")
    assert not any(space in text for text in (title, alt, sentence) for space in ("\n", "  "))


def test_a_sentence_without_one_of_its_values_is_an_error():
    assert formats.phrase("captions.txt.j2", "slices", label="NDCG@10", soon=0.25).endswith("knew.")
    with pytest.raises(UndefinedError, match="soon"):
        formats.phrase("captions.txt.j2", "slices", label="NDCG@10")
