"""One worker's part of a batch that all workers draw alike."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.batches import Batch
from bakeoff.models.neural.division import Division
from bakeoff.models.neural.model import SoftmaxDNN
from bakeoff.models.neural.team import Team


@dataclass(frozen=True)
class Part:
    """Which of several equal parts."""

    index: int
    count: int


def part_of(batch: Batch, part: Part) -> Batch:
    """The queries of a block of the batch's users, against all candidates of the batch.

    Summed over the parts, the gradient is that of the whole batch: what a part's loss is divided by is told as a share
    of the batch's. Dropout draws for the whole batch too, and takes what is the part's.

    Args:
        batch: as `Batches` makes it: U users with C queries each, M distinct items.
        part: whose; where there are fewer users than parts, some get the first user at weight 0.

    Returns:
        the same arrays for the part's users, and
        item_places int32 [M'], place of each of its items among those of the batch, batch_item_ids int32 [M], and
        num_items int32, M;
        row_places int32 [R'] and num_rows int32: the same for its queries;
        share float32: weight of its pairs, as a share of those of the batch.
    """
    num_users, num_rows = len(batch["dense"]), len(batch["activity"])
    first, last = (num_users * edge // part.count for edge in (part.index, part.index + 1))
    is_idle = first == last
    users = slice(0, 1) if is_idle else slice(first, last)
    each = num_rows // num_users
    rows = slice(users.start * each, users.stop * each)
    offsets = batch["history_offsets"][rows.start : rows.stop + 1]
    entries = slice(int(offsets[0]), int(offsets[-1]))
    target_rows: NDArray[Any] = batch["target_rows"]
    is_mine = (target_rows >= rows.start) & (target_rows < rows.stop)
    weights = batch["target_weights"][is_mine]
    history, targets, candidates = batch["history"][entries], batch["targets"][is_mine], batch["candidates"]
    places, (history, targets, candidates) = _renumbered(len(batch["item_ids"]), [history, targets, candidates])
    return {
        "item_ids": batch["item_ids"][places],
        "history": history,
        "history_offsets": offsets - offsets[0],
        "history_weights": batch["history_weights"][entries],
        "activity": batch["activity"][rows],
        "dense": batch["dense"][users],
        "categorical": batch["categorical"][users],
        "targets": targets,
        "target_rows": target_rows[is_mine] - np.int32(rows.start),
        "target_weights": np.zeros_like(weights) if is_idle else weights,
        "target_log_expected_count": batch["target_log_expected_count"][is_mine],
        "candidates": candidates,
        "log_expected_count": batch["log_expected_count"],
        "own": batch["own"][users],
        "item_places": places.astype(np.int32),
        "batch_item_ids": batch["item_ids"],
        "num_items": np.array(len(batch["item_ids"]), np.int32),
        "row_places": np.arange(rows.start, rows.stop, dtype=np.int32),
        "num_rows": np.array(num_rows, np.int32),
        "share": _share(weights, batch["target_weights"]),
    }


def _share(weights: NDArray[np.generic], of: NDArray[np.generic]) -> NDArray[np.float32]:
    """Sum of some weights over that of all; 0 where all are 0."""
    total = np.sum(of, dtype=np.float64)
    return np.array(np.sum(weights, dtype=np.float64) / total if total > 0 else 0.0, np.float32)


def _renumbered(num_items: int, arrays: list[NDArray[np.generic]]) -> tuple[NDArray[np.int64], list[NDArray[np.int32]]]:
    """Places in [0, num_items) that the arrays name, ascending, and the arrays counting in those."""
    is_named = np.zeros(num_items, np.bool_)
    for array in arrays:
        is_named[array] = True
    number = np.cumsum(is_named, dtype=np.int32) - np.int32(1)
    return np.flatnonzero(is_named), [number[array] for array in arrays]


def shared_step(model: SoftmaxDNN, team: Team) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A training step on one worker's part of a batch: as `model.train_step`, the gradients summed over the team.

    The optimizer is not the strategy's: every worker takes the same step with its own weights. Items' vectors that are
    divided among the workers are asked for before the step, each from the one who has it, who alone changes it.
    """
    if (division := model.item_tower.division) is not None:
        return _divided_step(model, team, division)

    def gradients_of(part: dict[str, Any]) -> tuple[Any, list[Any]]:
        with tf.GradientTape() as tape:
            loss = model.compute_loss(part, training=True)
        return loss, team.all_reduce(tape.gradient(loss, model.trainable_variables))

    def step(part: dict[str, Any]) -> dict[str, Any]:
        loss, gradients = team.run(gradients_of, part)
        model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return {"loss": loss}

    return step


def _divided_step(model: SoftmaxDNN, team: Team, division: Division) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def gradients_of(part: dict[str, Any]) -> tuple[Any, list[Any]]:
        table = model.item_tower.id_embeddings
        [vectors] = team.all_reduce([division.share_of(table, part["batch_item_ids"])])
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            own = {"id_vectors": tf.gather(vectors, part["item_places"])}
            loss = model.compute_loss(part | own, training=True)
        *gradients, of_vectors = tape.gradient(loss, [*_undivided(model), vectors])
        return loss, team.all_reduce([*gradients, tf.convert_to_tensor(of_vectors)])

    def step(part: dict[str, Any]) -> dict[str, Any]:
        loss, (*gradients, of_vectors) = team.run(gradients_of, part)
        own = division.own_gradient(of_vectors, part["batch_item_ids"])
        variables = [*_undivided(model), model.item_tower.id_embeddings]
        model.optimizer.apply_gradients(zip([*gradients, own], variables, strict=True))
        return {"loss": loss}

    return step


def _undivided(model: SoftmaxDNN) -> list[Any]:
    """Trained weights that every worker has."""
    return [weight for weight in model.trainable_variables if weight is not model.item_tower.id_embeddings]
