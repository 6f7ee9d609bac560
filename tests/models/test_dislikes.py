"""What users dislike, from the split to the scores of a trained model."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small import FAST, histories

from bakeoff.data.features.encoding import FeatureEncoding
from bakeoff.data.prepared.tables import Prepared
from bakeoff.experiments.subsets import with_users, withhold
from bakeoff.experiments.training.runner import Experiment
from bakeoff.models.base.specs import spec
from bakeoff.models.mf.spec import MFParams

NUM_USERS, NUM_ITEMS = 40, 30
SETTINGS = {"mf": MFParams(dim=4, max_epochs=4), "softmax": FAST.model_copy(update={"max_epochs": 6})}


@pytest.fixture(scope="module")
def splits():
    """Without and with dislikes: everyone dislikes three of the items that they have not had; user 0 has no event."""
    rng = np.random.default_rng(1)
    drawn = [rng.permutation(NUM_ITEMS) for _ in range(NUM_USERS)]
    users = pd.DataFrame({"user_id": [str(user) for user in range(NUM_USERS)], "is_new": False})
    items = pd.DataFrame({"item_id": [str(item) for item in range(NUM_ITEMS)], "title": ""})
    train = histories([[], *(row[:8].tolist() for row in drawn[1:])])
    plain = Prepared.encoded(users, items, FeatureEncoding(), train, train.first(0))
    dislikes = histories([row[8:11].tolist() for row in drawn])
    return plain, replace(plain, dislikes=replace(dislikes, weights=np.full(len(dislikes.items), -20, np.float32)))


@pytest.mark.parametrize("model", SETTINGS)
def test_what_users_dislike_scores_lower_for_them(splits, model):
    found = []
    for prepared in splits:
        experiment = Experiment(spec(model), SETTINGS[model], prepared, 3)
        queries = experiment.queries(prepared.train)
        trainer = experiment.trainer(queries)
        for _ in range(experiment.max_epochs):
            trainer.run_epoch()
        retriever = trainer.retriever()
        # Of a trained user: fold-in of MF does not know of dislikes, its own embeddings do.
        users = trainer.user_embeddings if model == "mf" else retriever.embed_queries(queries)
        scores = users @ retriever.item_embeddings.T
        dislikes = splits[1].trained_dislikes
        found.append((scores[dislikes.rows, dislikes.items].mean() - scores.mean()) / scores.std())
    assert found[1] < found[0] - 0.1


def test_dislikes_follow_the_users_and_items_of_a_part_of_the_split(splits):
    _, prepared = splits
    assert prepared.trained_dislikes.items.tolist() == prepared.dislikes.items[3:].tolist()
    few = with_users(prepared, np.array([0, 5]))
    assert few.trained_dislikes.items.tolist() == prepared.dislikes.items[15:18].tolist()
    assert not np.isin(withhold(prepared, np.arange(10)).dislikes.items, np.arange(10)).any()
