from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import histories

from bakeoff.models.neural.batches import predict_next, reconstruct
from bakeoff.models.neural.spec import SoftmaxParams

LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=6)
SEEDS = st.integers(0, 2**32)
MAKERS = [predict_next, reconstruct]


def of_lengths(lengths):
    return histories([list(range(length)) for length in lengths])


def examples_of(make, lengths, seed=0, **values):
    defaults = {"cuts_per_user": 3, "target_window": 2, "empty_history_share": 0.2, "max_history": 4}
    return make(of_lengths(lengths), SoftmaxParams(**(defaults | values)), np.random.default_rng(seed))


def read_by(examples):
    """Positions that each query reads."""
    return [part.tolist() for part in np.split(examples.positions, examples.offsets[1:-1])]


def targets_of(examples, row):
    return examples.target_positions[examples.target_rows == row].tolist()


def starts_of(lengths):
    return np.concatenate([[0], np.cumsum(lengths)])


@settings(max_examples=30, deadline=None)
@given(lengths=LENGTHS, seed=SEEDS, max_history=st.integers(1, 5))
def test_a_query_reads_the_items_before_its_cut_the_last_first(lengths, seed, max_history):
    found = examples_of(predict_next, lengths, seed, max_history=max_history)
    starts = np.repeat(starts_of(lengths)[:-1], 3)
    for read, start, cut in zip(read_by(found), starts, found.lengths, strict=True):
        assert read == [start + cut - 1 - lag for lag in range(min(cut, max_history))]


@settings(max_examples=30, deadline=None)
@given(lengths=LENGTHS, seed=SEEDS, window=st.integers(1, 4))
def test_the_targets_are_the_next_items_after_the_cut(lengths, seed, window):
    found = examples_of(predict_next, lengths, seed, target_window=window)
    starts, ends = (np.repeat(border, 3) for border in (starts_of(lengths)[:-1], starts_of(lengths)[1:]))
    for row, (start, end, cut) in enumerate(zip(starts, ends, found.lengths, strict=True)):
        assert targets_of(found, row) == list(range(start + cut, min(start + cut + window, end)))


@settings(max_examples=30, deadline=None)
@given(lengths=LENGTHS, seed=SEEDS)
def test_cuts_lie_within_the_history(lengths, seed):
    found = examples_of(predict_next, lengths, seed)
    assert len(found.lengths) == 3 * len(lengths)
    assert (found.lengths >= 0).all()
    assert (found.lengths < np.repeat(lengths, 3)).all()


@pytest.mark.parametrize("make", MAKERS)
@settings(max_examples=20, deadline=None)
@given(lengths=LENGTHS, seed=SEEDS)
def test_lags_count_from_the_last_item_that_is_read(make, lengths, seed):
    found = examples_of(make, lengths, seed)
    lags = [part.tolist() for part in np.split(found.lags, found.offsets[1:-1])]
    assert lags == [list(range(len(read))) for read in read_by(found)]


@pytest.mark.parametrize("make", MAKERS)
@settings(max_examples=20, deadline=None)
@given(lengths=LENGTHS, seed=SEEDS)
def test_each_entry_knows_how_many_its_query_reads(make, lengths, seed):
    found = examples_of(make, lengths, seed)
    assert found.counts.tolist() == [len(read) for read in read_by(found) for _ in read]


def test_a_history_of_one_event_is_predicted_from_nothing():
    found = examples_of(predict_next, [1, 1], cuts_per_user=5, empty_history_share=0)
    assert found.lengths.tolist() == [0] * 10
    assert read_by(found) == [[]] * 10
    assert found.target_positions.tolist() == [0] * 5 + [1] * 5


def test_empty_histories_have_the_share_that_was_asked_for():
    found = examples_of(predict_next, [3] * 100, cuts_per_user=400)
    shares = [float((found.lengths == cut).mean()) for cut in range(3)]
    # 40,000 cuts: a standard error of .0025 at most. The cuts from 1 on share the rest evenly.
    assert shares == pytest.approx([0.2, 0.4, 0.4], abs=0.0125)


