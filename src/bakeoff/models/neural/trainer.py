"""The softmax DNN in training, from its own initial weights or, after a warm start, from those of an earlier model."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories, Queries
from bakeoff.data.features.encoding import EncodedFeatures
from bakeoff.data.prepared.tables import Prepared
from bakeoff.models.base.retriever import without_order
from bakeoff.models.base.start import FIT_IN_FULL, Start, StartError, from_neighbours, rows_of
from bakeoff.models.base.tensorflow import graph, seed_everything, tf
from bakeoff.models.neural.batches import Batches
from bakeoff.models.neural.encoder import SoftmaxEncoder, SoftmaxRetriever
from bakeoff.models.neural.item_tower import input_labels
from bakeoff.models.neural.model import SoftmaxDNN
from bakeoff.models.neural.pooling import smooth
from bakeoff.models.neural.query_tower import USER_ID
from bakeoff.models.neural.spec import SoftmaxParams

WARM_UP_SHARE = 0.05
"""Share of all steps in which the learning rate rises to its peak."""

SAMPLED_BATCHES = 8
"""Batches from which the scale of the activity measures is taken."""

ITEMS_PER_BLOCK = 1 << 16
"""Items that the item tower embeds at once."""

WARM_RATE = 0.02
"""Peak learning rate after a warm start, as a share of that of a full fit. A few epochs at a high rate undo more than
they can anneal: on the first night of benchmarks/warm_start.py NDCG@10 on validation was 0.2489 at a tenth and 0.2499
at a fiftieth, with 0.2502 of a full fit; on the second, a chain at the full rate had fallen to 0.2472."""

ITEM_IDS, INPUTS = "item_tower/id_embeddings:0", "item_tower/feature_embeddings:0"
OWN_VECTORS, FEATURE = "query_tower/user_embeddings:0", "query_tower/feature_{}/embeddings:0"
"""Names of tables among the weights."""

TRAINED = "item_tower/is_trained"
"""Name, among the weights, of bool [n]: items with an event that was learned from."""

MakeBatches = Callable[..., Batches]
"""Queries with the histories to train on, pooling, settings, size of the catalogue and source of draws → batches.

