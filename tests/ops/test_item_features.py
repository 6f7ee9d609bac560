"""Filters by the features of items: what meets them, here and in exported graphs, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.data.features.encoding import Scale, TableEncoding
from bakeoff.models.base.list_options import CatalogueFeatures
from bakeoff.models.base.list_options_graph import ItemFilters
from bakeoff.models.base.tensorflow import tf
from bakeoff.ops.list_options import MOST_VALUES, Filter, ItemFeatures

ENCODING = TableEncoding(
    dense={"year": Scale(mean=0, std=1)},
    categorical={"maker": ("acme", "zeta")},
    tags={"genres": ("Comedy", "Drama", "Horror")},
    text={"title": ("of",)},
)
TABLE = pd.DataFrame(
    {
        "year": [1980.0, 1990.0, None, 2000.0],
        "maker": ["acme", "zeta", "", None],
        "genres": ["Comedy|Drama", "Drama", None, "Horror | Comedy"],
    }
)


@pytest.fixture(scope="module", params=["at once", "in two parts"])
def features(request):
    if request.param == "at once":
        return ItemFeatures(TABLE, ENCODING, "mf")
    return ItemFeatures(TABLE[:2], ENCODING, "mf").extended(TABLE[2:].assign(price=3))


@pytest.fixture(scope="module")
def graph():
    return ItemFilters(CatalogueFeatures.of(TABLE, ENCODING))


def meeting(features, *filters):
    chosen = [each if isinstance(each, Filter) else Filter.parse(each) for each in filters]
    features.check(chosen)
    return features.meeting(chosen).nonzero()[0].tolist()


@pytest.mark.parametrize(
    ("filters", "items"),
    [
        ([], [0, 1, 2, 3]),
        (["genres=Comedy"], [0, 3]),
        (["genres=Drama|Horror"], [0, 1, 3]),
        (["genres=Comedy", "genres=Drama"], [0]),
        (["genres!=Drama"], [2, 3]),
        (["genres != Drama | Horror"], [2]),
        (["maker=zeta"], [1]),
        (["maker!=zeta"], [0, 2, 3]),
        (["year>=1990"], [1, 3]),
        (["year<=1990"], [0, 1]),
        (["year >= 1985", "year<=1995"], [1]),
        (["year>=1990", "genres=Comedy", "maker!=acme"], [3]),
        (["year>=3000"], []),
        ([Filter(feature="year", min=1985, max=1995)], [1]),
        ([Filter(feature="genres", any_of=["Comedy"], none_of=["Horror"])], [0]),
    ],
    ids=str,
)
def test_items_meet_all_of_the_filters(features, graph, filters, items):
    assert meeting(features, *filters) == items
    if all(isinstance(each, str) for each in filters):
        assert np.flatnonzero(graph.met(tf.constant(filters, tf.string))).tolist() == items


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("genre=Comedy", "'genre' is not a feature to filter items by: there are year, maker, genres"),
        ("title=of", "'title' is not a feature to filter items by"),
        ("genres=Comdy", "genres='Comdy' is not known: it must be one of Comedy, Drama, Horror"),
        ("genres=Comedy|", "A filter on genres names an empty value"),
        ("year=1990", "year is a number: filter it by min and max"),
        ("genres>=3", "genres is not a number: filter it by any_of or none_of"),
    ],
    ids=str,
)
def test_what_makes_no_sense_here_is_refused(features, text, said):
    with pytest.raises(BakeoffError, match=said):
        features.check([Filter.parse(text)])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("genres", "filters must be like genres=Comedy.*genres"),
        ("year>1990", "filters must be like"),
        ("year>=nan", "filters must be like"),
        ("year>=old", "filters must be like.*year>=old"),
        ("genre=Comedy", "unknown feature to filter items by .there are: maker, genres, year.*genre"),
        ("genres=Comdy", "a value that is not known.*Comdy"),
        ("genres=Comedy|", "a value that is not known"),
        ("year=1990", "numbers are filtered by >= and <=.*year=1990"),
        ("genres>=3", "numbers are filtered by >= and <=.*genres>=3"),
    ],
    ids=str,
)
def test_an_exported_graph_refuses_the_same(graph, text, said):
    with pytest.raises(tf.errors.InvalidArgumentError, match=said):
        graph.met(tf.constant(["genres!=Horror", text]))


def test_a_graph_of_items_without_features_knows_no_filter():
    none = ItemFilters(CatalogueFeatures.of(TABLE[[]], ENCODING))
    assert np.asarray(none.met(tf.constant(["", " "]))).tolist() == [True] * 4
    with pytest.raises(tf.errors.InvalidArgumentError, match="there are: none"):
        none.met(tf.constant(["year>=1990"]))


@pytest.mark.parametrize("text", ["", "genres", "=x", "year>1990", "year>=old", "year>=nan", "a=" + "b|" * MOST_VALUES])
def test_what_is_no_filter_says_what_one_looks_like(text):
    with pytest.raises(BakeoffError, match=r"must be like genres=Comedy\|Drama.*year>=1990"):
        Filter.parse(text)


def test_items_are_compared_by_all_their_categories_and_tags(features):
    # Of acme, zeta, Comedy, Drama and Horror, scaled to length 1.
    expected = np.array([[1, 0, 1, 1, 0], [0, 1, 0, 1, 0], [0, 0, 0, 0, 0], [0, 0, 1, 0, 1]])
    expected = expected / np.sqrt([[3], [2], [1], [2]])
    assert features.vectors(np.arange(4)) == pytest.approx(expected)


def test_a_table_of_added_items_may_lack_what_others_have(features):
    more = features.extended(pd.DataFrame({"maker": ["zeta"]}))
    assert meeting(more, "maker=zeta") == [1, 4]
    assert meeting(more, "genres!=Drama") == [2, 3, 4]
    assert meeting(more, "year>=0") == [0, 1, 3]
    assert meeting(features, "maker=zeta") == [1]


def test_a_filter_says_something():
    with pytest.raises(ValueError, match="needs any_of, none_of, min or max"):
        Filter(feature="year")


def test_at_most_a_few_values_are_shown():
    many = TableEncoding(categorical={"shop": tuple(f"shop-{n}" for n in range(50))})
    features = ItemFeatures(pd.DataFrame({"shop": ["shop-1"]}), many, "mf")
    with pytest.raises(BakeoffError, match=r"known are shop-0, shop-1, shop-2, shop-3, shop-4 and others\.$"):
        features.check([Filter.parse("shop=gone")])


def test_a_model_that_was_stored_without_features_says_how_to_get_them():
    older = ItemFeatures(TABLE[[]], ENCODING, "mf")
    assert older.names == ()
    older.check([])
    with pytest.raises(BakeoffError, match=r"mf knows no features.*`bakeoff train mf` and `bakeoff export mf`"):
        older.check([Filter.parse("year>=1990")])
