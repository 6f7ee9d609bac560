"""The softmax DNN as a TFRS model: two towers and a task."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow_recommenders as tfrs
from numpy.typing import NDArray

from bakeoff.data.features.encoding import EncodedFeatures
from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.item_tower import ItemTower
from bakeoff.models.neural.loss import MultiHotSampledSoftmax
from bakeoff.models.neural.negatives.selection import make_selector, selected_logits
from bakeoff.models.neural.pooling import pool
from bakeoff.models.neural.query_tower import QueryTower
from bakeoff.models.neural.spec import SoftmaxParams


class SoftmaxDNN(tfrs.models.Model):
    """p̂ = softmax(ψ(x)Vᵀ / temperature), ψ the query tower and V the item embeddings."""

    def __init__(
        self,
        params: SoftmaxParams,
        item_features: EncodedFeatures,
        is_trained: NDArray[np.bool_],
        categorical_sizes: Mapping[str, int],
        seed: int,
    ) -> None:
        """Put the towers together.

        Args:
            params: settings.
            item_features: features of all n items.
            is_trained: [n], items with an event to learn from.
            categorical_sizes: number of values of each categorical user feature, by name.
            seed: of dropout and of hard negatives.
        """
        super().__init__()
        uses_features = params.use_item_features and item_features.num_features > 0
        self.item_tower = ItemTower(params, item_features if uses_features else None, is_trained, seed)
        self.query_tower = QueryTower(params, categorical_sizes, seed)
        self.task = MultiHotSampledSoftmax(per_pair=params.loss == "per-pair")
        self._params = params
        self._seed = seed
        self._selector = make_selector(params.negatives)
        self.log_scale = tf.Variable(
            -tf.math.log(params.temperature), trainable=params.learn_temperature, name="log_scale"
        )

    def compute_loss(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Loss of a batch as `Batches` makes it."""
        step = self.optimizer.iterations if training else None
        embeddings = self.item_tower(inputs["item_ids"], drop_at=step)  # (M, d)
        queries = self._queries(inputs, embeddings, step) * tf.exp(self.log_scale)  # (R, d)
        positives = tf.gather(queries, inputs["target_rows"]) * tf.gather(embeddings, inputs["targets"])  # (P, d)
        num_users = tf.shape(inputs["dense"])[0]
        by_user = tf.reshape(queries, [num_users, -1, self._params.dim])  # (U, C, d)
        candidates = tf.gather(embeddings, inputs["candidates"])  # (S, d)
        own = inputs["own"]
        log_expected_count, target_log_expected_count = self._log_expected_counts(inputs)
        logits = tf.einsum("ucd,sd->ucs", by_user, candidates)
        if self._selector is not None:
            seed = tf.stack([self._seed, tf.cast(0 if step is None else step, tf.int32)])
            index, log_expected_count, own = self._selector.select(
                tf.stop_gradient(logits), log_expected_count, own, seed
            )
            logits = selected_logits(by_user, candidates, index)
        else:
            own = own[:, tf.newaxis, :]
        targets = tf.reduce_sum(positives, axis=-1), inputs["target_rows"], inputs["target_weights"]
        return self.task(*targets, logits, log_expected_count, own, target_log_expected_count)

    def _log_expected_counts(self, inputs: dict[str, Any]) -> tuple[Any, Any]:
        """Of the candidates [S] and of the targets [P]; zeros where the settings ask for no correction."""
        candidates, targets = inputs["log_expected_count"], inputs["target_log_expected_count"]
        if not self._params.negatives.logq_correction:
            return tf.zeros_like(candidates), tf.zeros_like(targets)
        return candidates, targets if self._params.negatives.correct_targets else tf.zeros_like(targets)

    def _queries(self, inputs: dict[str, Any], embeddings: Any, step: Any) -> Any:
        """Query embeddings [R, d]; a user's features are repeated for each of its C queries."""
        pooled = pool(embeddings, inputs["history_offsets"], inputs["history"], inputs["history_weights"])
        each = tf.shape(inputs["activity"])[0] // tf.shape(inputs["dense"])[0]
        dense, categorical = (tf.repeat(inputs[name], each, axis=0) for name in ("dense", "categorical"))
        return self.query_tower(pooled, inputs["activity"], dense, categorical, drop_at=step)
