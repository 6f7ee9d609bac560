import pytest
from hypothesis import given
from hypothesis import strategies as st
from split_oracle import FEW, METHODS, SHARES, events, in_time_order


def every_event_went_to_exactly_one_part_and_none_was_invented(parts, rows, seed):
    got = sorted(zip(parts.user_id, parts.item_id, parts.timestamp, strict=True))
    assert got == sorted(row[:3] for row in rows)
    assert set(parts.part) <= {"train", "valid", "test", "new_history", "new_test"}


def a_user_is_either_warm_with_a_train_event_or_new(parts, rows, seed):
    kinds = parts.part.str.startswith("new_").groupby(parts.user_id).nunique()
    assert (kinds == 1).all()
    warm = parts[~parts.part.str.startswith("new_")]
    assert (warm.part == "train").groupby(warm.user_id).any().all()


def positions_follow_time_and_then_the_md5_of_seed_user_and_item(parts, rows, seed):
    got = {user: list(zip(h.item_id, h.timestamp, strict=True)) for user, h in parts.groupby("user_id")}
    assert got == in_time_order(rows, seed)
    assert (parts.position == parts.groupby("user_id").cumcount()).all()


@pytest.mark.parametrize("method", METHODS)
def test_what_holds_of_every_split(assign, method):
    # All of the same split: making one takes longer than looking at it.
    @FEW
    @given(events, st.sampled_from(SHARES), st.sampled_from(SHARES), st.integers(0, 3))
    def holds(rows, test_share, new_user_share, seed):
        parts = assign(rows, seed=seed, method=method, test_share=test_share, new_user_share=new_user_share)
        every_event_went_to_exactly_one_part_and_none_was_invented(parts, rows, seed)
        a_user_is_either_warm_with_a_train_event_or_new(parts, rows, seed)
        positions_follow_time_and_then_the_md5_of_seed_user_and_item(parts, rows, seed)

    holds()
