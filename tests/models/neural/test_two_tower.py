import numpy as np
import pytest
from small import FAST, no_features, queries

from bakeoff.core.parameters import search_space
from bakeoff.data.features.encoding import EncodedFeatures
from bakeoff.data.features.value_sets import value_sets
from bakeoff.models.base.tensorflow import seed_everything, tf
from bakeoff.models.neural.item_tower import ItemTower
from bakeoff.models.neural.proposals import all_targets, make_sampler
from bakeoff.models.neural.spec import NegativesParams, SoftmaxParams, TwoTowerNegativesParams, TwoTowerParams
from bakeoff.models.neural.trainer import SoftmaxTrainer

NUM_GROUPS, PER_GROUP, NUM_SEEN = 4, 10, 7
"""Item j is in group j % 4, which its one tag says; the last three of each group have no event."""
NUM_ITEMS = NUM_GROUPS * PER_GROUP
GROUP = np.arange(NUM_ITEMS) % NUM_GROUPS
IS_SEEN = np.arange(NUM_ITEMS) < NUM_GROUPS * NUM_SEEN
TAGS = value_sets(np.arange(NUM_ITEMS), GROUP, NUM_ITEMS, NUM_GROUPS)
BY_GROUP = EncodedFeatures(
    np.zeros((NUM_ITEMS, 0), np.float32), np.zeros((NUM_ITEMS, 0), np.int32), (), tag_sets=(TAGS,)
)


def settings(**values):
    return TwoTowerParams(**FAST.model_dump(exclude={"negatives"}), item_hidden=(8,)).model_copy(update=values)


def people():
    """24 users with five of the seven seen items of one group each."""
    rng = np.random.default_rng(0)
    return queries(
        [(rng.choice(NUM_SEEN, 5, replace=False) * NUM_GROUPS + user % NUM_GROUPS).tolist() for user in range(24)]
    )


def scores(params, epochs=10):
    """[users, items]"""
    seed_everything(1)
    asked = people()
    trainer = SoftmaxTrainer(asked, NUM_ITEMS, BY_GROUP, {}, params, 1)
    for _ in range(epochs):
        trainer.run_epoch()
    retriever = trainer.retriever()
    return retriever.embed_queries(asked) @ retriever.item_embeddings.T


def own_unseen_beat_all_of_other_groups(found):
    """Share of users for whom every unseen item of their group stands above every item of the others."""
    own = np.arange(len(found))[:, np.newaxis] % NUM_GROUPS == GROUP
    worst = np.where(own & ~IS_SEEN, found, np.inf).min(axis=1)
    best = np.where(own, -np.inf, found).max(axis=1)
    return (worst > best).mean()


@pytest.mark.parametrize("values", [{"item_id_dropout": 0.5}, {"use_item_id": False}, {"item_hidden": ()}])
def test_new_items_are_ranked_by_their_features(values):
    assert own_unseen_beat_all_of_other_groups(scores(settings(**values))) == 1


def test_by_ids_alone_all_new_items_are_alike():
    found = scores(FAST.model_copy(update={"use_item_features": False}))
    assert not found[:, ~IS_SEEN].any()
    assert own_unseen_beat_all_of_other_groups(found) == 0


def test_negatives_from_the_whole_catalogue_teach_that_what_is_new_is_not_chosen():
    # A tag that says nothing but whether an item is new.
    tags = value_sets(
        np.repeat(np.arange(NUM_ITEMS), 2), np.stack([GROUP, NUM_GROUPS + IS_SEEN], axis=1).ravel(), NUM_ITEMS, 6
    )
    features = EncodedFeatures(BY_GROUP.dense, BY_GROUP.categorical, (), tag_sets=(tags,))
    found = {}
    for sampler in ("in-batch", "full"):
        seed_everything(1)
        params = settings(negatives=NegativesParams(sampler=sampler), item_id_dropout=0.5)
        trainer = SoftmaxTrainer(people(), NUM_ITEMS, features, {}, params, 1)
        for _ in range(6):
            trainer.run_epoch()
        retriever = trainer.retriever()
        ranks = retriever.embed_queries(people()) @ retriever.item_embeddings.T
        own = np.arange(len(ranks))[:, np.newaxis] % NUM_GROUPS == GROUP
        found[sampler] = ranks[own & ~IS_SEEN].mean() - ranks[own & IS_SEEN].mean()
    assert found["full"] < found["in-batch"] - 0.2


def embeddings(params, drop_at=None, seed=3):
    seed_everything(0)
    tower = ItemTower(params, BY_GROUP, np.ones(NUM_ITEMS, np.bool_), seed)
    return tower(tf.range(NUM_ITEMS), drop_at=drop_at).numpy(), tower


def test_a_dropped_id_leaves_what_the_features_say():
    params = settings(item_id_dropout=0.5)
    whole, tower = embeddings(params)
    dropped, _ = embeddings(params, drop_at=7)
    tower.id_embeddings.assign(tf.zeros_like(tower.id_embeddings))
    of_features = tower(tf.range(NUM_ITEMS)).numpy()
    is_whole = np.isclose(dropped, whole, atol=1e-6).all(axis=1)
    is_of_features = np.isclose(dropped, of_features, atol=1e-6).all(axis=1)
    assert (is_whole ^ is_of_features).all()
    # 40 items, each dropped with probability .5: outside 8 to 32 once in 10,000 runs
    assert 8 <= is_of_features.sum() <= 32


