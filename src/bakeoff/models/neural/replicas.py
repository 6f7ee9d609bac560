"""The softmax DNN trained by several workers: each takes a share of every batch."""

from functools import cache
from typing import Any

import numpy as np

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import Queries
from bakeoff.data.prepared.tables import Prepared
from bakeoff.models.base.tensorflow import graph, tf
from bakeoff.models.neural import trainer
from bakeoff.models.neural.batches import Batch
from bakeoff.models.neural.spec import SoftmaxParams
from bakeoff.models.neural.trainer import SoftmaxTrainer


class ReplicatedTrainer(SoftmaxTrainer):
    """A worker's part of a training: after each step all workers have the same weights.

    Every worker draws the whole batch, with the same seed, and takes some of its users. These compete with the
    candidates of all, which are ids, so that no embedding travels. The loss of a share is its part of the batch's
    weighted mean, and gradients are summed: the step is that of one process, but for the order of sums.
    """

    def __init__(self, *arguments: Any) -> None:
        """Take the arguments of SoftmaxTrainer.

        Raises:
            BakeoffError: with these settings a share would be trained on other draws than the whole batch.
        """
        with workers().scope():
            super().__init__(*arguments)
            _ = self._step

    def _compiled(self, signature: dict[str, Any]) -> Any:
        strategy = workers()
        place, of = strategy.cluster_resolver.task_id, strategy.num_replicas_in_sync
        signature |= {"rows": tf.TensorSpec([2], tf.int32), "weight": tf.TensorSpec([], tf.float32)}

        @graph(input_signature=[signature])
        def step(share: dict[str, Any]) -> Any:
            return strategy.reduce("SUM", strategy.run(self._model.train_step, args=(share,))["loss"], axis=None)

        return lambda batch: {"loss": step(share_of(batch, place, of))}


@cache
def workers() -> Any:
    """The workers that `TF_CONFIG` lists; must be called before TensorFlow does anything else in the process."""
    return tf.distribute.MultiWorkerMirroredStrategy()


def share_of(batch: Batch, place: int, of: int) -> Batch:
    """The queries of every `of`-th part of a batch's users, against the candidates of all.

    Args:
        batch: as `Batches` makes it, for the pooled tower.
        place: which part, in [0, of).
        of: number of parts.

    Returns:
        the same arrays, with `rows`, the first of its queries in the whole batch and how many that has, and `weight`,
        its share of the targets' weight. Where there are fewer users than parts, some have a user of weight 0.
    """
    users = len(batch["own"])
    cuts = len(batch["activity"]) // users
    first, last = place * users // of, (place + 1) * users // of
    is_empty = first == last
    part = slice(0, 1) if is_empty else slice(first, last)
    rows = slice(part.start * cuts, part.stop * cuts)
    offsets = batch["history_offsets"][rows.start : rows.stop + 1]
    read = slice(int(offsets[0]), int(offsets[-1]))
    target_rows = batch["target_rows"].astype(np.int32)
    of_queries: Batch = {name: batch[name][rows] for name in ("activity", "asked") if name in batch}
    is_target = (target_rows >= rows.start) & (target_rows < rows.stop)
    targets = {name: values[is_target] for name, values in batch.items() if name.startswith("target")}
    weight = 0.0 if is_empty else targets["target_weights"].sum() / batch["target_weights"].sum()
    return {
        **batch,
        **{name: batch[name][part] for name in ("own", "dense", "categorical")},
        **{name: batch[name][read] for name in ("history", "history_weights")},
        **targets,
        "target_rows": target_rows[is_target] - np.int32(rows.start),
        "history_offsets": offsets - offsets[0],
        **of_queries,
        "rows": np.array([rows.start, users * cuts], np.int32),
        "weight": np.float32(weight),
    }


def build(prepared: Prepared, queries: Queries, section: SoftmaxParams, seed: int) -> SoftmaxTrainer:
    """A fresh trainer on this worker; see `bakeoff.models.neural.trainer.build`.

    Raises:
        BakeoffError: see ReplicatedTrainer.
    """
    for name, given in (("tower", section.tower), ("negatives.selection", section.negatives.selection)):
        if given in ("attention", "hard"):
            raise BakeoffError(
                f"{name} is {given}, which draws at random within a batch: workers would not learn what one process "
                "learns. Unset RAY_ADDRESS, or choose another value."
            )
    return trainer.build(prepared, queries, section, seed, trainer=ReplicatedTrainer)
