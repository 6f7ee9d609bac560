"""Which role a column plays: its name says so, its values check it, and what neither settles stays open."""

from pathlib import Path

import pyarrow as pa
import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.table_files import find_encoding
from bakeoff.ops.detection import detect, time_unit
from bakeoff.ops.feature_kinds import feature_kind


def text(*values: str | None) -> pa.Array:
    return pa.array(values, pa.large_string())


def table(**columns: list[str]) -> dict[str, pa.Array]:
    return {name: text(*values) for name, values in columns.items()}


USERS, ITEMS, TIMES = ["u1", "u2", "u1"], ["a", "b", "c"], ["1700000000", "1700000060", "1700000120"]


@pytest.mark.parametrize(
    ("user", "item", "time"),
    [
        ("user_id", "item_id", "timestamp"),
        ("userId", "movieId", "ts"),
        ("Customer ID", "SKU", "order date"),
        ("visitorid", "itemid", "event_time"),
        ("user_id:token", "item_id:token", "timestamp:float"),
        ("reviewerID", "asin", "unixReviewTime"),
        ("client", "article", "created_at"),
    ],
)
def test_roles_by_their_usual_names(user: str, item: str, time: str) -> None:
    found = detect({"interactions": table(**{time: TIMES, item: ITEMS, "device": USERS, user: USERS})}, {})
    assert [found.columns[role] for role in ("user_id", "item_id", "timestamp")] == [user, item, time]
    assert not found.open


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("event_type", ["view", "buy", ""], ["buy", "view"]),
        ("behaviorType", ["1", "4", "1"], ["1", "4"]),
        ("action", ["view", "view", "view"], None),  # one kind: there is nothing to weigh
        ("device", ["phone", "tablet", "phone"], None),
    ],
)
def test_a_column_that_may_hold_the_kind_of_an_event_is_named_and_not_used(
    name: str, values: list[str], expected: list[str] | None
) -> None:
    found = detect({"interactions": table(user_id=USERS, item_id=ITEMS, timestamp=TIMES, **{name: values})}, {})
    assert found.unused_kinds == ({name: expected} if expected else {})
    assert found.columns.get("event") is None


def test_many_values_are_no_kinds_of_events() -> None:
    rows = [str(row) for row in range(21)]
    events = table(user_id=rows, item_id=rows, timestamp=[f"17000000{int(row):02d}" for row in rows], action=rows)
    assert detect({"interactions": events}, {}).unused_kinds == {}


def test_a_name_alone_makes_no_time() -> None:
    found = detect({"interactions": table(user_id=USERS, item_id=ITEMS, date=["31.12.2024", "1.1.2025", "soon"])}, {})
    assert (found.columns["timestamp"], found.open) == (None, {})
    assert found.unread == {"date": "not seconds, ms or ISO 8601"}


def test_a_column_without_a_number_cannot_be_the_rating_that_a_person_says_it_is() -> None:
    events = table(user_id=USERS, item_id=ITEMS, timestamp=TIMES, mood=["good", "bad", ""])
    with pytest.raises(BakeoffError, match=r"column 'mood' holds no number.*name another one, or none"):
        detect({"interactions": events}, {"rating": "mood"})


def test_names_that_say_nothing_leave_the_question_open_with_the_candidates() -> None:
    found = detect({"interactions": table(a=USERS, b=ITEMS, c=TIMES)}, {})
    assert found.open == {"user_id": ["a", "b"], "item_id": ["a", "b"], "timestamp": ["c"]}
    answered = detect(
        {"interactions": table(a=USERS, b=ITEMS, c=TIMES)}, {"user_id": "a", "item_id": "b", "timestamp": "c"}
    )
    assert (answered.open, answered.columns["timestamp_unit"]) == ({}, "s")


def test_a_table_without_a_header_line_is_refused() -> None:
    with pytest.raises(BakeoffError, match=r"first line of the interactions holds values, not names \(196, 242, 3\)"):
        detect({"interactions": table(**{"196": USERS, "242": ITEMS, "3": TIMES})}, {})


def test_a_header_line_of_values_may_hold_the_kind_of_an_event() -> None:
    events = table(**{"196": USERS, "242": ITEMS, "view": ["view", "buy", "view"], "1511544070": TIMES})
    with pytest.raises(BakeoffError, match=r"holds values, not names \(196, 242, view, 1511544070\)"):
        detect({"interactions": events}, {})


def test_components_of_a_vector_may_have_numbers_for_names() -> None:
    events = table(user_id=USERS, item_id=ITEMS, timestamp=TIMES)
    users = table(user_id=["u1", "u2"], **{"0": ["0.1", "0.2"], "1": ["0.3", "0.4"]})
    found = detect({"interactions": events, "users": users}, {})
    assert found.features["users"].keys() == {"0", "1"}


def test_two_columns_of_one_role_are_a_question() -> None:
    found = detect({"interactions": table(user_id=USERS, movie_id=ITEMS, item_id=ITEMS)}, {})
    assert found.open == {"item_id": ["movie_id", "item_id"]}


def test_an_id_whose_name_says_nothing_is_found_by_its_values_in_the_items() -> None:
    tables = {
        "interactions": table(user=USERS, what=ITEMS),
        "items": table(code=["c", "b", "a", "z"], name=list("wxyz")),
    }
    found = detect(tables, {})
    assert (found.columns["item_id"], found.columns["item_id_in_items"], found.columns["title"]) == (
        "what",
        "code",
        "name",
    )
    assert found.id_column("items") == "code"


