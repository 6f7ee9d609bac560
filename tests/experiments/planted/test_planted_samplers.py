import numpy as np
import pytest

from bakeoff.core.histories import Histories
from bakeoff.experiments.params import PlantedParams
from bakeoff.experiments.planted.contenders import generate, own_group_sampler, own_group_trainer
from bakeoff.experiments.variants.groups import positives_only_trainer
from bakeoff.models.base.tensorflow import seed_everything, tf
from bakeoff.models.neural.spec import SoftmaxParams

SOFTMAX = SoftmaxParams(dim=4, hidden=(4,), max_epochs=2, users_per_batch=4, cuts_per_user=2, loss="multi-hot")


@pytest.fixture(scope="module")
def dataset():
    return generate(PlantedParams(groups=3, users_per_group=10, items_per_group=12, events_per_user=6), 1)


@pytest.fixture(scope="module")
def asked(dataset):
    prepared = dataset.prepared
    return prepared.queries(prepared.train, np.arange(prepared.num_users))


@pytest.fixture(scope="module")
def own_group(dataset, asked):
    seed_everything(1)
    return own_group_trainer(dataset.user_groups)(dataset.prepared, asked, SOFTMAX, 1)


def tensors(batch):
    return {name: tf.constant(array) for name, array in batch.items()}


def groups_of(dataset, batch):
    ids = batch["item_ids"]
    return set(dataset.item_groups[ids[batch["candidates"]]]), set(dataset.item_groups[ids[batch["targets"]]])


def test_no_batch_shows_a_query_an_item_of_another_group(dataset, own_group):
    for batch in own_group._batches.epoch():
        candidates, targets = groups_of(dataset, batch)
        assert candidates == targets
        assert len(candidates) == 1


def test_an_epoch_sees_every_user_once_in_batches_of_equal_size(own_group):
    # Ten users of each of three groups in batches of at most four: 4, 3 and 3 of each group.
    sizes = [len(batch["own"]) for batch in own_group._batches.epoch()]
    assert sorted(sizes) == [3, 3, 3, 3, 3, 3, 4, 4, 4]
    assert own_group._batches.per_epoch == 9


def test_groups_come_in_random_order(dataset, own_group):
    order = [groups_of(dataset, batch)[1] for batch in own_group._batches.epoch()]
    assert order != sorted(order, key=min)


def test_what_is_expected_of_a_batch_is_what_one_of_its_group_brings():
    # Four users in two groups; a batch of two holds all of a group. User 0 alone has item 0: whoever else is in the
    # batch brings it for sure, as every event is a target (reconstruct). Of all four it would be one in three.
    histories = Histories.from_rows(np.arange(4), np.arange(4), np.zeros(4, np.int64), 4)
    params = SoftmaxParams(objective="reconstruct", users_per_batch=2)
    sampler = own_group_sampler(histories, 5, params, np.array([0, 1, 0, 1]))
    assert sampler.inclusion.tolist() == pytest.approx([1, 1, 1, 1, 0], abs=1e-12)
    drawn = sampler.draw(np.array([2, 0, 2], np.int32), np.random.default_rng(0))
    assert drawn.ids.tolist() == [0, 2]
    assert drawn.log_expected_count.tolist() == pytest.approx([0, 0], abs=1e-12)


def test_what_is_expected_of_a_batch_is_for_the_size_that_the_batches_of_its_group_have():
    # Five users of one group, an item each, in batches of at most four: of 3 and 2, which is 2.5 on average. A batch
    # has 1.5 of the 4 users other than the one who is asked about, and with each of them the item of that user.
    histories = Histories.from_rows(np.arange(5), np.arange(5), np.zeros(5, np.int64), 5)
    params = SoftmaxParams(objective="reconstruct", users_per_batch=4)
    sampler = own_group_sampler(histories, 5, params, np.zeros(5, np.int64))
    np.testing.assert_allclose(sampler.inclusion, 1.5 / 4)


def test_positives_only_masks_every_candidate_and_still_learns(dataset, asked):
    seed_everything(1)
    trainer = positives_only_trainer(dataset.prepared, asked, SOFTMAX, 1)
    batches = list(trainer._batches.epoch())
    assert all(batch["own"].all() for batch in batches)

    def loss():
        return np.mean([float(trainer._model.compute_loss(tensors(batch))) for batch in batches])

    before = loss()
    for _ in range(SOFTMAX.max_epochs):
        trainer.run_epoch()
    assert before > loss() > 0
