"""A query tower that sees when a query is asked: what it is told, what it learns of it, and what is exported."""

from dataclasses import replace

import numpy as np
import pytest
from contenders import World
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from small import FAST, no_features

from bakeoff.core.histories import Histories, Queries
from bakeoff.models.base.encoder import EncoderRetriever
from bakeoff.models.base.export import export
from bakeoff.models.base.loading import load_serving
from bakeoff.models.base.serving_module import ServingModule
from bakeoff.models.base.storage import StoredModel
from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural import replicas, trainer
from bakeoff.models.neural.batches import predict_next
from bakeoff.models.neural.encoder import load
from bakeoff.models.neural.query_tower import asked_of_examples, asked_of_padded, time_inputs
from bakeoff.models.neural.spec import SoftmaxParams

DAY = 86_400
START = 1_704_067_200
"""1 January 2024, 00:00 UTC."""
SIZE, HALF = 24, 12
TIMED = FAST.model_copy(
    update={
        "use_query_time": True,
        "hidden": (32,),
        "target_window": 1,
        "dropout": 0.0,
        "max_history": 4,
        "max_epochs": 24,
        "learning_rate": 0.03,
    }
)


def town(num_users=32, seed=0):
    """Within a visit people take items of the first half; the first item after a day is of the second."""
    rng = np.random.default_rng(seed)
    rows, items, times = [], [], []
    for user in range(num_users):
        now, near, far = START, rng.permutation(HALF).tolist(), (HALF + rng.permutation(HALF)).tolist()
        for place in range(8):
            comes_back = place % 3 == 2
            now += DAY if comes_back else 10
            rows.append(user)
            items.append(far.pop() if comes_back else near.pop())
            times.append(now)
    histories = Histories.from_rows(np.array(rows), np.array(items), np.array(times), num_users)
    nothing = np.zeros((num_users, 0), np.float32)
    return Queries(histories, nothing, nothing.astype(np.int32))


WORLD = World(town(), SIZE, no_features(SIZE))


def trained(params=TIMED, epochs=TIMED.max_epochs):
    made = trainer.build(WORLD, WORLD.people, params, 1)
    for _ in range(epochs):
        made.run_epoch()
    return made


@pytest.fixture(scope="module")
def made():
    return trained()


@pytest.fixture(scope="module")
def retriever(made):
    return made.retriever()


def asked(pause):
    """The people of the town, so many seconds after their last event; None: they do not say when."""
    last = WORLD.people.histories.last_times
    return replace(WORLD.people, times=None if pause is None else last + pause)


def share_of_returns(retriever, queries):
    """Share of the best 3 items that are taken after a day."""
    best = np.argsort(-retriever.embed_queries(queries) @ retriever.item_embeddings.T, axis=1)[:, :3]
    return (best >= HALF).mean()


def test_the_network_learns_what_comes_after_a_pause(retriever):
    assert share_of_returns(retriever, asked(DAY)) > 0.9
    assert share_of_returns(retriever, asked(10)) < 0.1


def test_who_does_not_say_when_still_gets_a_list(retriever):
    found = retriever.embed_queries(asked(None))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    unknown = replace(WORLD.people, times=np.zeros(len(WORLD.people), np.int64))
    np.testing.assert_allclose(retriever.embed_queries(unknown), found, rtol=1e-5)


def test_without_the_setting_the_time_of_a_query_is_not_read():
    found = trained(TIMED.model_copy(update={"use_query_time": False}), epochs=0).retriever()
    assert not found.reads_time
    np.testing.assert_array_equal(found.embed_queries(asked(DAY)), found.embed_queries(asked(None)))


def test_where_events_have_no_time_queries_have_none():
    people = WORLD.people
    histories = replace(people.histories, timestamps=np.zeros_like(people.histories.timestamps))
    made = trainer.build(WORLD, replace(people, histories=histories), TIMED, 1)
    assert made.settings()["use_query_time"] is False
    assert np.isfinite(made.run_epoch())


def test_reconstruction_has_no_time_of_a_query():
    with pytest.raises(ValidationError, match="use_query_time is true and objective is reconstruct"):
        SoftmaxParams(use_query_time=True, objective="reconstruct")


