"""Warm start: rows are found by id and value, new ones start where they should, and nothing else changes."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from small import FAST, FAST_TWO_TOWER

from bakeoff.core.histories import Histories
from bakeoff.data.features.encoding import FeatureEncoding
from bakeoff.data.prepared.tables import Prepared
from bakeoff.models.base.specs import resolve, spec
from bakeoff.models.base.start import FEWEST, Start, StartError, from_neighbours
from bakeoff.models.mf.als import build as build_mf
from bakeoff.models.mf.mllib import MLlibALS
from bakeoff.models.mf.spec import MFParams
from bakeoff.models.neural.spec import NegativesParams
from bakeoff.models.neural.trainer import INPUTS, ITEM_IDS, TRAINED

UNIFORM = NegativesParams(sampler="mixed", mixture=("in-batch", "uniform"), num_sampled=8)
MODELS = {
    "mf": ("mf", MFParams(dim=4, unobserved_weight=0.1, regularization=0.01)),
    "softmax": ("softmax", FAST.model_copy(update={"smoothing": 0.5})),
    "uniform": ("softmax", FAST.model_copy(update={"negatives": UNIFORM})),
    "attention": ("softmax", FAST.model_copy(update={"tower": "attention"})),
    "two_tower": ("two_tower", FAST_TWO_TOWER),
}
ITEMS, JOBS, GENRES = list("abcdefgh"), ["cook", "nurse"], ["Comedy", "Drama", "Horror"]
YEARS = dict(zip(ITEMS, range(1990, 1998), strict=True))
ROWS = [np.random.default_rng(u).permutation(ITEMS[:7])[:4].tolist() for u in range(12)]
"""Nobody has had h."""


def world(items=ITEMS, jobs=JOBS, genres=GENRES, rows=ROWS, age="age"):
    """The same people and items under other indices: what a later night's split may have."""
    place, n = {item: index for index, item in enumerate(items)}, len(rows)
    users = pd.DataFrame({"user_id": [f"u{u}" for u in range(n)], "is_new": False, age: np.arange(n) + 20.0})
    users["job"], users["user"] = np.where(np.arange(n) % 2, "cook", "nurse"), users["user_id"]
    table = pd.DataFrame({"item_id": items, "title": items, "year": [float(YEARS.get(item, 2000)) for item in items]})
    table["genres"] = [GENRES[ord(item) % 3] for item in items]
    encoding = FeatureEncoding.model_validate(
        {
            "user": {"dense": {age: {"mean": 25, "std": 5}}, "categorical": {"job": jobs}},
            "item": {"dense": {"year": {"mean": 1994, "std": 3}}, "tags": {"genres": genres}},
        }
    )
    lengths = [len(row) for row in rows]
    taken = np.array([place[item] for row in rows for item in row], np.int32)
    times = np.array([1_000 + 60 * at for length in lengths for at in range(length)], np.int64)
    train = Histories.from_rows(np.repeat(np.arange(n), lengths), taken, times, n)
    nothing = Histories.from_rows(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64), n)
    return Prepared.encoded(users, table, encoding, train, nothing)


def trainer(case, prepared, **start):
    name, section = MODELS[case]
    queries = prepared.queries(prepared.train, prepared.warm_users)
    return resolve(spec(name).trainer)(prepared, queries, section, 3, **start)


@cache
def parent(case):
    """A model of the world after three epochs, and the start that it gives."""
    prepared = world()
    found = trainer(case, prepared)
    found.keeps_weights = True
    for _ in range(3):
        found.run_epoch()
    return found, Start(found.weights(), np.asarray(prepared.item_ids, np.str_), prepared.encoding)


def scores(prepared, found):
    """[users, items] in the order of ITEMS."""
    retriever = found.retriever()
    order = [prepared.item_ids.to_pylist().index(item) for item in ITEMS]
    queries = prepared.queries(prepared.train, prepared.warm_users)
    return retriever.embed_queries(queries) @ retriever.item_embeddings[order].T


