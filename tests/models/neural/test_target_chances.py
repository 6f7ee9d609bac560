import numpy as np
import pytest
from small import histories

from bakeoff.models.neural.batches import predict_next, reconstruct, target_chances
from bakeoff.models.neural.spec import SoftmaxParams

ROWS = [[0, 1, 2, 3, 4], [5], [6, 7]]


def simulated(make, params, repeats):
    """Share of batches in which each event of ROWS is a target: each of `repeats` copies of the users is one."""
    many = histories(ROWS * repeats)
    found = make(many, params, np.random.default_rng(0))
    is_target = np.zeros(len(many.items))
    is_target[found.target_positions] = 1
    return is_target.reshape(repeats, -1).mean(axis=0)


@pytest.mark.parametrize("empty", [0.0, 0.3])
@pytest.mark.parametrize("window", [1, 2, 9])
def test_chances_of_targets_are_those_of_a_simulation(empty, window):
    params = SoftmaxParams(target_window=window, empty_history_share=empty, cuts_per_user=2)
    repeats = 20_000
    chances = target_chances(histories(ROWS), params)
    tolerance = 5 * np.sqrt(chances * (1 - chances) / repeats)
    counts = simulated(predict_next, params, repeats)
    assert (np.abs(counts - chances) <= tolerance + 1e-12).all(), (counts, chances)


def test_what_is_reconstructed_is_a_target_for_sure():
    params = SoftmaxParams(objective="reconstruct", history_dropout=0.5)
    chances = target_chances(histories(ROWS), params)
    assert chances.tolist() == [1] * 8
    assert simulated(reconstruct, params, 100).tolist() == chances.tolist()


def test_chances_by_hand():
    # Three events, one cut, window 1, empty share .2: the first is hit by the empty history, each other by one of
    # the two later cuts: .8/2. Two cuts miss .8 with chance .04 and .4 with chance .36.
    rows = histories([[0, 1, 2]])
    one, two = (
        target_chances(rows, SoftmaxParams(target_window=1, empty_history_share=0.2, cuts_per_user=c)) for c in (1, 2)
    )
    assert one.tolist() == pytest.approx([0.2, 0.4, 0.4])
    assert two.tolist() == pytest.approx([0.36, 0.64, 0.64])


def test_the_only_event_of_a_user_is_a_target_for_sure():
    assert target_chances(histories([[3]]), SoftmaxParams()).tolist() == [1]


@pytest.mark.parametrize("empty", [0.0, 0.3])
@pytest.mark.parametrize("window", [1, 2, 9])
def test_the_events_of_an_item_that_a_user_has_again_are_a_target_together(empty, window):
    # Item 1 is repeated at once, and later; item 0 far apart.
    rows, repeats = [[0, 1, 1, 2, 3, 1, 0], [4, 4]], 20_000
    params = SoftmaxParams(target_window=window, empty_history_share=empty, cuts_per_user=2)
    chances = target_chances(histories(rows), params)
    many = histories(rows * repeats)
    found = predict_next(many, params, np.random.default_rng(0))
    is_target = np.zeros((len(many), 5))
    is_target[many.rows[found.target_positions], many.items[found.target_positions]] = 1
    counts = is_target.reshape(repeats, len(rows), 5).mean(axis=0)
    expected = np.zeros((len(rows), 5))
    for user, row in enumerate(rows):
        of_user = chances[:7] if user == 0 else chances[7:]
        for item in set(row):
            [expected[user, item]] = {of_user[place] for place, each in enumerate(row) if each == item}
    tolerance = 5 * np.sqrt(expected * (1 - expected) / repeats)
    assert (np.abs(counts - expected) <= tolerance + 1e-12).all(), (counts, expected)
