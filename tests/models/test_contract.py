"""What every retriever must do, whatever it has learned: baselines and contenders alike.

The two kinds of popularity are exempt from learning by design: they give everyone the same order. There they show
what a model reaches that has learned nothing about anyone.
"""

from types import SimpleNamespace

import contenders
import numpy as np
import pandas as pd
import pytest
import town
from small import histories, no_features, queries

from bakeoff.core.histories import PAD
from bakeoff.data.features.encoding import TableEncoding
from bakeoff.evaluation.ranking import rank
from bakeoff.models.base import encoder
from bakeoff.models.base.encoder import EncoderRetriever
from bakeoff.models.base.export import export
from bakeoff.models.base.list_options import standard_log_popularity
from bakeoff.models.base.loading import load_serving
from bakeoff.models.base.serving_module import NO_ITEM, ServingModule
from bakeoff.models.base.specs import resolve
from bakeoff.models.base.storage import StoredModel
from bakeoff.ops.list_options import ItemFeatures, ListOptions, find
from bakeoff.ops.server.search import ExactSearch

IMPERSONAL = ("popularity", "recent_popularity")
"""Models that give everyone the same order."""

FLOORS = {"ease": 0.3, "mf": 0.28} | dict.fromkeys(("softmax", "two_tower", *contenders.ATTENTION), 0.29)
"""NDCG@10 that a model must reach in the town, some 10 % below what it reaches; popularity stays below 0.1."""


@pytest.fixture(scope="module", params=[*contenders.NAMES, "softmax with attention"])
def name(request):
    return request.param


EPOCHS = 4
"""Of the shop."""


def graph_of(name, retriever):
    return resolve(contenders.spec_of(name).graph)(retriever)


@pytest.fixture(scope="module")
def shop(name, tmp_path_factory):
    """A model of the shop in memory, on disk, and loaded again."""
    world, folder = contenders.shop(), tmp_path_factory.mktemp(name)
    retriever, settings = contenders.fitted(name, world, EPOCHS)
    encoder = graph_of(name, retriever)
    export(ServingModule(encoder, *world.catalogue), str(folder / "saved_model"))
    return SimpleNamespace(
        world=world,
        retriever=retriever,
        stored=resolve(contenders.spec_of(name).load)(StoredModel(retriever.arrays(), settings, world.encoding)),
        encoder=encoder,
        folder=folder,
        serving=load_serving(folder),
    )


def ranked(retriever, people, k):
    """Lists of item indices by the evaluation's code, seen items left out."""
    nothing = histories([[]] * len(people))
    return rank(retriever, people, people.histories, nothing, k, users_per_block=4)


def as_indices(item_ids):
    """Ids of the shop as indices; PAD where a list has run out."""
    return [[PAD if i == NO_ITEM else int(i.split()[1]) for i in row] for row in np.asarray(item_ids).astype(str)]


def for_users(model, users, k):
    return model.serving.recommend_for_users(np.array(users), k)


def for_histories(model, rows, k, ages=None, jobs=None, times=None):
    """Asks about people with these item ids; nothing else is known unless it is given."""
    width = max(1, *map(len, rows))
    history = np.array([[*row, *[""] * (width - len(row))] for row in rows])
    times = np.zeros(history.shape, np.int64) if times is None else np.array(times)
    encoding = model.world.encoding.user
    dense = np.full((len(rows), len(encoding.dense)), np.nan, np.float32)
    categorical = np.full((len(rows), len(encoding.categorical)), "", object)
    if ages is not None:
        dense[:, 0] = ages
    if jobs is not None:
        categorical[:, 0] = jobs
    return model.serving.recommend_for_histories(history, times, dense, categorical.astype(str), k)


def test_a_checkerboard_with_its_diagonal_withheld_is_completed(name):
    world = contenders.checkerboard()
    retriever = contenders.train(name, world, epochs=20)
    first = ranked(retriever, world.people, 1).items[:, 0].tolist()
    if name in IMPERSONAL:
        # Every item has 9 events: equal scores, and the first item that a user has not seen comes first.
        assert first == [0, *[1 if user % 2 == 0 else 0 for user in range(1, 20)]]
    else:
        assert first == list(range(20))