@pytest.mark.parametrize("case", MODELS)
def test_a_start_is_the_parent_whatever_the_indices_of_items_and_values_are(case):
    first = world()
    last, start = parent(case)
    if case == "mf":  # whose users are as near to their optimum as ever, solved once more from nothing
        start_again = trainer(case, first, start=start)
        expected = scores(first, start_again)
        np.testing.assert_allclose(expected, scores(first, last), atol=0.02)
    else:
        expected = scores(first, last)
    later = world(ITEMS[::-1], JOBS[::-1], ["Western", *GENRES[::-1]])
    np.testing.assert_allclose(scores(later, trainer(case, later, start=start)), expected, atol=2e-5)


@pytest.mark.parametrize("case", ["mf", "softmax"])
def test_a_new_item_is_learned_from_the_start_on(case):
    _, start = parent(case)
    later = world([*ITEMS, "i"], rows=[[*row, "i"] for row in ROWS[:6]] + ROWS[6:])
    found = trainer(case, later, start=start)
    before = found.retriever().item_embeddings[-1].copy()
    found.run_epoch()
    after = found.retriever().item_embeddings[-1]
    assert np.isfinite(after).all()
    assert after.any()
    assert before.any() == (case != "mf")  # MF folds it in with the first epoch
    assert not np.array_equal(before, after)


def test_the_optimizer_starts_afresh():
    _, start = parent("softmax")
    found = trainer("softmax", world(), start=start)
    step, *moments = found._model.optimizer.weights
    assert int(step) == 0
    assert not any(moment.numpy().any() for moment in moments)


def test_an_item_without_events_stays_where_negatives_moved_it_until_it_has_some():
    _, start = parent("uniform")
    h = start.weights[ITEM_IDS][ITEMS.index("h")]
    assert h.any()
    # i was not there, and g has lost its events: they join h, the only one without events.
    later = world([*ITEMS, "i"], rows=[[item for item in row if item != "g"] for row in ROWS])
    found = trainer("uniform", later, start=start).weights()[ITEM_IDS]
    np.testing.assert_array_equal(found[[ITEMS.index("g"), ITEMS.index("h"), -1]], [h, h, h])
    # With one event h starts where a full fit would start, with three among its neighbours.
    for events in (1, FEWEST):
        later = world(rows=[[*row, "h"] for row in ROWS[:events]] + ROWS[events:])
        found, fresh = (trainer("uniform", later, **start).weights()[ITEM_IDS][-1] for start in ({"start": start}, {}))
        assert np.array_equal(found, fresh) == (events == 1)
        assert not np.array_equal(found, h)


@pytest.mark.parametrize(("case", "missing"), [("softmax", TRAINED), ("mf", "previous_items")])
def test_what_an_earlier_version_left_is_refused(case, missing):
    _, start = parent(case)
    left = {name: each for name, each in start.weights.items() if name != missing}
    with pytest.raises(StartError, match=rf"has no {missing}: .*an earlier version made it\. Fit in full"):
        trainer(case, world(), start=Start(left, start.item_ids, start.encoding))


def test_the_first_epoch_of_mf_repeats_the_last_one_of_its_parent():
    last, start = parent("mf")
    found = trainer("mf", world(), start=start)
    assert not found.keeps_weights
    found.run_epoch()
    expected = scores(world(), last)
    np.testing.assert_allclose(scores(world(), found), expected, atol=1e-5)
    found.run_epoch()  # one more
    assert np.abs(scores(world(), found) - expected).max() > 1e-3


def test_mf_that_is_restored_does_not_repeat_its_epochs():
    _, start = parent("mf")
    found = trainer("mf", world(), start=start)
    found.keeps_weights = True
    found.run_epoch()
    state = found.state()
    again = trainer("mf", world(), start=start)
    again.keeps_weights = True
    again.restore(state)
    for each in (found, again):
        each.run_epoch()
    np.testing.assert_equal(again.state(), found.state())
    np.testing.assert_equal(again.weights(), found.weights())


