import numpy as np
import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.experiments.params import PlantedParams
from bakeoff.experiments.planted.contenders import generate
from bakeoff.params import parse_params

PARAMS = PlantedParams(groups=3, users_per_group=40, items_per_group=20, events_per_user=10)


def parts(dataset):
    return {"train": dataset.prepared.train, "valid": dataset.prepared.valid, "test": dataset.held_out.test}


def is_foreign(dataset, histories):
    return dataset.user_groups[histories.rows] != dataset.item_groups[histories.items]


def test_groups_have_the_sizes_that_were_asked_for():
    dataset = generate(PARAMS, 1)
    assert np.bincount(dataset.user_groups).tolist() == [40, 40, 40]
    assert np.bincount(dataset.item_groups).tolist() == [20, 20, 20]
    assert (dataset.prepared.num_users, dataset.prepared.num_items) == (120, 60)


def test_every_user_has_its_events_in_three_parts_and_no_item_twice():
    # Of 10 events the last 20 % are test and the 10 % before them validation.
    dataset = generate(PARAMS, 1)
    assert {name: set(part.lengths.tolist()) for name, part in parts(dataset).items()} == {
        "train": {7},
        "valid": {1},
        "test": {2},
    }
    every = dataset.prepared.known().merged(dataset.held_out.test)
    assert len(set(zip(every.rows.tolist(), every.items.tolist(), strict=True))) == 1200


def test_without_noise_nobody_meets_an_item_of_another_group():
    dataset = generate(PARAMS, 1)
    assert not any(is_foreign(dataset, part).any() for part in parts(dataset).values())
    assert not dataset.held_out.new_test.lengths.any()


def test_noise_is_its_share_of_train_events_and_spares_the_rest():
    dataset = generate(PARAMS.model_copy(update={"noise": 0.3}), 1)
    shares = {name: is_foreign(dataset, part).mean() for name, part in parts(dataset).items()}
    assert shares["valid"] == shares["test"] == 0
    assert shares["train"] == pytest.approx(0.3, abs=0.05)  # 840 events: a standard deviation of .016


def test_the_first_items_of_a_group_are_the_popular_ones_in_every_part():
    dataset = generate(PARAMS, 1)
    for name, part in parts(dataset).items():
        counts = np.bincount(part.items, minlength=60)
        assert counts[:15].sum() > 1.5 * counts[45:].sum(), name


def test_the_same_seed_builds_the_same_dataset():
    one, other, third = (generate(PARAMS, seed).prepared.train.items for seed in (1, 1, 2))
    assert np.array_equal(one, other)
    assert not np.array_equal(one, third)


def test_relatedness_is_one_within_the_group_and_zero_across():
    dataset = generate(PARAMS, 1)
    assert dataset.relatedness[4].tolist() == [float(item % 3 == 1) for item in range(60)]


def test_a_group_with_too_few_items_is_refused():
    with pytest.raises(BakeoffError, match=r"events_per_user is 21 .* 20 items"):
        parse_params({"evidence": {"planted": {"items_per_group": 20, "events_per_user": 21}}})


def test_too_few_events_for_three_parts_are_refused():
    with pytest.raises(BakeoffError, match=r"events_per_user: .* 3 \(got 2\)"):
        parse_params({"evidence": {"planted": {"events_per_user": 2}}})
