import json

import numpy as np
import pandas as pd
import pytest
from fitted import fit_features

from bakeoff.core.errors import BakeoffError
from bakeoff.data.features.encoding import FeatureEncoding, Scale, TableEncoding

USERS = pd.DataFrame(
    {
        "user_id": ["1", "2", "3"],
        "age": [20.0, None, 30.0],
        "job": ["nurse", None, "baker"],
        "city": ["x", "x", ""],
    }
)
ITEMS = pd.DataFrame({"item_id": ["1", "2", "3"], "year": [1999.0] * 3, "genres": ["Drama|Comedy", None, "Comedy"]})
USER_FEATURES = {"age": "dense", "job": "categorical", "city": "categorical"}
ITEM_FEATURES = {"year": "dense", "genres": "tags"}


@pytest.fixture(scope="module")
def encoding():
    return fit_features(USERS, ITEMS, USER_FEATURES, ITEM_FEATURES)


def test_dense_features_are_standardised_and_missing_ones_are_the_mean(encoding):
    # mean (20 + 30)/2 = 25, deviations ±5, so std = 5
    assert encoding.user.encode(USERS).dense.tolist() == [[-1.0], [0.0], [1.0]]


def test_a_constant_column_has_std_one_and_encodes_to_zero(encoding):
    assert encoding.item.dense["year"].std == 1
    assert encoding.item.encode(ITEMS).dense.tolist() == [[0.0]] * 3


def test_a_constant_that_binary_fractions_cannot_hold_is_still_constant():
    encoding = fit_features(pd.DataFrame({"x": [0.1] * 3}), ITEMS, {"x": "dense"}, {})
    assert encoding.user.dense["x"].std == 1


@pytest.mark.parametrize("values", [[None, None], [float("inf"), float("nan")], []])
def test_a_column_without_a_single_number_encodes_to_zero(values):
    users = pd.DataFrame({"x": pd.Series(values, dtype="float64")})
    encoding = fit_features(users, ITEMS, {"x": "dense"}, {})
    assert encoding.user.encode(users).dense.tolist() == [[0.0]] * len(values)


@pytest.mark.parametrize("huge", ["1e99", "-1e99", "1e200", "1.7e308"])
def test_a_number_that_no_float32_holds_is_missing_to_fitting_and_to_encoding(encoding, huge):
    users = pd.DataFrame({"age": [20.0, float(huge), 30.0]})
    fitted = fit_features(users, ITEMS, {"age": "dense"}, {})
    assert fitted.user.dense["age"] == encoding.user.dense["age"]
    assert fitted.user.encode(users).dense.tolist() == [[-1.0], [0.0], [1.0]]
    assert fitted.user.encode_user({"age": huge})[0].tolist() == [[0.0]]


def test_a_number_that_is_too_large_once_it_is_standardised_is_missing():
    encoding = TableEncoding(dense={"x": Scale(mean=0.0, std=1e-9)})
    assert encoding.encode(pd.DataFrame({"x": [1e38, 1e-9]})).dense.tolist() == [[0.0], [1.0]]
    assert encoding.encode_user({"x": 1e38})[0].tolist() == [[0.0]]


def test_the_scale_does_not_depend_on_the_order_of_rows():
    values = np.random.default_rng(0).lognormal(sigma=8, size=1000)
    scales = [
        fit_features(pd.DataFrame({"x": v}), ITEMS, {"x": "dense"}, {}).user.dense["x"]
        for v in (values, np.sort(values))
    ]
    assert scales[0] == scales[1]


def test_categorical_codes_start_at_one_and_zero_is_missing(encoding):
    # job: baker 1, nurse 2; city: x 1
    encoded = encoding.user.encode(USERS)
    assert encoded.categorical.tolist() == [[2, 1], [0, 1], [1, 0]]
    assert encoded.categorical_sizes == (2, 1)