By name it also takes `dislikes`, what each user dislikes; None: no such events.
"""


class SoftmaxTrainer:
    """Trains the DNN on the histories of a block of users."""

    keeps_weights = False

    def __init__(
        self,
        queries: Queries,
        num_items: int,
        item_features: EncodedFeatures,
        categorical_sizes: Mapping[str, int],
        params: SoftmaxParams,
        seed: int,
        make_batches: MakeBatches = Batches,
    ) -> None:
        """Build model, batches and optimizer; queries.histories is what is trained on.

        Where times don't differ, the order of a history says nothing: the tower then reads its plain mean, and no
        time of a query. Where items have no features, none are used.
        """
        params = without_order(params, queries.histories, tower="pooled", recency_scales=(), use_query_time=False)
        if item_features.num_features == 0:
            params = params.model_copy(update={"use_item_features": False})
        self._params, self._queries, self._num_items = params, queries, num_items
        seed_everything(seed)
        self._rng = np.random.default_rng(seed)
        self._is_trained = queries.histories.item_counts(num_items) > 0
        self._model = SoftmaxDNN(params, item_features, self._is_trained, categorical_sizes, seed)
        self._batches = make_batches(queries, self._model.query_tower.pooling, params, num_items, self._rng)
        self._model.compile(optimizer=LazyAdam(_schedule(params, self._batches.per_epoch)))
        self._signature = self._build(seed)
        self._encoder = SoftmaxEncoder(self._model.query_tower, num_items, params)

    def run_epoch(self) -> float:
        """See every user once; mean loss of the steps.

        Batches come straight from NumPy: to make one takes a millisecond, and `tf.data` takes longer to hand it over.
        """
        losses = []
        every = self._params.renormalize_every
        for batch in self._batches.epoch():
            losses.append(self._step(batch)["loss"])
            # Counted over all epochs: one may have fewer steps.
            if every and int(self._model.optimizer.iterations) % every == 0:
                # Adam's steps keep their size while cosines forget lengths.
                for vectors in (each for each in self._model.weights if each.name in (ITEM_IDS, OWN_VECTORS)):
                    vectors.assign(tf.math.l2_normalize(vectors, axis=-1))
        return float(tf.reduce_mean(losses))

    def retriever(self) -> SoftmaxRetriever:
        """The towers after the epochs so far."""
        embeddings = self._item_embeddings()
        self._encoder.refresh(embeddings)
        found = SoftmaxRetriever(self._encoder, self._model.item_tower.feature_weights)
        if self._params.smoothing:
            queries = found.embed_queries(replace(self._queries, times=self._queries.histories.last_times))
            smoothed = smooth(embeddings, queries, self._queries.histories, self._params.smoothing)
            self._encoder.item_embeddings.assign(smoothed)
        return found

    def _item_embeddings(self) -> NDArray[np.float32]:
        """[num_items, d], after the epochs so far."""
        found = np.empty((self._num_items, self._params.dim), np.float32)
        for start in range(0, self._num_items, ITEMS_PER_BLOCK):
            block = np.arange(start, min(start + ITEMS_PER_BLOCK, self._num_items))
            found[block] = self._model.item_tower(block)
        return found

    @property
    def num_parameters(self) -> int:
        """Trained weights of both towers and the temperature."""
        return sum(int(weight.shape.num_elements()) for weight in self._model.trainable_weights)

    def settings(self) -> dict[str, Any]:
        """Those that were given, but for what the data cannot have: recency without times, features of items."""
        return self._params.model_dump(mode="json")

    def notes(self) -> dict[str, float]:
        """The learned temperature, and how many false negatives the mask of own items caught."""
        masked, pairs = self._batches.masked.tolist()
        temperature = float(np.exp(-self._model.log_scale.numpy()))
        return {"temperature": temperature, "masked_false_negatives_share": masked / max(pairs, 1)}

    @property
    def masked(self) -> NDArray[np.int64]:
        """Numbers of candidates that were masked, and of all; see `Batches.masked`."""
        return self._batches.masked

    def weights(self) -> dict[str, NDArray[Any]]:
        """Both towers and the temperature, by the names that Keras gives them, and `TRAINED`."""
        return {weight.name: weight.numpy() for weight in self._model.weights} | {TRAINED: self._is_trained}

    def start_from(self, start: Start, prepared: Prepared) -> None:
        """Take over the weights of an earlier training; the optimizer's moments and its schedule start afresh.

        Raises:
            StartError: see `started_weights`.
        """
        found = started_weights(self.weights(), start, prepared, self._queries.histories)
        for weight in self._model.weights:
            weight.assign(found[weight.name])

    def state(self) -> dict[str, NDArray[Any]]:
        """Weights, moments, the generator of batches and the count of masked candidates."""
        generator = np.frombuffer(json.dumps(self._rng.bit_generator.state).encode(), np.uint8)
        weights = {name: weight.numpy() for name, weight in self._weights().items()}
        return {**weights, "generator": generator, "masked": self._batches.masked.copy()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Continue from `state()` of a trainer with the same arguments."""
        self._rng.bit_generator.state = json.loads(state["generator"].tobytes())
        self._batches.masked = state["masked"].copy()
        for name, weight in self._weights().items():
            weight.assign(state[name])

    def _weights(self) -> dict[str, Any]:
        """All variables, by their names in `state`."""
        weights = [*self._model.weights, *self._model.optimizer.weights]
        return {f"weight_{place}": weight for place, weight in enumerate(weights)}

    @cached_property
    def _step(self) -> Any:
        """See `_compiled`; a trainer that only ranks needs none."""
        return self._compiled(self._signature)

    def _compiled(self, signature: dict[str, Any]) -> Any:
        """A step, from a batch to its loss; to trace and to convert once here saves a millisecond of each call."""
        step = graph(self._model.train_step, input_signature=[signature]).get_concrete_function()
        return lambda batch: step({name: tf.constant(array) for name, array in batch.items()})

    def _build(self, seed: int) -> dict[str, Any]:
        """Create all weights and fix the scale of the activity measures; signature of a batch."""
        batches = self._batches.drawn_by(np.random.default_rng(seed))
        sample = [batch for batch, _ in zip(batches.epoch(), range(SAMPLED_BATCHES), strict=False)]
        first = sample[0]
        inputs = {name: tf.constant(array) for name, array in first.items()}
        self._model.compute_loss(inputs)
        activity = np.concatenate([batch["activity"] for batch in sample])
        self._model.query_tower.standardise_activity(activity.astype(np.float32))
        self._model.optimizer.create_slots(self._model.trainable_variables)
        return {name: _any_length(name, array) for name, array in first.items()}


class LazyAdam(tf.keras.optimizers.legacy.Adam):
    """Adam (Kingma & Ba 2015) that leaves rows of an embedding table without gradient as they are.

    Keras's Adam decays the moments of *every* row at every step: on 10⁶ items that costs a hundred times the step.
    Here moments and weights of untouched rows rest, as in TensorFlow Addons' LazyAdam. Gradients of a row that is
    looked up several times in a step, a user's for each cut, are summed first, as Keras does for every optimizer.
    """

    def create_slots(self, variables: Sequence[Any]) -> None:
        """Create the counter of steps and the moments of these variables, so that they are among the weights."""
        _ = self.iterations
        self._create_all_weights(variables)

    def _resource_apply_sparse(self, grad: Any, var: Any, indices: Any, apply_state: Any = None) -> Any:
        key = (var.device, var.dtype.base_dtype)
        rates = (apply_state or {}).get(key) or self._fallback_apply_state(*key)
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        m_rows = rates["beta_1_t"] * tf.gather(m, indices) + rates["one_minus_beta_1_t"] * grad
        v_rows = rates["beta_2_t"] * tf.gather(v, indices) + rates["one_minus_beta_2_t"] * grad**2
        step = rates["lr"] * m_rows / (tf.sqrt(v_rows) + rates["epsilon"])
        return tf.group(
            tf.raw_ops.ResourceScatterUpdate(resource=m.handle, indices=indices, updates=m_rows),
            tf.raw_ops.ResourceScatterUpdate(resource=v.handle, indices=indices, updates=v_rows),
            tf.raw_ops.ResourceScatterSub(resource=var.handle, indices=indices, updates=step),
        )


