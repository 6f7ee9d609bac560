from collections import Counter

import pyarrow as pa
import pytest
from csv_bytes import as_csv

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.canonical_tables import text_table
from bakeoff.data.fetch.parts import merge
from bakeoff.data.params import DataParams

DATA = DataParams(dataset="shop", user_features={"age": "dense"})


def table(header, *rows):
    columns = zip(*rows, strict=True) if rows else [[] for _ in header.split(",")]
    return text_table(
        {name: pa.array(list(values), pa.string()) for name, values in zip(header.split(","), columns, strict=True)}
    )


def rows(header, *lines):
    return table(header, *(line.split(",") for line in lines))


def text(found):
    return as_csv(found)


HELD = {
    "interactions": rows("user_id,item_id,timestamp", "1,a,5", "2,b,6"),
    "users": rows("user_id,age", "1,30", "2,40"),
    "items": rows("item_id,title", "a,Apple", "b,Bread"),
}


def test_new_events_follow_in_their_order_and_those_that_are_there_are_dropped():
    new = {"interactions": rows("user_id,item_id,timestamp", "2,a,9", "1,a,5", "1,b,7")}
    tables, added = merge(HELD, new, DATA, "there")
    assert text(tables["interactions"]) == "user_id,item_id,timestamp\n1,a,5\n2,b,6\n2,a,9\n1,b,7\n"
    assert added == Counter(interactions=2, repeated=1)


def test_an_event_that_differs_in_one_column_is_new():
    _, added = merge(HELD, {"interactions": rows("user_id,item_id,timestamp", "1,a,6")}, DATA, "there")
    assert added == Counter(interactions=1)


def test_fields_that_would_read_the_same_side_by_side_are_told_apart():
    held = {**HELD, "interactions": rows("user_id,item_id,timestamp", "1,12,5")}
    _, added = merge(held, {"interactions": rows("user_id,item_id,timestamp", "11,2,5")}, DATA, "there")
    assert added["interactions"] == 1


def test_users_replace_those_of_the_same_id_and_others_are_added_in_id_order():
    tables, added = merge(HELD, {"users": rows("user_id,age", "10,20", "2,41")}, DATA, "there")
    assert text(tables["users"]) == "user_id,age\n1,30\n2,41\n10,20\n"
    assert added == Counter(users=1, replaced=1)


def test_a_column_that_the_source_lacks_keeps_its_value():
    tables, _ = merge(HELD, {"users": rows("user_id,city", "2,Ulm", "3,Bonn")}, DATA, "there")
    assert text(tables["users"]) == "user_id,age,city\n1,30,\n2,40,Ulm\n3,,Bonn\n"


def test_users_and_items_that_only_events_name_are_added_and_replace_nothing():
    new = {"interactions": rows("user_id,item_id,timestamp", "1,z,9", "7,a,9")}
    tables, added = merge(HELD, new, DATA, "there")
    assert text(tables["users"]) == "user_id,age\n1,30\n2,40\n7,\n"
    assert text(tables["items"]) == "item_id,title\na,Apple\nb,Bread\nz,z\n"
    assert added == Counter(interactions=2, users=1, items=1)


def test_adding_the_same_twice_changes_nothing():
    new = {
        "interactions": rows("user_id,item_id,timestamp", "1,z,9"),
        "users": rows("user_id,age", "1,31"),
        "items": rows("item_id,title", "z,Zest"),
    }
    once, _ = merge(HELD, new, DATA, "there")
    twice, added = merge(once, new, DATA, "there")
    assert twice == once
    assert added == Counter(repeated=1, replaced=2)


def test_events_of_other_columns_are_refused():
    with pytest.raises(BakeoffError, match=r"interactions of there.*'rating'.*in data/ have 'user_id'"):
        merge(HELD, {"interactions": rows("user_id,item_id,rating", "1,a,5")}, DATA, "there")
