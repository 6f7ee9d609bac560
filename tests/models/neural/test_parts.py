import time

import numpy as np
import pytest
from small import FAST_TWO_TOWER, no_features, numbered, random_rows

from bakeoff.data.features.encoding import EncodedFeatures
from bakeoff.models.base.tensorflow import tf
from bakeoff.models.base.waiting import Waiting, share_of
from bakeoff.models.neural.params import TwoTowerParams
from bakeoff.models.neural.parts import Part, part_of
from bakeoff.models.neural.trainer import SoftmaxTrainer

NUM_ITEMS = 12
PEOPLE = numbered(random_rows(np.random.default_rng(0), 11, NUM_ITEMS, 8))
FEATURES = EncodedFeatures(
    np.linspace(-1, 1, NUM_ITEMS, dtype=np.float32)[:, np.newaxis], np.zeros((NUM_ITEMS, 0), np.int32), ()
)


def trainer(**values):
    params = TwoTowerParams.model_validate({**FAST_TWO_TOWER.model_dump(), "users_per_batch": 5, **values})
    features = FEATURES if values.get("item_id_dropout") else no_features(NUM_ITEMS)
    return SoftmaxTrainer(PEOPLE, NUM_ITEMS, features, {"user_id": 11}, params, seed=1)


def gradients(made, batch):
    """Loss of a training step and its gradients, those of embedding tables by row."""
    with tf.GradientTape() as tape:
        loss = made._model.compute_loss({name: tf.constant(array) for name, array in batch.items()}, training=True)
    found = tape.gradient(loss, made._model.trainable_variables)
    return [loss.numpy(), *(tf.convert_to_tensor(gradient).numpy() for gradient in found)]


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ({"dropout": 0.5, "item_id_dropout": 0.4, "item_text_dropout": 0.4, "loss": "multi-hot"}, 7),
        ({"dropout": 0.5, "loss": "per-pair", "long_term_share": 0.5, "weight_pairs_equally": True}, 3),
        ({"objective": "reconstruct", "negatives": {"selection": "top-k", "num_selected": 3}}, 2),
    ],
    ids=["two-tower", "per-pair", "reconstruct"],
)
def test_over_the_parts_of_a_batch_loss_and_gradients_are_those_of_the_whole(values, count):
    # 5 users in 7 parts: two have nobody of their own.
    made = trainer(**values)
    batch = next(made._batches.epoch())
    whole = gradients(made, batch)
    parts = [gradients(made, part_of(batch, Part(index, count))) for index in range(count)]
    for number, total in enumerate(whole):
        np.testing.assert_allclose(sum(part[number] for part in parts), total, atol=2e-6, err_msg=str(number))
    assert np.abs(whole[1]).max() > 0.001


def test_every_user_and_every_pair_is_of_one_part():
    made = trainer()
    batch = next(made._batches.epoch())
    parts = [part_of(batch, Part(index, 2)) for index in range(2)]
    assert [len(part["dense"]) for part in parts] == [2, 3]
    assert sum(len(part["targets"]) for part in parts) == len(batch["targets"])
    assert sum(part["share"] for part in parts) == pytest.approx(1)
    found = np.concatenate([part["item_ids"][part["targets"]] for part in parts])
    assert sorted(found) == sorted(batch["item_ids"][batch["targets"]])


def test_a_part_takes_along_no_item_that_it_does_not_need():
    made = trainer()
    batch = next(made._batches.epoch())
    part = part_of(batch, Part(0, 2))
    needed = np.unique(np.concatenate([part["history"], part["targets"], part["candidates"]]))
    assert needed.tolist() == list(range(len(part["item_ids"])))
    assert part["item_ids"].tolist() == batch["item_ids"][part["item_places"]].tolist()


def test_batches_that_are_prepared_ahead_are_the_same_in_the_same_order():
    ahead, plain = trainer(users_per_batch=2), trainer(users_per_batch=2)
    found = [{name: array.numpy() for name, array in batch.items()} for batch in ahead._dataset]
    expected = list(plain._batches.epoch())
    assert len(found) == len(expected) == plain._batches.per_epoch > 2
    for one, other in zip(found, expected, strict=True):
        assert {name: array.tobytes() for name, array in one.items()} == {
            name: array.tobytes() for name, array in other.items()
        }


def test_what_is_waited_for_is_told_from_what_is_worked():
    def slow():
        for _ in range(3):
            time.sleep(0.02)
            yield 0

    waiting, working = Waiting(), Waiting()
    list(waiting.over(slow()))
    for _ in working.over(range(3)):
        time.sleep(0.02)
    assert waiting.waited >= 0.06
    assert waiting.total - waiting.waited < 0.06
    assert working.total - working.waited >= 0.06
    assert share_of([]) is None
    assert share_of([waiting, working]) == (waiting.waited + working.waited) / (waiting.total + working.total)