def test_what_the_town_likes_is_learned(name):
    world, truth = town.town()
    reached = town.ndcg_at_10(contenders.train(name, world, epochs=15, params=town.PARAMS), world, truth)
    if name in IMPERSONAL:
        assert 0.05 < reached < 0.1
    else:
        assert reached > FLOORS[name]


def test_the_two_tower_model_learns_with_attention_too():
    # It shares the softmax DNN's query tower, which passes all of the suite.
    world, truth = town.town()
    trained = contenders.train("two_tower with attention", world, epochs=15, params=town.PARAMS)
    assert town.ndcg_at_10(trained, world, truth) > FLOORS["two_tower with attention"]


def test_a_repeated_item_is_no_other_item(name):
    # Users who come back to an item: it is known once, left out once, and everyone still gets a list of numbers.
    rows = [[0, 1, 0, 2], [1, 1, 1], [2, 3, 3, 0], [4, 2, 4]]
    world = contenders.World(queries(rows), 6, no_features(6))
    retriever = contenders.train(name, world, epochs=4)
    lists = ranked(retriever, world.people, 6)
    for given, scores, history in zip(lists.items, lists.scores, rows, strict=True):
        left = sorted(set(range(6)) - set(history))
        assert sorted(given[: len(left)].tolist()) == left
        assert given[len(left) :].tolist() == [PAD] * len(set(history))
        assert np.isfinite(scores[: len(left)]).all()


def test_lists_from_memory_from_stored_arrays_and_inside_the_graph_are_the_same(shop):
    people = shop.world.people
    memory, stored = ranked(shop.retriever, people, 14), ranked(shop.stored, people, 14)
    graph = for_users(shop, shop.world.user_ids, 14)
    assert stored.items.tolist() == memory.items.tolist()
    assert stored.scores.tolist() == memory.scores.tolist()
    assert as_indices(graph["item_ids"]) == memory.items.tolist()
    assert np.asarray(graph["scores"]) == pytest.approx(memory.scores, abs=1e-5)


@pytest.mark.parametrize("size", [4, 512])
def test_the_graph_embeds_as_the_arrays_do_in_blocks_of_any_size(shop, size, monkeypatch):
    monkeypatch.setattr(encoder, "QUERIES_PER_BLOCK", size)
    graph = EncoderRetriever(shop.encoder)
    assert graph.item_embeddings.tolist() == shop.retriever.item_embeddings.tolist()
    people = shop.world.people
    assert graph.embed_queries(people) == pytest.approx(shop.retriever.embed_queries(people), abs=1e-6)


class Blocks:
    """Embeds a history as its first item, and keeps the shapes of the blocks that it is given."""

    item_embeddings = np.zeros((1, 1), np.float32)

    def __init__(self):
        self.shapes = []

    def embed_queries(self, history, *_):
        self.shapes.append(history.shape)
        return history[:, :1]


@pytest.mark.parametrize(
    ("lengths", "shapes"),
    [
        ([20_000] + [50] * 127, [(127, 50), (1, 20_000)]),
        # of 262,144 events: four times 60,000, with the empty one, then the others
        ([300_000, 0, 200_000] + [60_000] * 5, [(4, 60_000), (2, 60_000), (1, 200_000), (1, 300_000)]),
        ([10] * 300, [(128, 10), (128, 10), (44, 10)]),
        ([2048] * 128, [(128, 2048)]),
        ([], []),
    ],
)
def test_one_long_history_does_not_make_all_of_its_block_long(lengths, shapes):
    blocks = Blocks()
    found = EncoderRetriever(blocks).embed_queries(
        queries([np.full(length, row) for row, length in enumerate(lengths)])
    )
    assert blocks.shapes == shapes
    assert found[:, 0].tolist() == [row if length else PAD for row, length in enumerate(lengths)]


def test_asking_by_history_gives_what_asking_by_user_gives(shop):
    people = shop.world.people
    by_user = for_users(shop, shop.world.user_ids, 5)
    rows = [[f"item {i}" for i in row] for row in np.split(people.histories.items, people.histories.offsets[1:-1])]
    width = max(map(len, rows))
    _, times = people.histories.padded(width)
    ages = 30 + 10 * people.dense[:, 0]
    jobs = np.array(["", "cook", "nurse"])[people.categorical[:, 0]]
    by_history = for_histories(shop, rows, 5, ages, jobs, times)
    assert as_indices(by_history["item_ids"]) == as_indices(by_user["item_ids"])
    assert np.asarray(by_history["scores"]) == pytest.approx(np.asarray(by_user["scores"]), abs=1e-5)


