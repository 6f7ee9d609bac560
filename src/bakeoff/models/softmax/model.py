"""The softmax DNN as a TFRS model: two towers and a task."""

from typing import Any

import tensorflow_recommenders as tfrs

from bakeoff.models.softmax.item_tower import ItemTower
from bakeoff.models.softmax.loss import MultiHotSampledSoftmax
from bakeoff.models.softmax.query_tower import QueryTower
from bakeoff.models.tensorflow import tf
from bakeoff.params import SoftmaxParams
from bakeoff.preparation.features import EncodedFeatures


class SoftmaxDNN(tfrs.models.Model):
    """p̂ = softmax(ψ(x)Vᵀ / temperature), ψ the query tower and V the item embeddings, both of length 1."""

    def __init__(
        self,
        params: SoftmaxParams,
        num_items: int,
        item_features: EncodedFeatures,
        categorical_sizes: tuple[int, ...],
    ) -> None:
        """Put the towers together.

        Args:
            params: settings.
            num_items: n.
            item_features: features of all n items.
            categorical_sizes: number of values of each categorical user feature.
        """
        super().__init__()
        has_features = params.use_item_features and item_features.dense.shape[1] + sum(
            item_features.categorical_sizes
        ) + sum(tag.shape[1] for tag in item_features.tags)
        self.item_tower = ItemTower(num_items, params.dim, item_features if has_features else None)
        self.query_tower = QueryTower(params, categorical_sizes)
        self.task = MultiHotSampledSoftmax()
        self._params = params
        self.log_scale = tf.Variable(-tf.math.log(params.temperature), name="log_scale")

    def compute_loss(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Loss of a batch as `Batches` makes it."""
        embeddings = self.item_tower(inputs["item_ids"])  # (M, d)
        history, cuts = inputs["history"], inputs["cuts"]
        queries = self.query_tower(
            tf.gather(embeddings, tf.maximum(history, 0)),  # (U, W, d)
            timestamps=inputs["timestamps"],
            cuts=cuts,
            dense=inputs["dense"],
            categorical=inputs["categorical"],
            training=training,
        )  # (U, C, d)
        queries *= tf.exp(self.log_scale)
        ahead = cuts[:, :, tf.newaxis] + tf.range(self._params.target_window)  # (U, C, T)
        inside = tf.minimum(ahead, tf.shape(history)[1] - 1)
        targets = tf.gather(history, inside, batch_dims=1)
        is_target = (ahead == inside) & (targets >= 0)
        target_embeddings = tf.gather(embeddings, tf.maximum(targets, 0))  # (U, C, T, d)
        log_expected_count = inputs["log_expected_count"]
        if not self._params.negatives.logq_correction:
            log_expected_count = tf.zeros_like(log_expected_count)
        return self.task(
            tf.einsum("ucd,uctd->uct", queries, target_embeddings),
            is_target,
            tf.einsum("ucd,sd->ucs", queries, tf.gather(embeddings, inputs["candidates"])),
            log_expected_count,
            inputs["own"],
        )