def test_an_item_nobody_has_and_a_value_that_is_new_start_as_in_a_full_fit():
    _, start = parent("two_tower")
    later = world(genres=["Western", *GENRES])
    found, fresh = (trainer("two_tower", later, **start).weights() for start in ({"start": start}, {}))
    assert not found[ITEM_IDS][ITEMS.index("h")].any()
    # Inputs: year, its square, then the tags in their order.
    np.testing.assert_array_equal(found[INPUTS][2], fresh[INPUTS][2])
    np.testing.assert_array_equal(found[INPUTS][3:], start.weights[INPUTS][2:])


def test_a_new_item_lies_among_its_neighbours_and_is_as_long_as_they_are():
    table = np.array([[2, 0], [0, 4], [0, 0], [7, 7], [9, 9]], np.float32)
    is_known = np.array([True, True, False, True, False])
    # Item 2 stands next to 0 twice and to 1 three times; item 3 is in another history, item 4 is alone, three times.
    items = np.array([0, 2, 1, 1, 2, 0, 2, 1, 3, 4, 4, 4], np.int32)
    rows = np.array([0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 6])
    histories = Histories.from_rows(rows, items, np.arange(12), 7)
    from_neighbours(table, is_known, histories)
    typical = (2 + 4 + np.sqrt(98)) / 3
    np.testing.assert_allclose(table[2], typical * np.array([1, 3]) / np.sqrt(10), rtol=1e-6)
    np.testing.assert_array_equal(table[[0, 1, 3, 4]], [[2, 0], [0, 4], [7, 7], [9, 9]])


def test_a_new_item_of_few_events_starts_as_in_a_full_fit():
    table = np.eye(3, dtype=np.float32)
    rows = np.repeat(np.arange(FEWEST - 1), 2)
    histories = Histories.from_rows(rows, np.tile([0, 2], FEWEST - 1).astype(np.int32), np.arange(len(rows)), FEWEST)
    from_neighbours(table, np.array([True, True, False]), histories)
    np.testing.assert_array_equal(table, np.eye(3))


def test_neighbours_are_at_most_five_events_away():
    table = np.eye(8, dtype=np.float32)
    rows, items = np.repeat(np.arange(FEWEST), 8), np.tile(np.arange(8, dtype=np.int32), FEWEST)
    histories = Histories.from_rows(rows, items, np.arange(len(rows)), FEWEST)
    from_neighbours(table, np.arange(8) != 7, histories)
    assert np.flatnonzero(table[7]).tolist() == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("case", "section", "message"),
    [
        ("mf", {"dim": 5}, r"item_embeddings has the shape \[4\] .* and \[5\] .* Fit in full"),
        ("softmax", {"hidden": (9,)}, r"query_tower/hidden_0/kernel:0 has the shape .* Fit in full"),
        ("two_tower", {"item_hidden": (8, 8)}, "has no item_tower/item_hidden_1/kernel:0: .* Fit in full"),
    ],
)
def test_weights_of_another_shape_are_refused_with_what_to_do(case, section, message, monkeypatch):
    _, start = parent(case)
    name, settings = MODELS[case]
    monkeypatch.setitem(MODELS, case, (name, settings.model_copy(update=section)))
    with pytest.raises(StartError, match=message):
        trainer(case, world(), start=start)


def test_other_user_features_are_refused():
    _, start = parent("softmax")
    with pytest.raises(StartError, match=r"user features age, job, and the data have years, job\. Fit in full"):
        trainer("softmax", world(age="years"), start=start)


def test_spark_takes_no_start():
    _, start = parent("mf")
    prepared = world()
    queries = prepared.queries(prepared.train, prepared.warm_users)
    with pytest.raises(StartError, match="mllib"):
        build_mf(prepared, queries, MODELS["mf"][1], 3, MLlibALS, start=start)
