"""The softmax DNN as a TFRS model: two towers, and as its task cross-entropy against sampled negatives."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow_recommenders as tfrs
from numpy.typing import NDArray

from bakeoff.data.features.encoding import EncodedFeatures
from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.item_tower import ItemTower
from bakeoff.models.neural.query_tower import QueryTower
from bakeoff.models.neural.selection import MASKED, select, selected_logits
from bakeoff.models.neural.spec import SoftmaxParams


class MultiHotSampledSoftmax(tf.keras.layers.Layer, tfrs.tasks.Task):
    r"""Softmax cross-entropy of queries that each have several positives.

    With s_j the logit of item j, E_j its expected count among a step's candidates, P the positives of a query, p_j
    their weights and S its candidates,

        L = Σ_{j ∈ P} p_j softplus(log R_j − (s_j − log E_j)),
        R_j = Σ_{i ∈ P \ j} exp(s_i) + Σ_{c ∈ S \ own} exp(s_c − log E_c).

    R_j estimates the partition function over the other positives and all items that the user has not met, without bias
    (importance sampling; Bengio & Senécal 2008; correction as in Yi et al. 2019, eq. 3, but without their floor on
    probabilities). The user's own items never act as negatives. The positive itself is corrected as the candidates
    are (Jean et al. 2015): of many items few candidates miss those that carry the partition function, so that log R
    lies below its expectation, and a positive that were not corrected would take what is missing. With E = 1 and p
    the normalised multi-hot vector this is its cross-entropy; per pair, R_j has no first sum, so that the user's
    positives do not compete.

    `tfrs.tasks.Retrieval` has one positive per row, clips probabilities at 1e-6 and masks identical ids only.
    """

    def __init__(self, per_pair: bool = False) -> None:
        """Whether each positive competes with the negatives alone."""
        super().__init__()
        self._per_pair = per_pair

    def call(
        self,
        target_logits: Any,
        target_rows: Any,
        target_weights: Any,
        candidate_logits: Any,
        log_expected_count: Any,
        is_own: Any,
        target_log_expected_count: Any = 0.0,
    ) -> Any:
        """Weighted mean loss of the (query, positive) pairs.

        Args:
            target_logits: [P], logits of the positives.
            target_rows: int32 [P], query of each, in [0, U · C).
            target_weights: [P] ≥ 0, p.
            candidate_logits: [U, C, K], logits of each query's candidates.
            log_expected_count: [K] where candidates are shared, or [U, C, K]; zeros: no correction.
            is_own: bool [U, 1, K] or [U, C, K], candidates that are the user's own items.
            target_log_expected_count: [P], log E_j of the positives; zeros: no correction.

        Returns:
            scalar ≥ 0; 0 if there is no pair.
        """
        negatives = tf.where(is_own, MASKED, candidate_logits - log_expected_count)
        log_negatives = tf.reshape(tf.reduce_logsumexp(negatives, axis=-1), [-1])  # (R,)
        log_rest = tf.gather(log_negatives, target_rows)
        if not self._per_pair:
            log_others = _log_sum_exp_of_others(target_logits, target_rows, tf.size(log_negatives))
            log_rest = tf.reduce_logsumexp(tf.stack([log_rest, log_others]), axis=0)
        losses = tf.nn.softplus(log_rest - (target_logits - target_log_expected_count))
        return tf.math.divide_no_nan(tf.reduce_sum(target_weights * losses), tf.reduce_sum(target_weights))


def _log_sum_exp_of_others(values: Any, rows: Any, num_rows: Any) -> Any:
    """Log Σ exp of the other values of each value's row, [P]; MASKED where there is none."""
    highest = tf.gather(tf.stop_gradient(tf.math.unsorted_segment_max(values, rows, num_rows)), rows)
    weights = tf.exp(values - highest)
    # What the difference loses is small against the value itself, to whose loss it adds.
    others = tf.gather(tf.math.unsorted_segment_sum(weights, rows, num_rows), rows) - weights
    return tf.where(others > 0, tf.math.log(tf.maximum(others, 1e-30)) + highest, MASKED)


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
        self.log_scale = tf.Variable(
            -tf.math.log(params.temperature), trainable=params.learn_temperature, name="log_scale"
        )

    def compute_loss(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Loss of a batch as `Batches` makes it; of a worker's share (replicas.py), its part of that loss."""
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
        if self._params.negatives.selection != "none":
            seed = tf.stack([self._seed, tf.cast(0 if step is None else step, tf.int32)])
            index, log_expected_count, own = select(
                self._params.negatives, tf.stop_gradient(logits), log_expected_count, own, seed
            )
            logits = selected_logits(by_user, candidates, index)
        else:
            own = own[:, tf.newaxis, :]
        targets = tf.reduce_sum(positives, axis=-1), inputs["target_rows"], inputs["target_weights"]
        loss = self.task(*targets, logits, log_expected_count, own, target_log_expected_count)
        return loss * inputs["weight"] if "weight" in inputs else loss

    def _log_expected_counts(self, inputs: dict[str, Any]) -> tuple[Any, Any]:
        """Of the candidates [S] and of the targets [P]; zeros where the settings ask for no correction."""
        candidates, targets = inputs["log_expected_count"], inputs["target_log_expected_count"]
        if not self._params.negatives.logq_correction:
            return tf.zeros_like(candidates), tf.zeros_like(targets)
        return candidates, targets if self._params.negatives.correct_targets else tf.zeros_like(targets)

    def _queries(self, inputs: dict[str, Any], embeddings: Any, step: Any) -> Any:
        """Query embeddings [R, d]; a user's features are repeated for each of its C queries."""
        pooled = self.query_tower.pooling.of_batch(embeddings, inputs, step)
        each = tf.shape(inputs["activity"])[0] // tf.shape(inputs["dense"])[0]
        dense, categorical = (tf.repeat(inputs[name], each, axis=0) for name in ("dense", "categorical"))
        others = step, inputs.get("rows"), inputs.get("asked")
        return self.query_tower(pooled, inputs["activity"], dense, categorical, *others)