def test_the_exported_functions_can_be_asked_as_signatures(shop):
    import tensorflow as tf

    signature = shop.serving.signatures["recommend_for_users"]
    by_signature = signature(user_ids=tf.constant(["user 3"]), k=tf.constant(4))
    assert as_indices(by_signature["item_ids"]) == as_indices(for_users(shop, ["user 3"], 4)["item_ids"])


@pytest.mark.parametrize("k", [1, 3, 14, 500])
def test_k_is_honoured_when_the_model_is_asked(shop, k):
    found = for_users(shop, ["user 0", "user 5"], k)["item_ids"]
    assert found.shape == (2, min(k, 14))
    longest = as_indices(for_users(shop, ["user 0", "user 5"], 14)["item_ids"])
    assert as_indices(found) == [row[:k] for row in longest]


def with_options(model, users, k, allow=(), diversity=0.0, debias=0.0):
    options = np.array(allow, str), np.array([""]), np.float32(diversity), np.float32(debias)
    return model.serving.recommend_for_users_with_options(np.array(users), k, *options)


def test_without_a_wish_the_lists_with_options_are_the_plain_ones(shop):
    users, everything = [*shop.world.user_ids, "nobody"], [f"item {j}" for j in range(14)]
    plain = for_users(shop, users, 6)
    for allow in ((), everything):
        found = with_options(shop, users, 6, allow)
        for name in ("item_ids", "scores", "known"):
            assert np.array_equal(np.asarray(found[name]), np.asarray(plain[name]))


def test_a_list_has_none_but_allowed_items_in_the_order_of_all(shop):
    everything = as_indices(for_users(shop, shop.world.user_ids, 14)["item_ids"])
    allowed = [3, 12, 5]
    found = as_indices(
        with_options(shop, shop.world.user_ids, 14, [*map("item {}".format, allowed), "ghost"])["item_ids"]
    )
    for mine, plain in zip(found, everything, strict=True):
        expected = [item for item in plain if item in allowed]
        assert mine == expected + [PAD] * (14 - len(expected))
    nothing = with_options(shop, ["user 0"], 2, [""])
    assert as_indices(nothing["item_ids"]) == [[PAD, PAD]]


@pytest.mark.parametrize("wish", [{"debias": 0.7}, {"diversity": 0.4}, {"diversity": 0.5, "debias": 0.3}], ids=str)
def test_the_graph_gives_the_lists_of_the_server_that_are_less_popular_or_more_diverse(shop, wish):
    people, num_items = shop.world.people, 14
    search, popularity = ExactSearch(shop.retriever.item_embeddings), people.histories.item_counts(num_items)
    features, popularity = (
        ItemFeatures(pd.DataFrame(index=range(14)), TableEncoding(), ""),
        standard_log_popularity(popularity),
    )
    graph = with_options(shop, shop.world.user_ids, 6, **wish)
    seen = np.split(people.histories.items, people.histories.offsets[1:-1])
    for row, (query, mine) in enumerate(zip(shop.retriever.embed_queries(people), seen, strict=True)):
        [expected] = find(search, query[np.newaxis], [mine], [6], [ListOptions(**wish)], features, popularity)
        filled = as_indices(graph["item_ids"])[row][: len(expected.items)]
        assert filled == expected.items.tolist()
        scores = np.asarray(graph["scores"])[row, : len(filled)]
        assert scores == pytest.approx(expected.scores, abs=1e-5)


def test_someone_new_may_wish_too(shop):
    query = np.array([["item 3", "item 7"]]), np.zeros((1, 2), np.int64)
    features = np.full((1, 1), np.nan, np.float32), np.full((1, 2), "")
    asked = shop.serving.recommend_for_histories_with_options(
        *query, *features, 14, np.array(["item 3", "item 5"]), np.zeros(0, str), np.float32(0.5), np.float32(0)
    )
    assert as_indices(asked["item_ids"]) == [[5] + [PAD] * 13]