def build(
    prepared: Prepared,
    queries: Queries,
    section: SoftmaxParams,
    seed: int,
    make_batches: MakeBatches = Batches,
    start: Start | None = None,
    trainer: Callable[..., SoftmaxTrainer] = SoftmaxTrainer,
) -> SoftmaxTrainer:
    """A fresh trainer of the softmax DNN, or of the two-tower model, on the histories of these queries.

    After a warm start the learning rate is WARM_RATE of that of the settings. Where the split knows dislikes, users
    have what they dislike as negatives.

    Raises:
        StartError: the weights to start from don't fit the settings or the features.
    """
    sizes = prepared.encoding.user.categorical_sizes
    if start is not None:
        section = section.model_copy(update={"learning_rate": WARM_RATE * section.learning_rate})
    items = (prepared.num_items, prepared.item_features)
    batches = partial(make_batches, dislikes=prepared.trained_dislikes)
    made = trainer(queries, *items, sizes, section, seed, batches)
    if start is not None:
        made.start_from(start, prepared)
    return made


def _schedule(params: SoftmaxParams, steps_per_epoch: int) -> Any:
    """Warm-up to the peak, then cosine decay to 0 at the end of the last epoch."""
    steps = params.max_epochs * steps_per_epoch
    warm_up = max(1, round(steps * WARM_UP_SHARE))
    return tf.keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=params.learning_rate, warmup_steps=warm_up
    )


def _any_length(name: str, array: NDArray[Any]) -> Any:
    """Same rank and type; lengths vary from batch to batch, but for the columns of what a tower reads."""
    columns = array.shape[1:] if name in ("history_weights", "activity", "asked", "dense", "categorical") else ()
    return tf.TensorSpec([None, *columns] if columns else [None] * array.ndim, array.dtype)


def started_weights(
    initial: Mapping[str, NDArray[Any]], start: Start, prepared: Prepared, histories: Histories
) -> dict[str, NDArray[np.float32]]:
    """Weights of a new training, by name.

    Rows of items are found by id, rows of categorical values, tags and words by feature and value, and all else is
    taken as it is, the scale of the activity measures with it. An item with its first events starts at the mean of its
    neighbours (`from_neighbours`), a new value where a full fit would have started. An item without an event to learn
    from stays where negatives have moved it; one that was not there, or had events, joins the mean of those: 0 if no
    negative was such an item.

    Args:
        initial: as a full fit would start, with `TRAINED`.
        start: weights to start from.
        prepared: of the new training.
        histories: that it learns from.

    Raises:
        StartError: the user features or a shape are others.
    """
    theirs, ours = start.encoding.user, prepared.encoding.user
    named = [(list(each.dense), list(each.categorical), list(each.vector.items())) for each in (theirs, ours)]
    if named[0] != named[1]:
        raise StartError(
            f"The model to start from has the user features {', '.join(theirs.names) or 'none'}, and the data have "
            f"{', '.join(ours.names) or 'none'}. {FIT_IN_FULL}"
        )
    rows = {ITEM_IDS: rows_of(start.item_ids, prepared.item_ids)}
    rows[INPUTS] = rows_of(input_labels(start.encoding.item), input_labels(prepared.encoding.item))
    for place, name in enumerate(ours.categorical):
        values = rows_of(theirs.categorical[name], ours.categorical[name])
        # Row 0 is of the unknown value.
        table = OWN_VECTORS if name == USER_ID else FEATURE.format(place)
        rows[table] = np.concatenate([[0], np.where(values >= 0, values + 1, -1)])
    found = {name: start.take(name, weight, rows.get(name)) for name, weight in initial.items() if name != TRAINED}
    if ITEM_IDS in found:
        vectors, learned, places = found[ITEM_IDS], start.array(ITEM_IDS), rows[ITEM_IDS]
        had_events, is_trained, was_there = start.array(TRAINED), initial[TRAINED], places >= 0
        is_known = was_there & had_events[places]
        vectors[is_trained & ~is_known] = initial[ITEM_IDS][is_trained & ~is_known]
        from_neighbours(vectors, is_trained & is_known, histories)
        without = learned[~had_events]
        vectors[~is_trained & (is_known | ~was_there)] = without.mean(axis=0) if len(without) else 0
    return found