def test_ids_of_one_name_are_not_named_twice() -> None:
    tables = {
        "interactions": table(user_id=USERS, item_id=ITEMS),
        "users": table(user_id=["u1", "u2"], other=["u2", "u1"]),
    }
    assert detect(tables, {}).columns["user_id_in_users"] is None


def test_a_table_without_the_ids_of_the_events_is_a_question() -> None:
    tables = {"interactions": table(user_id=USERS, item_id=ITEMS), "users": table(user_id=["x", "y"], age=["1", "2"])}
    assert detect(tables, {}).open == {"user_id_in_users": ["user_id", "age"]}


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        (["1700000000", "1.7e9"], "s"),
        (["1700000000123"], "ms"),
        (["2024-05-31T18:00:00Z", "2024-05-31"], "iso"),
        (["2024-05-31 18:00:00.123456"], "iso"),
        (["31.12.2024"], None),
        (["5", "4"], None),
        (["20240531"], None),
        (["", ""], None),
    ],
)
def test_the_unit_of_times(values: list[str], unit: str | None) -> None:
    assert time_unit(text(*values)) == unit


def test_the_scale_of_ratings_and_the_parts_of_a_given_split() -> None:
    events = table(user_id=USERS, item_id=ITEMS, stars=["0.5", "", "5"], fold=["train", "test", "valid"])
    found = detect({"interactions": events}, {})
    assert (found.columns["rating"], found.rating_range, found.columns["split"]) == ("stars", (0.5, 5.0), "fold")
    values = found.params("shop", "utf-8")
    assert values["validation"] == {"rating_min": 0.5, "rating_max": 5.0, "max_quarantine_share": 0.01}
    assert values["split"] == {"method": "predefined"}


def test_a_column_with_other_parts_cannot_be_the_split_that_a_person_says_it_is() -> None:
    events = table(user_id=USERS, item_id=ITEMS, group=["train", "holdout", "test"])
    with pytest.raises(BakeoffError, match="'group' can't be the split, since it holds other values than train, valid"):
        detect({"interactions": events}, {"split": "group"})


def test_events_without_times_are_split_at_random_and_not_predicted_in_order() -> None:
    values = detect({"interactions": table(user_id=USERS, item_id=ITEMS)}, {}).params("shop", "utf-8")
    assert (values["split"], values["softmax"]) == ({"method": "random"}, {"objective": "reconstruct"})
    assert values["data"]["columns"]["timestamp"] is None
    assert not {"ease", "mf"} & values.keys()


def test_where_events_have_times_no_baseline_is_blind_to_their_order() -> None:
    values = detect({"interactions": table(user_id=USERS, item_id=ITEMS, timestamp=TIMES)}, {}).params("shop", "utf-8")
    assert all(values[model]["recency_scale"] for model in ("ease", "mf"))
    assert not {"softmax", "split"} & values.keys()


def test_events_that_repeat_others_are_counted_and_do_not_stop_the_run() -> None:
    found = detect({"interactions": table(user_id=["u", "u", "u", "v"], item_id=["a", "a", "b", "a"])}, {})
    assert found.repeated == 0.25
    assert found.params("shop", "utf-8")["validation"]["max_quarantine_share"] == 0.26


def numbered(template: str, count: int = 200) -> pa.Array:
    return text(*[template.format(i) for i in range(count)])


@pytest.mark.parametrize(
    ("values", "is_item", "kind"),
    [
        (text(*["10.5", "11"] * 50), False, "dense"),
        (text(*[str(i % 60) for i in range(200)]), False, "dense"),
        (text(*[str(i % 20) for i in range(200)]), False, "categorical"),
        (text(*["F", "M"] * 50), False, "categorical"),
        (text(*["a|b", "a", "b|c"] * 30), True, "tags"),
        (numbered("0.5|{}|1"), True, "vector"),
        (numbered("0.5|{}|1e-3"), False, "vector"),
        (numbered("3|{}|1"), True, "tags"),  # whole numbers, as ids are
        (text(*["0.5|1", "0.25"] * 30), True, "tags"),  # of different lengths
        (numbered("The adventures of {}"), True, "text"),
        (numbered("The adventures of {}"), False, None),
        (numbered("{}"), True, None),
        (numbered("https://example.com/{}"), True, None),
        (text(*["same"] * 50), True, None),
        (text(*["x", "y", "", "", "", ""] * 9), True, None),
    ],
)
def test_kinds_of_features(values: pa.Array, is_item: bool, kind: str | None) -> None:
    found, reason = feature_kind(values, is_item)
    assert (found, bool(reason)) == (kind, kind is None)


def test_encodings(tmp_path: Path) -> None:
    def files(**contents: bytes) -> list[Path]:
        for name, content in contents.items():
            (tmp_path / f"{name}.csv").write_bytes(content)
        return [tmp_path / f"{name}.csv" for name in contents]

    plain, umlaut = b"id\nx\n", "id\nÄ\n"
    assert find_encoding(files(a=plain)) == "utf-8"
    assert find_encoding(files(a=plain, b=umlaut.encode())) == "utf-8"
    assert find_encoding(files(a=plain, b=umlaut.encode("cp1252"))) == "cp1252"
    assert find_encoding(files(a=umlaut.encode("utf-16"))) == "utf-16"
    with pytest.raises(BakeoffError, match=r"different encodings \(.*a\.csv in utf-8, .*b\.csv in cp1252\): write all"):
        find_encoding(files(a=umlaut.encode(), b=umlaut.encode("cp1252")))
