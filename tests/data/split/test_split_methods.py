from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from split_oracle import FEW, SHARES, digest, events, part_of, repeated_events


@FEW
@given(events, st.sampled_from(SHARES), st.sampled_from(SHARES))
def test_user_temporal_takes_the_floored_share_of_each_users_last_events(assign, rows, test_share, valid_share):
    parts = assign(rows, test_share=test_share, valid_share=valid_share)
    counts = parts.groupby("user_id").item_id.transform("size")
    expected = [
        part_of(place, count, test_share, valid_share) for place, count in zip(parts.position, counts, strict=True)
    ]
    assert list(parts.part) == expected
    assert set(parts.user_id[parts.part == "train"]) == {row[0] for row in rows}


@FEW
@given(events, st.sampled_from(SHARES), st.sampled_from(SHARES))
def test_global_temporal_cuts_one_order_of_all_events(assign, rows, test_share, valid_share):
    parts = assign(rows, method="global-temporal", test_share=test_share, valid_share=valid_share)
    key = [
        (time, digest(f"42|{user}|{item}"), user, item)
        for user, item, time in zip(parts.user_id, parts.item_id, parts.timestamp, strict=True)
    ]
    expected = {row: part_of(place, len(key), test_share, valid_share) for place, row in enumerate(sorted(key))}
    warm = {row[2] for row, part in expected.items() if part == "train"}
    for row, got in zip(key, parts.part, strict=True):
        part = expected[row]
        assert got == (part if row[2] in warm else "new_test" if part == "test" else "new_history")


@FEW
@given(events, st.sampled_from(SHARES))
def test_leave_last_out_takes_one_event_each_from_users_with_three_or_more(assign, rows, share):
    parts = assign(rows, method="leave-last-out", test_share=share)
    for _, history in parts.groupby("user_id"):
        n = len(history)
        expected = ["train"] * n if n < 3 else ["train"] * (n - 2) + ["valid", "test"]
        assert list(history.part) == expected


@FEW
@given(events, st.sampled_from(SHARES), st.sampled_from(SHARES))
def test_random_cuts_each_users_events_in_the_order_of_a_hash(assign, rows, test_share, valid_share):
    parts = assign(rows, method="random", test_share=test_share, valid_share=valid_share)
    for user, history in parts.groupby("user_id"):
        by_hash = sorted(history.item_id, key=lambda item: (digest(f"42|random|{user}|{item}"), item))
        expected = {i: part_of(p, len(by_hash), test_share, valid_share) for p, i in enumerate(by_hash)}
        assert dict(zip(history.item_id, history.part, strict=True)) == expected


@FEW
@given(repeated_events, st.sampled_from(SHARES), st.sampled_from(SHARES))
def test_random_draws_each_event_of_a_pair_by_itself_where_repeats_are_kept(assign, rows, test_share, valid_share):
    parts = assign(rows, method="random", keep_repeats=True, test_share=test_share, valid_share=valid_share)
    for user, history in parts.groupby("user_id"):
        had = list(zip(history.item_id, history.timestamp, strict=True))
        by_hash = sorted(had, key=lambda event: (digest(f"42|random|{user}|{event[0]}|{event[1]}"), event))
        expected = {event: part_of(p, len(had), test_share, valid_share) for p, event in enumerate(by_hash)}
        assert dict(zip(had, history.part, strict=True)) == expected


def test_a_random_split_of_repeats_tests_items_that_are_known(assign):
    # 10 plays of each of 10 items: the chance that all 10 of an item are among the 20 test events of 100 is 1e-8.
    rows = [("u", f"i{play % 10}", play) for play in range(100)]
    parts = assign(rows, method="random", keep_repeats=True, test_share=0.2, valid_share=0)
    assert set(parts.item_id[parts.part == "test"]) <= set(parts.item_id[parts.part == "train"])


@FEW
@given(repeated_events, st.sampled_from(SHARES))
def test_validation_of_a_predefined_split_is_drawn_event_by_event_where_repeats_are_kept(assign, rows, share):
    known = [(*row, "train") for row in rows]
    parts = assign(known, method="predefined", keep_repeats=True, valid_share=share)
    for user, history in parts.groupby("user_id"):
        had = list(zip(history.item_id, history.timestamp, strict=True))
        by_hash = sorted(had, key=lambda event: (digest(f"42|valid|{user}|{event[0]}|{event[1]}"), event))
        chosen = by_hash[: int(len(had) * Fraction(share))]
        assert {event for event, part in zip(had, history.part, strict=True) if part == "valid"} == set(chosen)


@FEW
@given(events, st.sampled_from(SHARES), st.integers(0, 3))
def test_the_users_with_the_smallest_hashes_are_held_out(assign, rows, share, seed):
    parts = assign(rows, seed=seed, new_user_share=share)
    users = sorted({row[0] for row in rows}, key=lambda user: (digest(f"{seed}|new|{user}"), user))
    num_new = int(len(users) * Fraction(share) + Fraction(1, 2))
    assert set(parts.user_id[parts.part.str.startswith("new_")]) == set(users[:num_new])


@FEW
@given(events)
def test_a_predefined_split_stays_as_given_for_users_with_train_events(assign, rows):
    rows = [*rows, ("~validated~", "x", 1, "valid"), ("~validated~", "y", 1, "train")]
    parts = assign(rows, method="predefined", new_user_share=0.5)
    given_parts = {row[:2]: row[3] for row in rows}
    warm = {user for (user, _), part in given_parts.items() if part == "train"}
    for user, item, got in zip(parts.user_id, parts.item_id, parts.part, strict=True):
        part = given_parts[user, item]
        assert got == (part if user in warm else "new_test" if part == "test" else "new_history")
