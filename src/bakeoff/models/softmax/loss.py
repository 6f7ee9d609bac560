"""Cross-entropy against the normalised multi-hot target, with sampled negatives."""

from typing import Any

import tensorflow_recommenders as tfrs

from bakeoff.models.tensorflow import tf

MASKED = -1e9
"""A logit that no softmax notices; finite, so that a row of nothing else has a gradient of 0 and not NaN."""


class MultiHotSampledSoftmax(tf.keras.layers.Layer, tfrs.tasks.Task):
    r"""Softmax cross-entropy of queries that each have several positives.

    The target p of a query is its multi-hot vector of positives P, normalised to sum to 1. The loss is

        L = − Σ_{j ∈ P} p_j (s_j − log Ẑ),   Ẑ = Σ_{j ∈ P} exp(s_j) + Σ_{c ∈ S \ own} exp(s_c − log E[count_c]):

    positives enter the partition function exactly, candidates outside the user's own items with the inverse of
    their expected count, so that Ẑ is an unbiased estimate of the partition function over the positives and all
    items that the user has not met (importance sampling; Bengio & Senécal 2008; correction as in Yi et al. 2019,
    eq. 3, but without their floor on probabilities). The user's own items never act as negatives.

    `tfrs.tasks.Retrieval` has one positive per row, clips probabilities at 1e-6 and masks identical ids only.
    """

    def call(
        self,
        target_logits: Any,
        is_target: Any,
        candidate_logits: Any,
        log_expected_count: Any,
        is_own: Any,
    ) -> Any:
        """Mean loss of the queries that have a target.

        Args:
            target_logits: [U, C, T], logits of each query's positives.
            is_target: bool [U, C, T], false where a query has fewer than T positives.
            candidate_logits: [U, C, S], logits of the shared candidates.
            log_expected_count: [S], subtracted from candidate_logits; zeros: no correction.
            is_own: bool [U, S], candidates that are the user's own items.

        Returns:
            scalar, ≥ 0 where no correction is made; 0 if no query has a target.
        """
        negatives = tf.where(is_own[:, tf.newaxis, :], MASKED, candidate_logits - log_expected_count)
        positives = tf.where(is_target, target_logits, MASKED)
        log_partition = tf.reduce_logsumexp(tf.concat([positives, negatives], axis=-1), axis=-1)  # (U, C)
        target = tf.cast(is_target, target_logits.dtype)
        num_targets = tf.reduce_sum(target, axis=-1)
        mean_positive = tf.math.divide_no_nan(tf.reduce_sum(target * target_logits, axis=-1), num_targets)
        has_target = tf.cast(num_targets > 0, target_logits.dtype)
        loss = has_target * (log_partition - mean_positive)
        return tf.math.divide_no_nan(tf.reduce_sum(loss), tf.reduce_sum(has_target))
