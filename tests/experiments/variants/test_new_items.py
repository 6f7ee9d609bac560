import numpy as np
import small_prepared
from small_prepared import histories

from bakeoff.experiments.subsets import withhold
from bakeoff.experiments.variants.protocol import MIN_EVENTS, draw_new_items, protocol_of


def rows(found):
    return [found.take(np.array([row])).items.tolist() for row in range(len(found))]


def split():
    # Item 0 has 6 events, one of them of validation; item 1 has 5, item 2 has 4; item 3 has none.
    train = [[0, 1], [0, 1, 2], [1, 0, 2], [0, 1, 2], [2, 1, 0], []]
    return small_prepared.prepared(train, [[], [], [], [], [], [0]], num_items=4)


def test_only_items_with_enough_train_and_validation_events_are_drawn():
    assert MIN_EVENTS == 5
    assert draw_new_items(split(), 0.99, seed=1).tolist() == [0, 1]


def test_a_share_of_the_eligible_items_is_drawn_and_at_least_one():
    prepared, _ = small_prepared.world()
    counts = np.bincount(prepared.known().items, minlength=prepared.num_items)
    eligible = int((counts >= MIN_EVENTS).sum())
    assert len(draw_new_items(prepared, 0.5, seed=1)) == round(0.5 * eligible)
    assert len(draw_new_items(prepared, 1e-9, seed=1)) == 1
    assert len(draw_new_items(prepared, 0, seed=1)) == 0


def test_the_seed_decides_what_is_drawn():
    prepared, _ = small_prepared.world()
    draws = [draw_new_items(prepared, 0.3, seed).tolist() for seed in range(9)]
    assert draws[0] == draw_new_items(prepared, 0.3, 0).tolist()
    assert len({tuple(each) for each in draws}) > 1


def test_nothing_that_models_see_has_an_event_of_a_new_item():
    before = split()
    seen = withhold(before, np.array([0, 2]))
    assert rows(seen.train) == [[1], [1], [1], [1], [1], []]
    assert rows(seen.valid) == [[]] * 6
    assert seen.train.timestamps.tolist() == [1001, 1001, 1000, 1001, 1001]
    assert seen.train_counts.tolist() == [0, 5, 0, 0]
    assert before.train_counts.tolist() == [5, 5, 4, 0]
    assert seen.num_items == 4


def test_events_on_new_items_alone_keep_their_rows():
    events = histories([[0, 1, 2], [1], [2]])
    assert rows(events.keep(np.isin(events.items, [0, 2]))) == [[0, 2], [], [2]]


def test_new_items_are_asked_for_at_the_time_of_their_events_with_what_was_before_left_out():
    prepared, held_out = small_prepared.world()
    protocol = protocol_of(small_prepared.PARAMS.experiments, "new-items", prepared, lambda: held_out)
    asked, new = protocol.warm, protocol.new_items
    assert asked.queries.times.tolist() == held_out.test.take(asked.users).first_times.tolist()
    assert not np.isin(asked.queries.histories.items, new).any()
    assert rows(asked.exclude) == rows(prepared.known().take(asked.users))
