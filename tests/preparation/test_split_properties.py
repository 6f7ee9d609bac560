import pytest
from hypothesis import given
from hypothesis import strategies as st
from split_oracle import FEW, METHODS, SHARES, events, in_time_order


@pytest.mark.parametrize("method", METHODS)
def test_every_event_goes_to_exactly_one_part_and_none_is_invented(assign, method):
    @FEW
    @given(events, st.sampled_from(SHARES), st.integers(0, 3))
    def holds(rows, share, seed):
        parts = assign(rows, seed=seed, method=method, test_share=share, new_user_share=share)
        got = sorted(zip(parts.user_id, parts.item_id, parts.timestamp, strict=True))
        assert got == sorted(row[:3] for row in rows)
        assert set(parts.part) <= {"train", "valid", "test", "new_history", "new_test"}

    holds()


@pytest.mark.parametrize("method", METHODS)
def test_a_user_is_either_warm_with_a_train_event_or_new(assign, method):
    @FEW
    @given(events, st.sampled_from(SHARES))
    def holds(rows, share):
        parts = assign(rows, method=method, new_user_share=share)
        kinds = parts.part.str.startswith("new_").groupby(parts.user_id).nunique()
        assert (kinds == 1).all()
        warm = parts[~parts.part.str.startswith("new_")]
        assert (warm.part == "train").groupby(warm.user_id).any().all()

    holds()


@pytest.mark.parametrize("method", METHODS)
def test_positions_follow_time_and_then_the_md5_of_seed_user_and_item(assign, method):
    @FEW
    @given(events, st.integers(0, 3))
    def holds(rows, seed):
        parts = assign(rows, seed=seed, method=method)
        got = {user: list(zip(h.item_id, h.timestamp, strict=True)) for user, h in parts.groupby("user_id")}
        assert got == in_time_order(rows, seed)
        assert (parts.position == parts.groupby("user_id").cumcount()).all()

    holds()