def test_dropped_words_leave_tags_and_the_id():
    each_a_word = value_sets(np.arange(NUM_ITEMS), np.arange(NUM_ITEMS), NUM_ITEMS, NUM_ITEMS)
    both, tags_alone = (
        ItemTower(
            settings(item_id_dropout=0.0, item_text_dropout=0.5, item_hidden=()),
            EncodedFeatures(BY_GROUP.dense, BY_GROUP.categorical, (), tag_sets=(TAGS,), word_sets=words),
            np.ones(NUM_ITEMS, np.bool_),
        )
        for words in ((each_a_word,), ())
    )
    for tower in (both, tags_alone):
        tower(tf.range(2))
    tags_alone.id_embeddings.assign(both.id_embeddings)
    tags_alone.feature_embeddings.assign(both.feature_embeddings[:NUM_GROUPS])
    found, whole, without = (
        tower(tf.range(NUM_ITEMS), drop_at=drop_at).numpy()
        for tower, drop_at in ((both, 2), (both, None), (tags_alone, None))
    )
    keeps_words = np.isclose(found, whole, atol=1e-6).all(axis=1)
    assert (keeps_words ^ np.isclose(found, without, atol=1e-6).all(axis=1)).all()
    assert 8 <= keeps_words.sum() <= 32


def test_the_same_seed_and_step_drop_the_same_ids_and_others_others():
    params = settings(item_id_dropout=0.5)
    first, _ = embeddings(params, drop_at=7)
    assert embeddings(params, drop_at=7)[0].tolist() == first.tolist()
    assert embeddings(params, drop_at=8)[0].tolist() != first.tolist()
    assert embeddings(params, drop_at=7, seed=4)[0].tolist() != first.tolist()


def test_nothing_is_dropped_when_nothing_is_trained():
    assert (
        embeddings(settings(item_id_dropout=0.9))[0].tolist() == embeddings(settings(item_id_dropout=0.0))[0].tolist()
    )


def test_training_drops_ids():
    # Where all but features are dropped, next to nothing is learned about an id: it stays near its start.
    def moved(share):
        seed_everything(1)
        trainer = SoftmaxTrainer(people(), NUM_ITEMS, BY_GROUP, {}, settings(item_id_dropout=share), 1)
        start = trainer._model.item_tower.id_embeddings.numpy()
        trainer.run_epoch()
        return np.abs(trainer._model.item_tower.id_embeddings.numpy() - start).max(axis=1)[IS_SEEN]

    assert (moved(0.99) == 0).mean() > 0.3
    assert (moved(0.0) > 0).all()


def test_an_item_tower_by_hand():
    _, tower = embeddings(settings(normalize=False))
    found = tower(tf.constant([5])).numpy()
    sums = tower.feature_embeddings.numpy()[[1]]  # item 5 is in group 1, its only tag
    hidden, output = tower._hidden[0], tower._output
    network = np.maximum(sums @ hidden.kernel.numpy(), 0) @ output.kernel.numpy()  # biases start at 0
    assert np.abs(network).max() > 1e-4
    assert found == pytest.approx(tower.id_embeddings.numpy()[[5]] + sums + network, abs=1e-6)


def test_without_ids_there_is_no_table_of_them():
    _, tower = embeddings(settings(use_item_id=False))
    names = {weight.name.split("/")[-1].split(":")[0] for weight in tower.weights}
    assert names == {"feature_embeddings", "kernel", "bias"}


def test_items_without_any_feature_fall_back_on_ids():
    tower = ItemTower(settings(use_item_id=False, item_id_dropout=0.5), None, np.array([True, True]))
    ids = tower(tf.range(2), drop_at=1).numpy()
    assert np.linalg.norm(ids, axis=1) == pytest.approx([1, 1], rel=1e-5)


def test_a_world_without_features_trains():
    trainer = SoftmaxTrainer(queries([[0, 1], [1, 2]]), 3, no_features(3), {}, settings(), 1)
    assert np.isfinite(trainer.run_epoch())


def test_items_must_be_told_apart_by_something():
    with pytest.raises(ValueError, match="nothing is left to tell items apart by"):
        TwoTowerParams(use_item_id=False, use_item_features=False)


@pytest.mark.parametrize(
    "negatives", [{"sampler": "uniform"}, {"sampler": "full"}, {"mixture": ["in-batch", "uniform"]}]
)
def test_samplers_that_draw_new_items_are_not_offered(negatives):
    with pytest.raises(ValueError, match="Input should be 'in-batch'"):
        TwoTowerParams.model_validate({"negatives": negatives})


@pytest.mark.parametrize(("sampler", "exponent"), [("in-batch", 0.5), ("popularity", 0.0), ("mixed", 0.0)])
def test_samplers_that_are_offered_never_draw_a_new_item(sampler, exponent):
    events = people().histories
    negatives = TwoTowerNegativesParams(sampler=sampler, popularity_exponent=exponent)
    made = make_sampler(events, NUM_ITEMS, negatives, all_targets, users_per_batch=4)
    assert ((made.inclusion > 0) == IS_SEEN).all()


def test_the_search_space_is_that_of_the_softmax_and_the_item_side():
    extra = {"item_hidden", "item_id_dropout", "item_text_dropout"}
    assert set(search_space(TwoTowerParams)) == set(search_space(SoftmaxParams)) | extra