def test_values_that_were_not_fitted_have_code_zero(encoding):
    stranger = pd.DataFrame({"age": [25.0], "job": ["pilot"], "city": ["x"]})
    assert encoding.user.encode(stranger).categorical.tolist() == [[0, 1]]


def test_a_column_that_is_missing_everywhere_has_no_values():
    users = pd.DataFrame({"job": pd.Series([None, None], dtype=object)})
    encoding = fit_features(users, ITEMS, {"job": "categorical"}, {})
    encoded = encoding.user.encode(users)
    assert encoded.categorical_sizes == (0,)
    assert encoded.categorical.tolist() == [[0], [0]]


def test_tags_are_one_column_per_value(encoding):
    assert encoding.item.tags["genres"] == ("Comedy", "Drama")
    (tags,) = (each.toarray() for each in encoding.item.encode(ITEMS).tag_sets)
    assert tags.tolist() == [[True, True], [False, False], [True, False]]


def test_blanks_around_and_between_tags_make_no_tags():
    items = pd.DataFrame({"genres": ["a | b", "||", "b|b", "c"]}, index=[5, 5, 7, 9])
    encoding = fit_features(USERS, items.iloc[:3], {}, {"genres": "tags"})
    (tags,) = (each.toarray() for each in encoding.item.encode(items).tag_sets)
    assert tags.tolist() == [[True, True], [False, False], [False, True], [False, False]]


def test_arrays_have_the_promised_types_and_shapes_without_any_feature():
    encoded = fit_features(USERS, ITEMS, {}, {}).user.encode(USERS)
    assert (encoded.dense.shape, encoded.dense.dtype) == ((3, 0), np.float32)
    assert (encoded.categorical.shape, encoded.categorical.dtype) == ((3, 0), np.int32)
    assert encoded.tag_sets == ()


def test_a_person_is_encoded_like_the_same_row_of_the_table(encoding):
    table = encoding.user.encode(USERS)
    for row, values in enumerate(USERS.drop(columns="user_id").astype(object).to_dict("records")):
        known = {name: value for name, value in values.items() if not pd.isna(value)}
        dense, categorical = encoding.user.encode_user(known)
        assert dense.tolist() == [table.dense[row].tolist()]
        assert categorical.tolist() == [table.categorical[row].tolist()]


@pytest.mark.parametrize("nothing", [{}, {"age": None, "job": ""}, {"age": ""}])
def test_nothing_known_of_a_person_encodes_to_zeros(encoding, nothing):
    dense, categorical = encoding.user.encode_user(nothing)
    assert (dense.tolist(), dense.dtype) == ([[0.0]], np.float32)
    assert (categorical.tolist(), categorical.dtype) == ([[0, 0]], np.int32)


def test_numbers_may_be_text_and_categories_numbers(encoding):
    dense, _ = encoding.user.encode_user({"age": "30"})
    assert dense.tolist() == [[1.0]]
    coded = fit_features(pd.DataFrame({"region": ["7", "8"]}), ITEMS, {"region": "categorical"}, {})
    assert coded.user.encode_user({"region": 8})[1].tolist() == [[2]]


def test_an_unknown_feature_name_lists_the_known_ones(encoding):
    with pytest.raises(BakeoffError, match="'height' is not a feature of users: they have age, job, city"):
        encoding.user.encode_user({"height": 180})


def test_a_dense_value_that_is_not_a_number_is_refused(encoding):
    with pytest.raises(BakeoffError, match="age='old' is not a number"):
        encoding.user.encode_user({"age": "old"})


def test_a_declared_feature_without_a_column_names_the_key_and_the_columns():
    with pytest.raises(BakeoffError, match=r"users table has no column 'height'.*user_features.*age, job, city"):
        fit_features(USERS, ITEMS, {"height": "dense"}, {})


def test_an_encoding_survives_its_file(encoding):
    text = json.dumps(encoding.model_dump())
    assert FeatureEncoding.model_validate_json(text) == encoding