def test_without_a_share_of_empty_histories_no_cut_is_at_zero():
    found = examples_of(predict_next, [3] * 4, cuts_per_user=200, empty_history_share=0)
    assert set(found.lengths.tolist()) == {1, 2}


@settings(max_examples=20, deadline=None)
@given(lengths=LENGTHS, seed=SEEDS)
def test_reconstruction_makes_a_target_of_every_item_once(lengths, seed):
    found = examples_of(reconstruct, lengths, seed)
    assert found.target_positions.tolist() == list(range(sum(lengths)))
    assert found.target_rows.tolist() == [user for user, length in enumerate(lengths) for _ in range(length)]


@settings(max_examples=30, deadline=None)
@given(lengths=LENGTHS, seed=SEEDS)
def test_reconstruction_reads_items_of_the_user_that_were_kept_the_last_first(lengths, seed):
    found = examples_of(reconstruct, lengths, seed, max_history=100)
    starts = starts_of(lengths)
    for user, read in enumerate(read_by(found)):
        assert read == sorted(set(read), reverse=True)
        assert set(read) <= set(range(starts[user], starts[user + 1]))


@settings(max_examples=30, deadline=None)
@given(lengths=LENGTHS, seed=SEEDS, max_history=st.integers(1, 4))
def test_reconstruction_reads_the_last_of_the_kept(lengths, seed, max_history):
    # The same seed keeps the same items, however many of them are read.
    kept, read = (
        read_by(examples_of(reconstruct, lengths, seed, history_dropout=0.3, max_history=width))
        for width in (100, max_history)
    )
    assert read == [row[:max_history] for row in kept]


def test_reconstruction_drops_the_share_of_items_that_was_asked_for():
    found = examples_of(reconstruct, [50] * 400, history_dropout=0.3, empty_history_share=0, max_history=50)
    # 20,000 items: a standard error of .0032
    assert len(found.positions) / 20_000 == pytest.approx(0.7, abs=0.016)


def test_reconstruction_drops_all_of_a_history_with_the_share_that_was_asked_for():
    found = examples_of(reconstruct, [3] * 4_000, history_dropout=0, empty_history_share=0.25)
    read = np.diff(found.offsets)
    assert set(read.tolist()) == {0, 3}
    # 4,000 users: a standard error of .0068
    assert float((read == 0).mean()) == pytest.approx(0.25, abs=0.034)


def test_reconstruction_tells_how_much_the_user_has_unless_all_was_dropped():
    found = examples_of(reconstruct, [6] * 200, history_dropout=0.5, empty_history_share=0.3)
    read = np.diff(found.offsets)
    assert set(found.lengths[read > 0].tolist()) == {6}
    assert set(found.lengths[read == 0].tolist()) == {0}


@pytest.mark.parametrize("make", MAKERS)
@settings(max_examples=20, deadline=None)
@given(lengths=LENGTHS, seed=SEEDS)
def test_every_query_weighs_the_same_and_shares_it_among_its_targets(make, lengths, seed):
    found = examples_of(make, lengths, seed)
    number = np.bincount(found.target_rows)
    assert number.min() > 0
    assert found.target_weights.tolist() == pytest.approx((1 / number[found.target_rows]).tolist())


@pytest.mark.parametrize("make", MAKERS)
def test_pairs_weigh_the_same_where_the_settings_say_so(make):
    found = examples_of(make, [1, 5, 9], weight_pairs_equally=True)
    assert found.target_weights.tolist() == [1] * len(found.target_rows)


@pytest.mark.parametrize("make", MAKERS)
def test_the_seed_decides_on_the_examples(make):
    first, again, other = (examples_of(make, [9] * 10, seed) for seed in (1, 1, 2))
    names = [field.name for field in fields(first)]
    assert all(np.array_equal(getattr(first, name), getattr(again, name)) for name in names)
    assert read_by(first) != read_by(other)