def test_what_a_user_has_seen_is_left_out(shop):
    lists = as_indices(for_users(shop, shop.world.user_ids, 14)["item_ids"])
    seen = np.split(shop.world.people.histories.items, shop.world.people.histories.offsets[1:-1])
    for recommended, history in zip(lists, seen, strict=True):
        given = [item for item in recommended if item != PAD]
        assert sorted(given) == sorted(set(range(14)) - set(history.tolist()))


def test_a_list_that_runs_out_of_items_is_filled_up_with_nothing(shop):
    answer = for_users(shop, [f"user {contenders.GLUTTON}"], 5)
    assert sorted(as_indices(answer["item_ids"])[0][:2]) == list(contenders.NEVER_SEEN)
    assert as_indices(answer["item_ids"])[0][2:] == [PAD] * 3
    assert np.isneginf(np.asarray(answer["scores"])[0, 2:]).all()


def test_best_items_come_first(shop):
    scores = np.asarray(for_users(shop, shop.world.user_ids, 8)["scores"])
    assert (scores[:, :-1] >= scores[:, 1:]).all()


def test_a_user_that_the_model_does_not_know_is_flagged(shop):
    answer = for_users(shop, ["user 0", "nobody", ""], 3)
    assert np.asarray(answer["known"]).tolist() == [True, False, False]
    # A stranger's list is that of someone of whom nothing is known.
    stranger = for_histories(shop, [[]], 3)
    assert as_indices(answer["item_ids"])[1] == as_indices(stranger["item_ids"])[0]


def test_a_stranger_may_ask_alone(shop):
    answer = for_users(shop, ["nobody"], 3)
    assert np.asarray(answer["known"]).tolist() == [False]
    assert as_indices(answer["item_ids"]) == as_indices(for_histories(shop, [[]], 3)["item_ids"])


def test_a_history_may_have_no_column(shop):
    nothing = np.zeros((1, 0))
    features = np.full((1, 1), np.nan, np.float32), np.full((1, 2), "")
    answer = shop.serving.recommend_for_histories(nothing.astype(str), nothing.astype(np.int64), *features, 3)
    assert as_indices(answer["item_ids"]) == as_indices(for_histories(shop, [[]], 3)["item_ids"])


def test_nobody_may_ask(shop):
    assert for_users(shop, np.zeros(0, str), 3)["item_ids"].shape == (0, 3)


def test_items_that_the_catalogue_does_not_have_are_ignored_and_flagged(shop):
    clean = for_histories(shop, [["item 3", "item 7", ""]], 5, times=[[50, 90, 0]])
    dirty = for_histories(shop, [["item 3", "ghost", "item 7"]], 5, times=[[50, 60, 90]])
    assert np.asarray(dirty["known"]).tolist() == [[True, False, True]]
    assert as_indices(dirty["item_ids"]) == as_indices(clean["item_ids"])
    assert np.asarray(dirty["scores"]) == pytest.approx(np.asarray(clean["scores"]), abs=1e-6)


def test_someone_without_history_gets_a_list(shop):
    answer = for_histories(shop, [[]], 14)
    assert sorted(as_indices(answer["item_ids"])[0]) == list(range(14))
    assert np.isfinite(np.asarray(answer["scores"])).all()


def test_a_history_of_unknown_items_alone_is_an_empty_one(shop):
    ghosts, nothing = (for_histories(shop, [row], 5) for row in (["ghost", "phantom"], []))
    assert as_indices(ghosts["item_ids"]) == as_indices(nothing["item_ids"])


def test_a_raw_feature_value_that_is_not_known_counts_as_missing(shop):
    strange = for_histories(shop, [["item 3"]], 5, ages=[np.inf], jobs=["astronaut"])
    missing = for_histories(shop, [["item 3"]], 5)
    assert as_indices(strange["item_ids"]) == as_indices(missing["item_ids"])
    assert np.asarray(strange["scores"]) == pytest.approx(np.asarray(missing["scores"]), abs=1e-6)


def test_users_with_the_same_history_get_the_same_list(shop):
    answer = for_users(shop, ["user 0", "user 1"], 14)
    assert as_indices(answer["item_ids"])[0] == as_indices(answer["item_ids"])[1]
    # Blocks of one: no list depends on who else is asked about.
    alone = for_users(shop, ["user 1"], 14)
    assert np.asarray(alone["scores"])[0] == pytest.approx(np.asarray(answer["scores"])[0], abs=1e-6)


