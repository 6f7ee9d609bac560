"""Cross-entropy against several positives per query, with sampled negatives."""

from typing import Any

import tensorflow_recommenders as tfrs

from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.negatives.selection import MASKED


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
