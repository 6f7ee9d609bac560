import numpy as np
from small_prepared import world

from bakeoff.core.histories import draw_users
from bakeoff.experiments.subsets import with_users
from bakeoff.experiments.variants.protocol import held_out_with_users, sample_sentence


def test_all_users_are_drawn_where_there_are_no_more_than_asked_for():
    assert draw_users(5, 5, seed=1).tolist() == [0, 1, 2, 3, 4]
    assert sample_sentence(5, 5) == ""


def test_a_sample_is_seeded_ascending_and_said():
    drawn = draw_users(100, 10, seed=1)
    assert len(drawn) == 10
    assert (np.diff(drawn) > 0).all()
    assert drawn.tolist() == draw_users(100, 10, seed=1).tolist()
    assert "10 of 100 users" in sample_sentence(10, 100)


def test_a_split_of_some_users_holds_their_events_and_counts_no_others():
    prepared, held_out = world()
    users = np.array([1, 4, len(prepared.users) - 1])
    part, held = with_users(prepared, users), held_out_with_users(held_out, users)
    assert part.users["user_id"].to_pylist() == prepared.user_ids(users).to_pylist()
    assert part.num_warm_users == 2
    assert part.train.items.tolist() == prepared.train.take(users).items.tolist()
    assert part.train_counts.sum() == 8  # four train events of each of two warm users
    assert part.known().item_counts(part.num_items).sum() == 10  # and one of validation
    assert len(part.items) == len(prepared.items)
    np.testing.assert_array_equal(part.user_features.dense, prepared.user_features.dense[users])
    assert (held.test.lengths > 0).tolist() == [True, True, False]
    assert (held.new_test.lengths > 0).tolist() == [False, False, True]
