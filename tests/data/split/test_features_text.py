import json

import numpy as np
import pandas as pd
import pytest
from fitted import fit_features

from bakeoff.data.features import value_sets as words
from bakeoff.data.features.encoding import EncodedFeatures, FeatureEncoding
from bakeoff.data.features.value_sets import value_sets
from bakeoff.data.params import DataParams

TITLES = ["The Dog, the Cat", "A DOG'S life", None, "", "cat & dog", "Life of Brian (1979)"]
ITEMS = pd.DataFrame(
    {"title": TITLES, "year": [1990.0] * 6, "genres": ["Drama", None, "Comedy|Drama", "", "Drama", None]}
)
NOBODY = pd.DataFrame({"user_id": []})


def fitted(items=ITEMS):
    return fit_features(NOBODY, items, {}, {"title": "text", "genres": "tags", "year": "dense"})


def vocabulary(*titles):
    return words.most_common(words.count_words(pd.Series(titles, dtype=object)))


def test_words_of_two_or_more_rows_are_kept_in_alphabetical_order():
    # dog in three titles, cat and life in two; `the` twice, but in one title; `a` and `s` are too short
    assert fitted().item.text == {"title": ("cat", "dog", "life")}


def test_a_row_has_the_words_that_stand_in_it():
    (sets,) = fitted().item.encode(ITEMS).word_sets
    assert sets.toarray().tolist() == [
        [True, True, False],
        [False, True, True],
        [False, False, False],
        [False, False, False],
        [True, True, False],
        [False, False, True],
    ]


def test_rows_with_an_index_of_their_own_are_encoded_in_their_order():
    items = ITEMS.set_axis([7, 7, 3, 3, 9, 0])
    (sets,) = fitted(items).item.encode(items).word_sets
    assert sets.toarray().tolist() == fitted().item.encode(ITEMS).word_sets[0].toarray().tolist()


def test_words_of_any_script_and_numbers_count():
    assert vocabulary("Амели 101", "101 амели", "ÉTÉ 東京", "e\u0301te\u0301 東京") == ("101", "été", "амели", "東京")


def test_an_underscore_parts_words_like_a_blank():
    assert vocabulary("blue_moon", "blue moon") == ("blue", "moon")


def test_the_most_frequent_words_are_kept_and_ties_go_by_the_alphabet(monkeypatch):
    monkeypatch.setattr(words, "MAX_WORDS", 2)
    assert vocabulary("zebra cow ant", "zebra cow ant", "zebra") == ("ant", "zebra")


@pytest.mark.parametrize("titles", [[], [None, None], ["", "?"]])
def test_a_column_without_words_has_none(titles):
    items = pd.DataFrame({"title": pd.Series(titles, dtype=object)})
    encoding = fit_features(NOBODY, items, {}, {"title": "text"})
    (sets,) = encoding.item.encode(items).word_sets
    assert encoding.item.text == {"title": ()}
    assert sets.toarray().shape == (len(titles), 0)


def test_an_encoding_with_words_survives_its_file():
    text = json.dumps(fitted().model_dump())
    assert FeatureEncoding.model_validate_json(text) == fitted()


def test_features_of_all_kinds_are_counted_and_named():
    encoding = fitted()
    assert encoding.item.names == ("year", "genres", "title")
    assert encoding.item.encode(ITEMS).num_features == 1 + 2 + 3


def test_text_is_a_kind_of_item_feature_and_not_of_user_feature():
    assert DataParams(item_features={"title": "text"}).item_features == {"title": "text"}
    with pytest.raises(ValueError, match=r"user_features\.title"):
        DataParams.model_validate({"user_features": {"title": "text"}})


def test_tags_can_be_had_as_a_dense_matrix():
    encoded = fitted().item.encode(ITEMS)
    tags = encoded.tag_sets[0].toarray()
    assert tags[2].tolist() == [True, True]


def test_sets_are_made_of_pairs_in_any_order_repeated_and_unknown():
    sets = value_sets(np.array([2, 0, 2, 2, 1]), np.array([3, 1, 0, 3, -1]), num_rows=4, size=5)
    assert sets.indptr.tolist() == [0, 1, 1, 3, 3]
    assert sets.indices.tolist() == [1, 0, 3]
    assert sets.nonzero()[0].tolist() == [0, 2, 2]
    assert (sets.shape, sets.dtype, sets.indices.dtype) == ((4, 5), np.bool_, np.int32)


def test_sets_take_memory_for_what_is_said_and_not_for_every_word():
    rows = np.repeat(np.arange(100_000), 5)
    sets = value_sets(rows, np.random.default_rng(0).integers(0, 2_000, len(rows)), 100_000, 2_000)
    # 4 bytes a row and 5 a word, where a dense matrix has 2,000 bytes a row
    assert sets.indptr.nbytes + sets.indices.nbytes + sets.data.nbytes <= 29 * 100_000 + 4
    assert (
        EncodedFeatures(
            np.zeros((100_000, 0), np.float32), np.zeros((100_000, 0), np.int32), (), word_sets=(sets,)
        ).num_features
        == 2_000
    )
