"""The attention tower: what a query may read of a history, the block by hand, training compared with serving."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from small import FAST, histories, no_features, numbered, queries, random_rows

from bakeoff.core.parameters import search_space
from bakeoff.data.features.encoding import FeatureEncoding
from bakeoff.experiments.tuning.trials import space_of
from bakeoff.models.base.specs import spec
from bakeoff.models.base.storage import StoredModel
from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.attention import OCTAVES, CausalAttention
from bakeoff.models.neural.batches import Batches, predict_next
from bakeoff.models.neural.encoder import SoftmaxEncoder, SoftmaxRetriever, load
from bakeoff.models.neural.model import SoftmaxDNN
from bakeoff.models.neural.proposals import catalogue_sampler
from bakeoff.models.neural.spec import AttentionParams, NegativesParams, SoftmaxParams, TwoTowerParams
from bakeoff.models.neural.trainer import SoftmaxTrainer

DIM, LENGTH, NUM_ITEMS = 8, 7, 12
PARAMS = FAST.model_copy(
    update={
        "dim": DIM,
        "tower": "attention",
        "attention": AttentionParams(blocks=2, heads=2, width=6, dropout=0.3),
        "max_history": 9,
    }
)
SEEDS = st.integers(0, 2**32)


def changed(**values):
    of_blocks = {name: values.pop(name) for name in list(values) if name in AttentionParams.model_fields}
    return PARAMS.model_copy(update=values | {"attention": PARAMS.attention.model_copy(update=of_blocks)})


def layer(params=PARAMS, seed=0):
    """With weights that training could have left: nothing is small or an identity."""
    made, rng = CausalAttention(params, seed), np.random.default_rng(seed)
    made.set_weights([rng.normal(0, 0.5, weight.shape).astype(np.float32) for weight in made.weights])
    return made


def sequences(seed=0, users=3, length=LENGTH):
    """Embeddings [U, W, d] and times [U, W], several events to the second."""
    rng = np.random.default_rng(seed)
    times = 1_000 + np.cumsum(rng.integers(0, 3, (users, length)) * rng.integers(0, 5_000, (users, length)), axis=1)
    return rng.normal(0, DIM**-0.5, (users, length, DIM)).astype(np.float32), times


def ask(made, items, times, at=None, **options):
    """Output and heads [U, C, 3, d] at the places `at`; of every place if None."""
    at = np.tile(np.arange(items.shape[1]), (len(items), 1)) if at is None else np.asarray(at)
    return made(tf.constant(items), tf.constant(times), tf.constant(at, tf.int32), **options).numpy()


def moved(first, second):
    """Places [W] whose output differs for some user."""
    return (np.abs(first - second).max(axis=(0, 2, 3)) > 1e-5).tolist()


@pytest.mark.parametrize("blocks", [1, 2, 3])
@pytest.mark.parametrize("place", [0, 3, LENGTH - 1])
def test_a_later_event_reaches_no_earlier_output_and_every_one_from_its_place_on(blocks, place):
    made, (items, times) = layer(changed(blocks=blocks)), sequences()
    other = items.copy()
    other[:, place] += 1
    assert moved(ask(made, items, times), ask(made, other, times)) == [at >= place for at in range(LENGTH)]


@pytest.mark.parametrize("blocks", [1, 2])
def test_a_later_time_reaches_no_earlier_output(blocks):
    made, (items, times) = layer(changed(blocks=blocks)), sequences()
    later = times.copy()
    later[:, 4:] += 1_000_000
    assert moved(ask(made, items, times), ask(made, items, later)) == [False] * 4 + [True] * 3


def test_events_of_the_same_second_are_read_in_their_order_and_not_ahead_of_it():
    made, (items, _) = layer(), sequences()
    times = np.full((3, LENGTH), 5_000)
    other = items.copy()
    other[:, 4] += 1
    assert moved(ask(made, items, times), ask(made, other, times)) == [False] * 4 + [True] * 3
    swapped = items[:, [1, 0, *range(2, LENGTH)]]
    assert moved(ask(made, items, times), ask(made, swapped, times)) == [True] * LENGTH


def test_the_order_of_a_history_matters():
    made, (items, times) = layer(), sequences()
    first = ask(made, items, times)[:, -1]
    for seed in range(3):
        order = [*np.random.default_rng(seed).permutation(LENGTH - 1), LENGTH - 1]
        assert np.abs(ask(made, items[:, order], times)[:, -1] - first).max() > 1e-3


def test_a_query_is_the_same_asked_alone_or_with_others():
    made, (items, times) = layer(), sequences()
    every = ask(made, items, times)
    assert ask(made, items, times, [[5], [0], [2]])[:, 0] == pytest.approx(every[[0, 1, 2], [5, 0, 2]], abs=1e-5)


def test_a_query_that_reads_nothing_is_zero_and_has_no_gradient():
    made, (items, times) = layer(), sequences()
    variable = tf.Variable(items)
    with tf.GradientTape() as tape:
        found = made(variable, tf.constant(times), tf.constant([[-1], [-1], [-1]]))
        total = tf.reduce_sum(found)
    assert found.numpy().tolist() == np.zeros((3, 1, 3, DIM)).tolist()
    assert not tape.gradient(total, variable).numpy().any()


def test_a_history_of_one_item_has_an_output_whatever_its_time():
    made, (items, _) = layer(), sequences(length=1)
    found = [ask(made, items, np.full((3, 1), time)) for time in (1, 10**9)]
    assert np.isfinite(found[0]).all()
    assert np.abs(found[0]).max(axis=-1).min() > 0
    assert found[0].tolist() == found[1].tolist()


def test_outputs_have_length_one_at_the_start():
    found = ask(CausalAttention(PARAMS, 0), *sequences())[:, :, 0]
    assert np.linalg.norm(found, axis=-1) == pytest.approx(np.ones((3, LENGTH)), rel=1e-3)


def test_each_head_starts_as_a_recency_mean():
    made, (items, times) = CausalAttention(changed(blocks=1, recency_scales=(1.0, 8.0)), 0), sequences()
    made._blocks[0]["query"].assign(np.zeros((DIM, DIM)))
    made._blocks[0]["down"].assign(np.zeros((6, DIM)))
    weights = np.exp(-np.arange(LENGTH)[::-1] / np.array([[1.0], [8.0]]))
    weights = weights / weights.sum(axis=1, keepdims=True)
    read = items / np.linalg.norm(items, axis=-1, keepdims=True)
    heads = np.einsum("hw,uwd->uhd", weights, read)
    found = ask(made, items, times)[:, -1]
    assert found[:, 1:] == pytest.approx(heads, abs=1e-4)
    output = items[:, -1] + heads.mean(axis=1)
    output /= np.linalg.norm(output, axis=-1, keepdims=True)
    assert found[:, 0] == pytest.approx(output, abs=1e-4)


def by_hand(made, items, times):
    """Output and heads [W, 3, d] of one sequence in double precision, item by item and head by head."""

    def norm(x, gain):
        return x / np.sqrt((x**2).mean() + 1e-6) * gain.numpy()

    hidden = [item.astype(np.float64) * DIM**0.5 for item in items]
    part = DIM // 2
    for block in made._blocks:
        kernel = {name: weight.numpy().astype(np.float64) for name, weight in block.items()}
        read = [norm(x, block["attention_norm"]) for x in hidden]
        outputs, of_heads = [], []
        for i, x in enumerate(hidden):
            heads = []
            for h in range(2):
                columns = slice(h * part, (h + 1) * part)
                query = (read[i] @ kernel["query"])[columns]
                scores = [
                    query @ (read[j] @ kernel["key"])[columns] / part**0.5
                    + made.position_bias.numpy()[h, i - j]
                    + made.time_bias.numpy()[h, octave_by_hand(times[i], times[j])]
                    for j in range(i + 1)
                ]
                weights = np.exp(scores - np.max(scores))
                heads.append(weights @ np.array(read[: i + 1]) / weights.sum())
            of_heads.append(heads)
            y = x + np.concatenate(heads) @ kernel["join"]
            inside = norm(y, block["network_norm"])
            gate = inside @ kernel["gate"]
            outputs.append(y + (gate / (1 + np.exp(-gate)) * (inside @ kernel["up"])) @ kernel["down"])
        hidden = outputs
    outputs = [norm(x, made.output_norm) for x in hidden]
    return np.array([[x, *heads] for x, heads in zip(outputs, of_heads, strict=True)]) / DIM**0.5


def octave_by_hand(time, before):
    """0, 1, 2–3, 4–7, … seconds are 0, 1, 2, 3, …; a time of 0 is unknown, whatever the other."""
    return OCTAVES + 1 if 0 in (time, before) else int(time - before).bit_length()


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_outputs_are_those_of_the_formula(seed):
    made, (items, times) = layer(seed=seed), sequences(seed)
    times[0, :3] = 0  # unknown
    expected = [by_hand(made, *each) for each in zip(items, times, strict=True)]
    assert ask(made, items, times) == pytest.approx(np.array(expected), abs=2e-4)


def test_times_are_told_apart_by_their_order_of_magnitude_and_only_relatively():
    made = layer(changed(blocks=1))
    times = np.array([[1, 2, 4, 2**30 + 4, 2**40]])
    found = made._bias(tf.constant([[4, 3, 2, 1, 0]]), tf.constant(times)).numpy()[0, 0]
    position, time = made.position_bias.numpy()[0], made.time_bias.numpy()[0]
    assert found[0] == pytest.approx([*(position[lag] + time[32] for lag in (4, 3, 2, 1)), position[0] + time[0]])
    assert found[1][:4] == pytest.approx(
        [position[lag] + time[octave] for lag, octave in ((3, 31), (2, 31), (1, 31), (0, 0))]
    )
    assert found[2][:3] == pytest.approx([position[2] + time[2], position[1] + time[2], position[0] + time[0]])
    assert (found[2][3:] == -1e9).all()
    items, when = sequences()
    assert ask(made, items, when + 10**6) == pytest.approx(ask(made, items, when), abs=1e-6)


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("length", [0, 1, 5, 9, 10, 14])
def test_serving_reads_the_last_items_and_nothing_of_the_padding(length, blocks):
    made, (items, times) = layer(changed(blocks=blocks)), sequences(users=1, length=14)
    first = max(length - 9, 0)
    read = items[:, first:length], times[:, first:length]
    expected = ask(made, *read, [[-1 + length - first]])[:, 0] if length else np.zeros((1, 3, DIM))
    for width in (max(length, 1), 14):
        padded = np.full((1, width, DIM), 9, np.float32), np.full((1, width), 77)
        padded[0][:, :length], padded[1][:, :length] = items[:, :length], times[:, :length]
        found = made.of_padded(tf.constant(padded[0]), tf.constant([length]), tf.constant(padded[1]))
        assert found.numpy() == pytest.approx(expected, abs=1e-5)


def trained(params=PARAMS, rows=None, epochs=2, seed=1):
    people = queries(rows or random_rows(np.random.default_rng(0), 18, NUM_ITEMS, 8))
    made = SoftmaxTrainer(people, NUM_ITEMS, no_features(NUM_ITEMS), {}, params, seed)
    return made, [made.run_epoch() for _ in range(epochs)]


@pytest.mark.parametrize("objective", ["next", "reconstruct"])
def test_training_and_serving_encode_a_history_alike(objective):
    # Histories of 1 to 12 items, of which at most 9 are read.
    params = changed(objective=objective, cuts_per_user=6, empty_history_share=0.2)
    people = numbered([list(np.random.default_rng(u).permutation(NUM_ITEMS)[: 1 + u]) for u in range(NUM_ITEMS)])
    model = SoftmaxDNN(params, no_features(NUM_ITEMS), np.ones(NUM_ITEMS, bool), {"who": 20}, 0)
    pooling = model.query_tower.pooling
    seen = set()
    for batch in Batches(people, pooling, params, NUM_ITEMS, np.random.default_rng(0)).epoch():
        inputs = {name: tf.constant(array) for name, array in batch.items()}
        embeddings = model.item_tower(inputs["item_ids"])
        found = pooling.of_batch(embeddings, inputs, None).numpy()
        sequence = np.repeat(batch["sequence"], len(found) // len(batch["sequence"]), axis=0)
        times = np.repeat(batch["sequence_times"], len(found) // len(batch["sequence"]), axis=0)
        served = pooling.of_padded(tf.gather(embeddings, sequence), tf.constant(batch["reads"]), tf.constant(times))
        assert found == pytest.approx(served.numpy(), abs=1e-5)
        seen |= set(batch["reads"].tolist())
    assert {0, 1} < seen


def test_the_query_of_a_whole_history_is_that_of_training():
    params = changed(cuts_per_user=6, empty_history_share=0.2)
    people = numbered([[3, 1, 4, 0, 5, 9, 2, 6], [7, 8]])
    model = SoftmaxDNN(params, no_features(NUM_ITEMS), np.ones(NUM_ITEMS, bool), {"who": 2}, 0)
    [batch] = Batches(people, model.query_tower.pooling, params, NUM_ITEMS, np.random.default_rng(1)).epoch()
    inputs = {name: tf.constant(array) for name, array in batch.items()}
    found = model._queries(inputs, model.item_tower(inputs["item_ids"]), None).numpy()
    encoder = SoftmaxEncoder(model.query_tower, NUM_ITEMS, params)
    encoder.refresh(model.item_tower(tf.range(NUM_ITEMS)).numpy())
    retriever = SoftmaxRetriever(encoder)
    for row, (query, reads) in enumerate(zip(found, batch["reads"], strict=True)):
        asked = people.take(batch["categorical"].ravel()[[row // 6]].astype(np.int64))
        asked = replace(asked, histories=asked.histories.first(int(reads)))
        assert query == pytest.approx(retriever.embed_queries(asked)[0], abs=1e-5)
    assert len(set(batch["reads"].tolist())) > 4


@settings(max_examples=20, deadline=None)
@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=5), longest=st.integers(1, 8), seed=SEEDS)
def test_all_queries_of_a_user_read_one_window_from_its_start(lengths, longest, seed):
    params = changed(max_history=longest, cuts_per_user=5, empty_history_share=0.2)
    people = histories([list(range(length)) for length in lengths])
    examples = predict_next(people, params, np.random.default_rng(seed))
    read = [part.tolist() for part in np.split(examples.positions, examples.offsets[1:-1])]
    found = CausalAttention(params, 0).inputs(
        examples, people.items[examples.positions], people.timestamps, len(people)
    )
    for row, (positions, cut) in enumerate(zip(read, examples.lengths, strict=True)):
        user = row // 5
        start = people.offsets[user]
        first = positions[-1] if positions else start + cut
        assert positions == list(range(start + cut - 1, first - 1, -1))
        assert len(positions) <= longest
        assert (len(positions) == 0) == (cut == 0)
        reads = found["reads"][row]
        assert reads == len(positions)
        assert found["sequence"][user, :reads].tolist() == people.items[positions[::-1]].tolist()
        assert found["sequence_times"][user, :reads].tolist() == people.timestamps[positions[::-1]].tolist()
    assert found["sequence"].shape == (len(lengths), max(1, max(map(len, read))))


@pytest.mark.parametrize("longest", [3, 4, 100])
def test_every_cut_of_a_long_history_is_as_likely(longest):
    # 11 cuts, 1 to 11, each with a chance of 1/11: 6,000 windows of 2 cuts each.
    params = changed(max_history=longest, cuts_per_user=2, empty_history_share=0.0)
    people = histories([list(range(12))] * 6_000)
    cuts = predict_next(people, params, np.random.default_rng(0)).lengths
    shares = np.bincount(cuts, minlength=12)[1:] / len(cuts)
    assert shares == pytest.approx(np.full(11, 1 / 11), abs=0.012)


def test_dropout_follows_from_step_and_seed_and_acts_in_training_alone():
    asked, made = sequences(), layer(seed=1)
    plain, first = ask(made, *asked), ask(made, *asked, drop_at=3)
    assert ask(made, *asked).tolist() == plain.tolist()
    assert ask(made, *asked, drop_at=3).tolist() == first.tolist()
    assert not np.allclose(first, plain, atol=1e-3)
    assert not np.allclose(ask(made, *asked, drop_at=4), first, atol=1e-3)
    other = CausalAttention(PARAMS, 2)
    other.set_weights(made.get_weights())
    assert not np.allclose(ask(other, *asked, drop_at=3), first, atol=1e-3)
    bare = CausalAttention(changed(dropout=0.0), 1)
    bare.set_weights(made.get_weights())
    assert ask(bare, *asked, drop_at=3).tolist() == ask(bare, *asked).tolist()


@pytest.mark.parametrize("negatives", [{"sampler": "full"}, {"sampler": "mixed"}])
def test_it_learns_with_the_full_and_with_the_sampled_softmax(negatives):
    rows = [[(start + step) % NUM_ITEMS for step in range(8)] for start in range(NUM_ITEMS)] * 2
    negatives = NegativesParams(num_sampled=6, **negatives)
    params = changed(negatives=negatives, dropout=0.0, target_window=1, cuts_per_user=8)
    params = params.model_copy(update={"attention": AttentionParams(heads=2, dropout=0.0), "max_epochs": 10})
    made, losses = trained(params, rows, epochs=10)
    assert losses[-1] < losses[0] / 2
    # After 3, 4, 5 comes 6: the order of the history is what tells.
    asked = queries([[(start + step) % NUM_ITEMS for step in range(4)] for start in range(NUM_ITEMS)])
    retriever = made.retriever()
    scores = retriever.embed_queries(asked) @ retriever.item_embeddings.T
    scores[asked.histories.rows, asked.histories.items] = -np.inf
    assert np.mean(scores.argmax(axis=1) == (np.arange(NUM_ITEMS) + 4) % NUM_ITEMS) > 0.8


def test_the_same_seed_gives_the_same_weights_though_the_training_was_killed_and_another_seed_gives_others():
    params = changed(blocks=1)
    whole, _ = trained(params, epochs=1)
    begun = whole.state()
    losses = [whole.run_epoch() for _ in range(2)]
    resumed, _ = trained(params, epochs=0)
    start, other = (made.weights() for made in (resumed, trained(params, epochs=0, seed=2)[0]))
    assert any(start[name].tobytes() != array.tobytes() for name, array in other.items())
    resumed.restore(begun)
    assert [resumed.run_epoch() for _ in range(2)] == losses
    first, again = (made.state() for made in (whole, resumed))
    assert all(first[name].tobytes() == again[name].tobytes() for name in first)


def test_a_model_from_before_the_setting_is_loaded_as_a_pooled_one():
    made, _ = trained(FAST, epochs=0)
    retriever = made.retriever()
    settings = {name: value for name, value in made.settings().items() if name not in ("tower", "attention")}
    loaded = load(StoredModel(retriever.arrays(), settings, FeatureEncoding()))
    asked = queries([[1, 2, 3], []])
    assert loaded.embed_queries(asked).tolist() == retriever.embed_queries(asked).tolist()


def test_every_weight_of_the_transformer_is_trained():
    made, _ = trained(epochs=0)
    before = {weight.name: weight.numpy() for weight in made._model.query_tower.pooling.weights}
    made.run_epoch()
    after = {weight.name: weight.numpy() for weight in made._model.query_tower.pooling.weights}
    assert len(before) == 2 + 2 * 8 + 1
    assert [name for name in before if np.array_equal(before[name], after[name])] == []


def test_histories_without_times_are_pooled_by_their_plain_mean():
    people = queries([[1, 2, 3], [4, 5]])
    untimed = replace(people, histories=replace(people.histories, timestamps=np.zeros(5, np.int64)))
    made = SoftmaxTrainer(untimed, NUM_ITEMS, no_features(NUM_ITEMS), {}, PARAMS, 1)
    changed_ones = {"tower": "pooled", "recency_scales": [], "use_item_features": False}
    assert made.settings() == PARAMS.model_dump(mode="json") | changed_ones
    assert spec("softmax").is_order_blind(made.settings())


def test_attention_reads_the_order_even_without_scales():
    content = changed(recency_scales=()).model_dump(mode="json")
    assert not spec("softmax").is_order_blind(content)
    assert not CausalAttention(changed(recency_scales=()), 0).position_bias.numpy().any()


@pytest.mark.parametrize("section", [SoftmaxParams, TwoTowerParams])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"attention": {"heads": 3}}, "attention.heads is 3 and does not divide dim, 64: .*another number of heads"),
        ({"max_history": 2000}, "max_history is 2,000 and the attention tower reads at most 1,024 .*lower it, or set"),
        ({"attention": {"blocks": 0}}, "greater than or equal to 1"),
        ({"attention": {"dropout": 1.0}}, "less than 1"),
        ({"attention": {"layers": 2}}, "Extra inputs are not permitted"),
        ({"tower": "transformer"}, "'pooled' or 'attention'"),
    ],
)
def test_settings_that_cannot_be_are_refused(section, values, message):
    with pytest.raises(ValidationError, match=message):
        section.model_validate({"tower": "attention", "dim": 64} | values)


def test_what_only_attention_needs_does_not_bind_the_pooled_tower():
    section = SoftmaxParams(dim=64, max_history=2000, attention=AttentionParams(heads=3))
    assert section.tower == "pooled"


def test_tuning_tries_the_settings_of_the_transformer_only_where_there_is_one():
    pooled, attention = (space_of("softmax", SoftmaxParams(tower=tower)) for tower in ("pooled", "attention"))
    of_blocks = {f"attention.{name}" for name in AttentionParams.model_fields}
    assert attention.keys() - pooled.keys() == of_blocks
    assert attention.keys() == search_space(SoftmaxParams).keys()


def test_a_batch_has_one_sequence_per_user_and_no_pooled_history():
    rows = [[0, 1, 2, 3], [4], [5, 6]]
    made = Batches(
        numbered(rows),
        CausalAttention(PARAMS, 0),
        PARAMS,
        NUM_ITEMS,
        np.random.default_rng(0),
        catalogue_sampler(NUM_ITEMS),
    )
    [batch] = made.epoch()
    assert batch["sequence"].shape == batch["sequence_times"].shape
    assert len(batch["sequence"]) == 3
    assert len(batch["reads"]) == 3 * PARAMS.cuts_per_user
    assert not {"history", "history_offsets", "history_weights"} & set(batch)


def test_users_of_whom_nothing_is_read_still_make_a_batch():
    params = changed(empty_history_share=0.99)
    people = numbered([[1], [2], [3]])
    [batch] = Batches(people, CausalAttention(params, 0), params, NUM_ITEMS, np.random.default_rng(0)).epoch()
    assert batch["sequence"].tolist() == [[0]] * 3
    assert not batch["reads"].any()
