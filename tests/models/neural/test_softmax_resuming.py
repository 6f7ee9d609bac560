from types import SimpleNamespace

import numpy as np
import pytest
from small import FAST, no_features, queries, random_rows

from bakeoff.models.neural.spec import NegativesParams
from bakeoff.models.neural.trainer import SoftmaxTrainer

NUM_ITEMS = 12
PARAMS = FAST.model_copy(
    update={
        "max_epochs": 4,
        "dropout": 0.5,
        "smoothing": 0.5,
        "renormalize_every": 3,
        "negatives": NegativesParams(
            sampler="mixed", num_sampled=6, selection="hard", num_selected=3, hard_temperature=2.0
        ),
    }
)
PEOPLE = queries(random_rows(np.random.default_rng(0), 18, NUM_ITEMS, 8))


def trainer():
    return SoftmaxTrainer(PEOPLE, NUM_ITEMS, no_features(NUM_ITEMS), {}, PARAMS, seed=1)


def bytes_of(made):
    """All that a trainer carries on and exports."""
    retriever = made.retriever()
    exported = {"items": retriever.item_embeddings, "queries": retriever.embed_queries(PEOPLE)}
    return {name: array.tobytes() for name, array in (made.state() | exported).items()}


@pytest.fixture(scope="module")
def uninterrupted():
    """State after two epochs, a copy of it then, the losses of all four, and all bytes at the end."""
    made = trainer()
    losses = [made.run_epoch() for _ in range(2)]
    made.retriever()
    state = made.state()
    copy = {name: array.copy() for name, array in state.items()}
    losses += [made.run_epoch() for _ in range(2)]
    return SimpleNamespace(state=state, copy=copy, losses=losses, end=bytes_of(made))


def test_a_fresh_trainer_that_restores_a_state_goes_on_byte_for_byte(uninterrupted):
    made = trainer()
    made.restore(uninterrupted.copy)
    assert [made.run_epoch() for _ in range(2)] == uninterrupted.losses[2:]
    assert bytes_of(made) == uninterrupted.end


def test_without_the_state_it_would_start_anew(uninterrupted):
    made = trainer()
    assert made.run_epoch() == uninterrupted.losses[0] != uninterrupted.losses[2]


def test_a_state_is_a_copy_that_more_training_leaves_alone(uninterrupted):
    both = uninterrupted.state, uninterrupted.copy
    found, expected = ({name: array.tobytes() for name, array in each.items()} for each in both)
    assert found == expected
    assert found.items() - uninterrupted.end.items()