def test_the_exported_model_reads_the_time_where_a_history_is_padded(retriever, tmp_path):
    export(ServingModule(retriever.encoder, *WORLD.catalogue), str(tmp_path / "softmax" / "saved_model"))
    module = load_serving(tmp_path / "softmax")
    again = EncoderRetriever(module)
    assert again.reads_time
    for pause in (10, DAY, None):
        found = again.embed_queries(asked(pause))
        np.testing.assert_allclose(found, retriever.embed_queries(asked(pause)), atol=1e-6)
    last = int(WORLD.people.histories.last_times[0])
    lists = []
    for when, ids in (
        (last + 10, ["item 0", ""]),
        (last + DAY, ["item 0", ""]),
        (last + DAY, ["no such item", "item 0"]),
    ):
        # What is not known is no event, and when it happened is not when the list is asked for.
        times = [[last, when]] if ids[1] == "" else [[when, last]]
        nothing = np.zeros((1, 0), np.float32)
        args = (np.array([ids]), np.array(times, np.int64), nothing, np.zeros((1, 0), np.str_), 3)
        answer = module.recommend_for_histories(*map(tf.constant, args))
        lists.append([int(item.decode().split()[1]) for item in answer["item_ids"].numpy()[0]])
    assert max(lists[0]) < HALF <= min(lists[1])
    assert lists[2] != lists[1]


def test_a_stored_model_reads_it_too(made, retriever):
    again = load(StoredModel(retriever.arrays(), made.settings(), WORLD.encoding))
    assert again.reads_time
    np.testing.assert_allclose(again.embed_queries(asked(DAY)), retriever.embed_queries(asked(DAY)), atol=1e-6)


def test_contributions_add_up_whatever_the_time(retriever):
    query = asked(DAY).take(np.array([3]))  # eight events, of which four are read
    items = np.array([0, HALF])
    parts = retriever.contributions(query, items)
    assert parts.shape == (2, 8)
    assert not parts[:, :4].any()
    assert parts[:, 4:].any(axis=0).all()
    encoder, nothing = retriever.encoder, (np.zeros((1, 0), np.float32), np.zeros((1, 0), np.int32))
    padded = query.padded()
    unread = encoder._embed(tf.zeros((*padded[0].shape, TIMED.dim)), *map(tf.constant, padded), *nothing)
    gained = (retriever.embed_queries(query) - unread) @ retriever.item_embeddings[items].T
    np.testing.assert_allclose(parts.sum(axis=1), gained[0], atol=1e-4)


def test_the_shares_of_two_workers_are_asked_at_the_times_of_the_whole():
    batch = trainer.build(WORLD, WORLD.people, TIMED.model_copy(update={"users_per_batch": 6}), 3)._batches._batch(
        np.arange(6)
    )
    shares = [replicas.share_of(batch, place, 2)["asked"] for place in range(2)]
    np.testing.assert_array_equal(np.concatenate(shares), batch["asked"])


def test_a_training_query_is_asked_when_its_first_target_happens():
    # Cuts at 0, at 1 and at 2 of a history with events at 100, 160 and 4,000.
    people = Histories.from_rows(np.zeros(3, int), np.arange(3), np.array([100, 160, 4_000]), 1)
    params = SoftmaxParams(cuts_per_user=200, empty_history_share=0.3, target_window=2)
    examples = predict_next(people, params, np.random.default_rng(0))
    found = asked_of_examples(people.timestamps, examples)
    by_hand = {0: [0, 100], 1: [100, 160], 2: [160, 4_000]}
    assert found.tolist() == [by_hand[length] for length in examples.lengths.tolist()]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_serving_is_asked_as_training_is(seed):
    people = town(5, seed).histories
    examples = predict_next(people, TIMED, np.random.default_rng(seed))
    expected = asked_of_examples(people.timestamps, examples)
    each = people.take(np.repeat(np.arange(5), TIMED.cuts_per_user))
    known = each.keep(each.position < np.repeat(examples.lengths, each.lengths))
    nothing = np.zeros((len(known), 0), np.float32)
    queries = Queries(known, nothing, nothing.astype(np.int32), expected[:, 1])
    _, timestamps = queries.padded()
    lengths = known.lengths.astype(np.int32)
    np.testing.assert_array_equal(asked_of_padded(tf.constant(timestamps), tf.constant(lengths)), expected)


def test_what_the_network_sees_of_a_moment_is_that_by_hand():
    # A quarter of a UNIX day is 06:00; a quarter of a UNIX week is Friday 18:00.
    rows = [[6 * 3600 - 3601, 6 * 3600], [0, 6 * 3600], [6 * 3600, 0], [7 * DAY // 4, 7 * DAY // 4]]
    found = time_inputs(tf.constant(rows, tf.int64)).numpy()
    week = 2 * np.pi * 6 / (7 * 24)
    morning = [1, 0, np.sin(week), np.cos(week)]
    evening = [np.sin(2 * np.pi * 0.75), np.cos(2 * np.pi * 0.75), 1, 0]
    expected = [
        [np.log(3602) / 10, 1, 0, 1, *morning],
        [0, 0, 0, 0, *morning],
        [0] * 8,
        [0, 0, 0, 1, *evening],
    ]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_clock_that_goes_backwards_counts_as_no_pause():
    assert time_inputs(tf.constant([[5_000, 100]], tf.int64)).numpy()[0, :4].tolist() == [0, 0, 0, 1]
