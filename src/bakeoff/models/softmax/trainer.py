"""The softmax DNN in training."""

from typing import Any

import numpy as np

from bakeoff.models.negatives import (
    CatalogueSampler,
    InBatchSampler,
    NegativeSampler,
    PopularitySampler,
    UniformSampler,
)
from bakeoff.models.softmax.batches import Batches, target_chances
from bakeoff.models.softmax.encoder import SoftmaxEncoder
from bakeoff.models.softmax.model import SoftmaxDNN
from bakeoff.models.softmax.query_tower import activity
from bakeoff.models.tensorflow import tf
from bakeoff.models.training import count_weights
from bakeoff.params import SoftmaxParams
from bakeoff.preparation.features import EncodedFeatures
from bakeoff.preparation.histories import Histories, Queries

WARM_UP_SHARE = 0.05
"""Share of all steps in which the learning rate rises to its peak."""

PREFETCH = 4
"""Batches that NumPy prepares while TensorFlow works on one."""


class SoftmaxTrainer:
    """Trains the DNN on the histories of a block of users."""

    def __init__(
        self,
        queries: Queries,
        num_items: int,
        item_features: EncodedFeatures,
        categorical_sizes: tuple[int, ...],
        params: SoftmaxParams,
        seed: int,
    ) -> None:
        """Build model, batches and optimizer; queries.histories is what is trained on."""
        tf.keras.utils.set_random_seed(seed)
        rng = np.random.default_rng(seed)
        sampler = make_sampler(queries.histories, num_items, params)
        self._params = params
        self._batches = Batches(queries, sampler, params, num_items, rng)
        self._model = SoftmaxDNN(params, num_items, item_features, categorical_sizes)
        first = next(self._batches.epoch())
        signature = {name: _any_length(array) for name, array in first.items()}
        self._model.compute_loss({name: tf.constant(array) for name, array in first.items()})
        self._encoder = SoftmaxEncoder(self._model, num_items)
        _fit_activity_scale(self._model, queries.histories, params)
        steps = params.max_epochs * self._batches.per_epoch
        schedule = tf.keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0,
            decay_steps=max(1, round(steps * (1 - WARM_UP_SHARE))),
            warmup_target=params.learning_rate,
            warmup_steps=max(1, round(steps * WARM_UP_SHARE)),
        )
        # Keras 2's fused kernel: its newer Adam takes several small operations per weight instead.
        self._model.compile(optimizer=tf.keras.optimizers.legacy.Adam(schedule))
        self._dataset = tf.data.Dataset.from_generator(self._batches.epoch, output_signature=signature).prefetch(
            PREFETCH
        )

    def run_epoch(self) -> float:
        """See every user once; mean loss of the steps."""
        history = self._model.fit(self._dataset, verbose=0)
        return float(history.history["loss"][0])

    def encoder(self) -> SoftmaxEncoder:
        """The towers as they stand."""
        self._encoder.refresh(self._model)
        return self._encoder

    @property
    def num_parameters(self) -> int:
        """Trained weights of both towers and the temperature."""
        return count_weights(self._model.trainable_weights)

    def settings(self) -> dict[str, Any]:
        """Those that were given."""
        return self._params.model_dump(mode="json")

    def notes(self) -> dict[str, float]:
        """The learned temperature, and how many false negatives the mask of own items caught."""
        return {
            "temperature": float(np.exp(-self._model.log_scale.numpy())),
            "masked_false_negatives_share": self._batches.masked.share,
        }


def make_sampler(histories: Histories, num_items: int, params: SoftmaxParams) -> NegativeSampler:
    """The sampler that the settings name, over the events that are trained on."""
    negatives = params.negatives
    match negatives.sampler:
        case "full":
            return CatalogueSampler(num_items)
        case "uniform":
            return UniformSampler(num_items, negatives.num_sampled)
        case "popularity":
            frequencies = np.bincount(histories.items, minlength=num_items)
            return PopularitySampler(frequencies, negatives.num_sampled, negatives.popularity_exponent)
        case "in-batch":
            return InBatchSampler(target_chances(histories, params), histories, params.users_per_batch)


def _any_length(array: np.ndarray) -> tf.TensorSpec:
    """Same rank and type: every length varies from batch to batch."""
    return tf.TensorSpec([None] * array.ndim, array.dtype)


def _fit_activity_scale(model: SoftmaxDNN, histories: Histories, params: SoftmaxParams) -> None:
    sample = histories.take(np.flatnonzero(histories.lengths)[:1000])
    _, timestamps = sample.padded(int(sample.lengths.max()))
    fractions = np.linspace(0.1, 1, 10)
    cuts = np.ceil(sample.lengths[:, np.newaxis] * fractions).astype(np.int32)
    measures: Any = activity(tf.constant(timestamps), tf.constant(cuts), params.max_history)
    model.query_tower.standardise_activity(measures.numpy().reshape(-1, measures.shape[-1]))
