from pathlib import Path

import pytest
from ruamel.yaml import YAML

from bakeoff.experiments.tuning.tune import unified_diff, with_chosen

TEXT = """\
# All knobs.
seed: 42 # of everything

mf: # implicit ALS
  dim: 64
  regularization: 0.02 # L2
  recency_scale: null # of fold-in

softmax:
  hidden: [64] # widths
  scale: 6
  negatives:
    sampler: in-batch # or uniform
"""


def load(text):
    return YAML(typ="safe").load(text)


def test_only_the_values_change():
    changed = with_chosen(TEXT, "mf", {"regularization": 0.0123, "recency_scale": 8.0})
    # A comment stays in its column where there is room.
    assert changed == TEXT.replace("0.02 ", "0.0123 ").replace("null", "8.0 ")


def test_null_lists_and_words_are_written_as_people_write_them():
    changed = with_chosen(TEXT, "softmax", {"hidden": [128, 64], "negatives.sampler": "uniform"})
    assert changed == TEXT.replace("[64]", "[128, 64]").replace("in-batch", "uniform ")
    assert "dim: null\n" in with_chosen(TEXT, "mf", {"dim": None})


@pytest.mark.parametrize("word", ["null", "true", "off", "yes", "0.5", "a: b", "# a", ""])
def test_text_that_yaml_would_take_for_something_else_is_quoted(word):
    assert load(with_chosen(TEXT, "softmax", {"negatives.sampler": word}))["softmax"]["negatives"]["sampler"] == word


def test_an_equal_value_keeps_its_spelling():
    assert with_chosen(TEXT, "softmax", {"scale": 6.0}) == TEXT


@pytest.mark.parametrize("number", [1e-05, 0.000123, 12300.0, 700, 1e22])
def test_numbers_are_read_as_they_were_written(number):
    assert load(with_chosen(TEXT, "mf", {"dim": number}))["mf"]["dim"] == number


def test_a_key_that_the_file_leaves_out_joins_its_section():
    changed = with_chosen(TEXT, "softmax", {"dim": 32, "negatives.num_sampled": 9})
    expected = load(TEXT)
    expected["softmax"] |= {"dim": 32}
    expected["softmax"]["negatives"] |= {"num_sampled": 9}
    assert load(changed) == expected
    assert set(TEXT.splitlines()) <= set(changed.splitlines())


def test_a_section_that_the_file_leaves_out_is_added():
    changed = with_chosen(TEXT, "ease", {"inner.x": 1, "regularization": 2.5})
    assert load(changed) == load(TEXT) | {"ease": {"inner": {"x": 1}, "regularization": 2.5}}


def test_a_key_joins_a_section_in_one_line():
    assert with_chosen("mf: {regularization: 2}\n", "mf", {"dim": 8}) == "mf: {dim: 8, regularization: 2}\n"


def test_the_shipped_file_and_other_indents_stay_as_they_are():
    shipped = (Path(__file__).parents[3] / "params.yaml").read_text(encoding="utf-8")
    for text in (shipped, "a: null\nmf:\n    inner:\n        x: 'text' # quoted\n        y: {}\n"):
        assert with_chosen(text, "mf", {}) == text


def test_the_diff_names_the_file_and_shows_what_changed():
    assert unified_diff("a\nb\n", "a\nc\n") == "--- a/params.yaml\n+++ b/params.yaml\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
    assert unified_diff(TEXT, TEXT) == ""
