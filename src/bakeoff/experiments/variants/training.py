"""One variant in training: on the train part, its best epoch on validation, and no refit."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.data.prepared.tables import Prepared
from bakeoff.experiments.planted.own_group import positives_only
from bakeoff.experiments.selection import SELECTION_METRIC
from bakeoff.experiments.training import Build, validation_scores, warm_users
from bakeoff.experiments.variants.variant import Variant
from bakeoff.models.base.encoder import Encoder, EncoderRetriever
from bakeoff.models.base.epochs import Progress, keep_best, seed_everything, silent
from bakeoff.models.base.retriever import Retriever
from bakeoff.models.ease import ease
from bakeoff.models.neural.params import SoftmaxParams
from bakeoff.models.popularity.popularity import PopularityEncoder
from bakeoff.params import Params
from bakeoff.stages import train_mf, train_softmax, train_two_tower

LOOKS = 4
"""Times that a variant is looked at on validation, evenly spread over its epochs: each look costs a third of one."""

BUILDS: dict[str, Build] = {"mf": train_mf.build, "softmax": train_softmax.build, "two_tower": train_two_tower.build}
"""The contenders' own trainers."""


@dataclass(frozen=True)
class Trained:
    """A trained variant.

    Attributes:
        retriever: the model at its best epoch.
        selected_epoch: that epoch, counted from 1; None for a model without epochs.
        num_parameters: trained weights.
        false_negatives_per_query: candidates that the mask of own items caught, per query; None without a mask.
        false_negatives_per_batch: the same of all queries of a batch together.
        training_seconds: wall time, validation included.
        seconds_per_epoch: of the fastest epoch but the first, validation left out; None for a model without epochs.
        seconds_per_step: the same, per batch; None for a model without batches.
        epoch_cpu_seconds: of every epoch but the first.
    """

    retriever: Retriever
    selected_epoch: int | None
    num_parameters: int
    false_negatives_per_query: float | None
    false_negatives_per_batch: float | None
    training_seconds: float
    seconds_per_epoch: float | None
    seconds_per_step: float | None
    epoch_cpu_seconds: Sequence[float] = ()


def train(variant: Variant, params: Params, prepared: Prepared, progress: Progress = silent) -> Trained:
    """Train a variant with the settings that `params` have, and keep it as it was at its best epoch.

    Nothing but the train and validation parts is seen. Without validation events the last epoch is kept.

    Args:
        variant: of `mf`, `softmax`, `two_tower`, `ease` or `popularity`.
        params: with its settings.
        prepared: the split.
        progress: shows the epochs passing.

    Raises:
        BakeoffError: there is no train event, or the settings don't lead to a model that can be asked.
    """
    seed_everything(params.seed)
    start = time.perf_counter()
    users = warm_users(prepared)
    if variant.model not in BUILDS:
        return _fit_once(variant.model, params, prepared, users, start)
    section = getattr(params, variant.model)
    build = positives_only if variant.positives_only else BUILDS[variant.model]
    trainer = build(prepared, prepared.queries(prepared.train, users), params)
    epoch, seconds = keep_best(trainer, _validate(prepared), section.max_epochs, LOOKS, progress)
    # The first one compiles; of the others the fastest, since whatever else the machine does only adds to it.
    steady = seconds[1:] or seconds
    per_epoch = min(wall for wall, _ in steady)
    steps = math.ceil(len(users) / section.users_per_batch) if isinstance(section, SoftmaxParams) else None
    caught = None if variant.positives_only else _false_negatives(trainer.state())
    return Trained(
        retriever=EncoderRetriever(trainer.encoder()),
        selected_epoch=epoch,
        num_parameters=trainer.num_parameters,
        false_negatives_per_query=None if caught is None else caught / (epoch * len(users)),
        false_negatives_per_batch=None if caught is None or steps is None else caught / (epoch * steps),
        training_seconds=time.perf_counter() - start,
        seconds_per_epoch=per_epoch,
        seconds_per_step=per_epoch / steps if steps else None,
        epoch_cpu_seconds=[cpu for _, cpu in steady],
    )


def _validate(prepared: Prepared) -> Callable[[Encoder], float] | None:
    validated = np.flatnonzero(prepared.valid.lengths)
    if len(validated) == 0:
        return None
    scores = validation_scores(prepared, validated)
    return lambda encoder: scores(encoder)[SELECTION_METRIC]


def _false_negatives(state: Mapping[str, NDArray[Any]]) -> float | None:
    """Masked pairs of users and candidates up to the epoch that is kept; every epoch sees every user once."""
    return float(state["masked"][0]) if "masked" in state else None


def _fit_once(model: str, params: Params, prepared: Prepared, users: NDArray[np.int64], start: float) -> Trained:
    """A model without epochs; like the others it never learns from validation."""
    histories, num_items = prepared.train.take(users), prepared.num_items
    encoder: Encoder
    if model == "ease":
        encoder, num_parameters = ease.fit(histories, num_items, params.ease), num_items * (num_items - 1)
    else:
        encoder, num_parameters = PopularityEncoder(histories.item_counts(num_items)), num_items
    return Trained(
        retriever=EncoderRetriever(encoder),
        selected_epoch=None,
        num_parameters=num_parameters,
        false_negatives_per_query=None,
        false_negatives_per_batch=None,
        training_seconds=time.perf_counter() - start,
        seconds_per_epoch=None,
        seconds_per_step=None,
    )
