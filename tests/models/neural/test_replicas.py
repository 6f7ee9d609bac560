"""What workers learn of their shares of a batch is, added up, what one process learns of the whole batch."""

import re

import numpy as np
import pytest
from contenders import shop
from small import FAST, FAST_TWO_TOWER

from bakeoff.core.errors import BakeoffError
from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural import replicas, trainer
from bakeoff.models.neural.spec import NegativesParams, TwoTowerNegativesParams

WORLD = shop()
DROPOUT = {"dropout": 0.5}
TWO_TOWER_DROPOUT = {"item_id_dropout": 0.5, "item_text_dropout": 0.5}


def settings(start=FAST, negatives=NegativesParams, sampler="in-batch", selection="none", **values):
    drawn = negatives(sampler=sampler, selection=selection, num_sampled=5, num_selected=3)
    return start.model_copy(update={"negatives": drawn, "users_per_batch": 7, **DROPOUT, **values})


def gradients(model, batch):
    """Dense gradients of every weight, and the loss, which comes first."""
    with tf.GradientTape() as tape:
        loss = model.compute_loss({name: tf.constant(array) for name, array in batch.items()}, training=True)
    found = tape.gradient(loss, model.trainable_variables, unconnected_gradients="zero")
    return [np.asarray(tf.convert_to_tensor(each)) for each in (loss, *found)]


@pytest.mark.parametrize(
    "params",
    [
        settings(),
        settings(sampler="mixed", loss="per-pair", weight_pairs_equally=True),
        settings(sampler="uniform", selection="top-k", objective="reconstruct"),
        settings(FAST_TWO_TOWER, TwoTowerNegativesParams, "mixed", **TWO_TOWER_DROPOUT),
    ],
    ids=["softmax", "mixed", "top-k", "two-tower"],
)
def test_loss_and_gradients_of_the_shares_add_up_to_those_of_the_batch(params):
    made, of = trainer.build(WORLD, WORLD.people, params, 3), 2
    for users in (np.arange(7), np.array([3])):  # with one user there is none for the other worker
        batch = made._batches._batch(users)
        shares = [replicas.share_of(batch, place, of) for place in range(of)]
        assert sum(share["weight"] for share in shares) == pytest.approx(1)
        for share in shares:
            assert share["item_ids"] is batch["item_ids"]
            assert share["candidates"] is batch["candidates"]
        parts = [gradients(made._model, share) for share in shares]
        for whole, *each in zip(gradients(made._model, batch), *parts, strict=True):
            np.testing.assert_allclose(np.sum(each, axis=0), whole, atol=1e-5)


def test_no_user_is_in_two_shares_and_none_is_left_out():
    made = trainer.build(WORLD, WORLD.people, settings(), 3)
    batch = made._batches._batch(np.arange(7))
    shares = [replicas.share_of(batch, place, 3) for place in range(3)]
    for name in ("own", "dense", "categorical", "activity", "history", "history_weights", "target_weights"):
        np.testing.assert_array_equal(np.concatenate([share[name] for share in shares]), batch[name])
    assert [share["rows"].tolist() for share in shares] == [[0, 28], [8, 28], [16, 28]]  # 7 users of 4 queries


@pytest.mark.parametrize(
    ("params", "says"),
    [
        (FAST.model_copy(update={"tower": "attention"}), "tower is attention, which draws at random"),
        (settings(selection="hard"), "negatives.selection is hard, which draws at random"),
    ],
)
def test_settings_whose_draws_are_those_of_the_whole_batch_are_refused(params, says):
    with pytest.raises(BakeoffError, match=re.escape(says)):
        replicas.build(WORLD, WORLD.people, params, 3)
