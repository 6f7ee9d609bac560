import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff.core.errors import BakeoffError
from bakeoff.data.split.vocabulary import item_vocabulary, user_vocabulary


@pytest.fixture(scope="module")
def parts(as_table):
    """Rows (user, item, part) → table of events as the split leaves them."""

    def create(rows):
        names = ("user_id", "item_id", "part")
        columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
        return as_table(columns, pa.schema([(name, pa.string()) for name in names]))

    return create


def rows_of(vocabulary, index):
    return vocabulary.order_by(index).to_pyarrow().to_pylist()


def natural(value):
    is_number = value.isascii() and value.isdigit()
    return (not is_number, int(value) if is_number else 0, len(value) if is_number else 0, value)


def test_items_are_the_whole_catalogue_with_counts_of_warm_users_events(parts, as_table):
    events = parts(
        [
            ("u", "a", "train"),
            ("v", "a", "valid"),
            ("w", "a", "test"),
            ("n", "a", "new_history"),
            ("u", "b", "test"),
        ]
    )
    items = as_table({"item_id": ["b", "a", "c"], "title": ["B", "A", "C"]})
    assert rows_of(item_vocabulary(events, items), "item_index") == [
        {"item_index": 0, "item_id": "a", "title": "A", "train_count": 1, "fit_count": 2},
        {"item_index": 1, "item_id": "b", "title": "B", "train_count": 0, "fit_count": 0},
        {"item_index": 2, "item_id": "c", "title": "C", "train_count": 0, "fit_count": 0},
    ]


def test_warm_users_come_first_and_users_without_events_not_at_all(parts, as_table):
    events = parts([("10", "a", "train"), ("9", "a", "train"), ("2", "a", "new_test")])
    users = as_table({"user_id": ["2", "9", "10", "11"], "age": [20.0, 90.0, None, 11.0]})
    assert rows_of(user_vocabulary(events, users), "user_index") == [
        {"user_index": 0, "user_id": "9", "is_new": False, "age": 90.0},
        {"user_index": 1, "user_id": "10", "is_new": False, "age": None},
        {"user_index": 2, "user_id": "2", "is_new": True, "age": 20.0},
    ]


def test_a_user_whom_the_users_table_does_not_know_has_no_features(parts, as_table):
    users = as_table({"user_id": ["other"], "age": [1.0]})
    vocabulary = user_vocabulary(parts([("u", "a", "train")]), users)
    assert rows_of(vocabulary, "user_index") == [{"user_index": 0, "user_id": "u", "is_new": False, "age": None}]


def test_indices_and_counts_have_the_promised_types(parts, as_table):
    events = parts([("u", "a", "train")])
    users = user_vocabulary(events, as_table({"user_id": ["u"]})).schema()
    items = item_vocabulary(events, as_table({"item_id": ["a"], "title": ["A"]})).schema()
    assert str(users["user_index"]) == str(items["item_index"]) == "int32"
    assert str(items["train_count"]) == str(items["fit_count"]) == "int64"


@settings(max_examples=15, deadline=None)
@given(
    st.sets(
        st.one_of(
            st.text("0123456789", min_size=1, max_size=25),
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=5),
            st.sampled_from(["0", "00", "007", "7", "07", "10", "9", "٣", "-1", "1.5", "1e3", "A", "a", "é"]),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_ids_of_digits_come_first_by_number_then_text_by_code_point(parts, as_table, ids):
    items = as_table({"item_id": sorted(ids), "title": sorted(ids)})
    rows = rows_of(item_vocabulary(parts([("u", "x", "train")]), items), "item_index")
    assert [row["item_id"] for row in rows] == sorted(ids, key=natural)
    assert [row["item_index"] for row in rows] == list(range(len(ids)))


@pytest.mark.parametrize("name", ["user_index", "is_new"])
def test_a_user_feature_with_a_name_that_is_taken_is_refused(parts, as_table, name):
    users = as_table({"user_id": ["u"], name: [1.0]})
    with pytest.raises(BakeoffError, match=f"users table has a column '{name}'"):
        user_vocabulary(parts([("u", "a", "train")]), users)


def test_an_item_feature_with_a_name_that_is_taken_is_refused(parts, as_table):
    items = as_table({"item_id": ["a"], "train_count": [1.0]})
    with pytest.raises(BakeoffError, match="items table has a column 'train_count'"):
        item_vocabulary(parts([("u", "a", "train")]), items)