def test_items_that_nobody_has_seen_have_finite_scores(shop):
    retriever = shop.stored
    scores = retriever.embed_queries(shop.world.people) @ retriever.item_embeddings[list(contenders.NEVER_SEEN)].T
    assert np.isfinite(scores).all()


def test_only_ease_and_mf_without_history_fall_back(shop, name):
    asked = queries([[], [3]], num_dense=1, num_categorical=2)
    expected = [name in ("ease", "mf"), False]
    assert shop.stored.uses_fallback(asked).tolist() == expected
    assert EncoderRetriever(shop.encoder).uses_fallback(asked).tolist() == expected
    assert (shop.stored.fallback is not None) == expected[0]


def reasons_for_everything(retriever, query):
    """Scores [n] of one query, and the contributions of its events to each, [n, events]."""
    scores = (retriever.embed_queries(query) @ np.asarray(retriever.item_embeddings).T)[0]
    return scores, retriever.contributions(query, np.arange(len(scores)))


def without_reading(shop, query):
    """Scores [n] of a network that reads zeros in place of the history's items; everything else is as it is."""
    width = max(1, len(query.histories.items))
    encoder, inputs = shop.encoder, (*query.histories.padded(width), query.dense, query.categorical)
    nothing = np.zeros((1, width, encoder.item_embeddings.shape[1]), np.float32)
    return (encoder._embed(nothing, *inputs) @ np.asarray(encoder.item_embeddings).T)[0]


@pytest.mark.parametrize("user", [0, 3, contenders.GLUTTON])
def test_contributions_add_up_to_what_the_model_promises(shop, name, user):
    query = shop.world.people.take(np.array([user]))
    scores, parts = reasons_for_everything(EncoderRetriever(shop.encoder), query)
    assert parts.shape == (14, len(query.histories.items))
    if name in IMPERSONAL:
        assert not parts.any()
    elif name in ("ease", "mf"):
        assert parts.sum(axis=1) == pytest.approx(scores, rel=1e-4, abs=1e-5)
        assert np.abs(parts).max() > 1e-3
    else:
        assert parts.sum(axis=1) == pytest.approx(scores - without_reading(shop, query), abs=1e-5)
        assert np.abs(parts).max() > 0.05


def test_the_exported_graph_gives_the_same_reasons(shop):
    query = shop.world.people.take(np.array([3]))
    _, memory = reasons_for_everything(EncoderRetriever(shop.encoder), query)
    found = shop.serving.explain(
        *query.histories.padded(9), query.dense, query.categorical, np.arange(14, dtype=np.int32)
    )
    assert np.asarray(found)[:, : memory.shape[1]] == pytest.approx(memory, abs=1e-5)
    assert not np.asarray(found)[:, memory.shape[1] :].any()


def test_nothing_contributes_where_there_is_no_history(shop):
    _, parts = reasons_for_everything(EncoderRetriever(shop.encoder), queries([[]], num_dense=1, num_categorical=2))
    assert parts.shape == (14, 0)


def test_the_spec_says_what_the_parts_of_a_score_are(name):
    assert contenders.spec_of(name).explanation


def test_a_catalogue_of_one_item_works(name):
    # Not exported: test_exported.py exports one.
    world = contenders.kiosk()
    encoder = graph_of(name, contenders.train(name, world, epochs=2))
    kiosk = SimpleNamespace(world=world, serving=ServingModule(encoder, *world.catalogue))
    seen, new = for_users(kiosk, ["user 0"], 1), for_histories(kiosk, [[]], 1)
    assert (as_indices(seen["item_ids"]), as_indices(new["item_ids"])) == ([[PAD]], [[0]])
    assert np.isfinite(np.asarray(new["scores"])).all()


def test_the_same_seed_gives_the_same_model_byte_for_byte(shop, name):
    first, again = shop.retriever.arrays(), contenders.train(name, shop.world, EPOCHS).arrays()
    assert {key: array.tobytes() for key, array in first.items()} == {
        key: array.tobytes() for key, array in again.items()
    }


def test_the_export_has_no_file_that_differs_from_run_to_run(shop):
    assert not (shop.folder / "saved_model" / "fingerprint.pb").exists()
