"""The experiment on planted groups: every contender trained, evaluated and described."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.evaluation.ranking import TopLists
from bakeoff.experiments.planted.contenders import PlantedContender, planted_contenders
from bakeoff.experiments.planted.evaluate import CUTOFF, PlantedMetrics, evaluate_planted, retrieve
from bakeoff.experiments.planted.generator import PlantedDataset, generate
from bakeoff.experiments.runner import train_keeping_best, warm_users
from bakeoff.experiments.settings import ExperimentSettings
from bakeoff.experiments.validation import validation_scores
from bakeoff.models.mf.spec import MFParams
from bakeoff.models.neural.spec import SoftmaxParams

CALIBRATION = (
    "A score counts as the chance that a pair is one of the user's known items and not a random one, if both were "
    "equally frequent: isotonic regression on all known pairs, each with a random item for the same user."
)


@dataclass(frozen=True)
class PlantedResults:
    """What is written about planted groups.

    Attributes:
        summary: content of planted.json.
        items: table with one row per variant and item: variant, item_id, group, x, y.
        users: table with one row per variant and user: variant, user_id, recall@10, folding, off_group@10,
            off_group_filtered@10.
    """

    summary: dict[str, Any]
    items: pa.Table
    users: pa.Table


def measure_planted(settings: ExperimentSettings) -> PlantedResults:
    """Train contenders and reference models on a planted data set and evaluate them; prints a line for each.

    Raises:
        BakeoffError: no such data set can be generated.
    """
    dataset = generate(settings.evidence.planted, settings.seed)
    validate = validation_scores(dataset.prepared, warm_users(dataset.prepared))
    contenders = planted_contenders(settings, dataset)
    rows, items, users = [], [], []
    candidates: TopLists | None = None
    for contender in contenders:
        trained = train_keeping_best(contender.experiment, validate)
        if (contender.model, contender.base) == ("mf", True):
            candidates = retrieve(trained.retriever, dataset, num_candidates(settings))
        reordered = candidates if contender.model == "softmax" else None
        metrics = evaluate_planted(trained.retriever, dataset, settings.seed, reordered)
        rows.append(_row(contender, metrics, trained.epoch))
        items.append(_items(contender, metrics, dataset))
        users.append(_users(contender, metrics, dataset))
        _print(rows[-1])
    summary = _summary(settings, dataset, contenders) | {"variants": rows}
    return PlantedResults(summary, pa.concat_tables(items), pa.concat_tables(users))


def num_candidates(settings: ExperimentSettings) -> int:
    """Candidates of MF that the softmax DNN reorders: as many as on real data, at most half of the catalogue."""
    planted = settings.evidence.planted
    return max(CUTOFF, min(*settings.evidence.rerank_candidates, planted.groups * planted.items_per_group // 2))


def _summary(
    settings: ExperimentSettings, dataset: PlantedDataset, contenders: Sequence[PlantedContender]
) -> dict[str, Any]:
    planted = settings.evidence.planted
    users, items = dataset.prepared.num_users, dataset.prepared.num_items
    noise = f", but for {planted.noise:.0%} of what they did before" if planted.noise else ""
    return {
        "groups": planted.groups,
        "users": users,
        "items": items,
        "noise": planted.noise,
        "sentence": (
            f"A generated data set of {planted.groups} groups with {planted.users_per_group} users and "
            f"{planted.items_per_group} items each. Users have {planted.events_per_user} items of their own group and "
            f"none of another{noise}, so that every recommended item of another group is a mistake. Both contenders "
            "went through the training code of the comparison, with few dimensions, so that groups can get into each "
            f"other's way. {_differences(settings, contenders)} Each was trained on the train part alone, to the epoch "
            "that validation chose; popularity and EASE, which have no epochs, are there for comparison. As a scorer "
            f"the softmax DNN orders MF's first {num_candidates(settings)} items. "
            "Pictures show item embeddings along their two principal components: items that fall together in the space "
            "do so in the picture, while groups that touch there may be apart in the space."
        ),
        "calibration": CALIBRATION,
        "candidates": num_candidates(settings),
    }


def _differences(settings: ExperimentSettings, contenders: Sequence[PlantedContender]) -> str:
    """How each model's settings differ from the shipped ones, read from the settings that it is trained with."""
    sections = {each.model: each.experiment.settings for each in contenders}
    mf, softmax = sections.get("mf"), sections.get("softmax")
    sentences = []
    if isinstance(mf, MFParams):
        sentences.append(
            f"MF has {mf.dim} of them instead of {settings.mf.dim}, and the same regularisation for every α₀."
        )
    if isinstance(softmax, SoftmaxParams):
        shipped = settings.softmax
        sentences.append(
            f"The softmax DNN has {softmax.dim} instead of {shipped.dim}. Since its epochs are a few steps here, it "
            f"takes up to {softmax.max_epochs} of them instead of {shipped.max_epochs} at a learning rate of "
            f"{softmax.learning_rate:g} instead of {shipped.learning_rate:g}; where negatives are drawn from the "
            f"catalogue, a step draws {softmax.negatives.num_sampled} instead of {shipped.negatives.num_sampled}."
        )
    return " ".join(sentences)


def _row(contender: PlantedContender, metrics: PlantedMetrics, epoch: int | None) -> dict[str, Any]:
    return {
        "name": contender.name,
        "model": contender.model,
        "label": contender.label,
        "unobserved_weight": contender.unobserved_weight,
        "base": contender.base,
        f"recall@{CUTOFF}": float(np.nanmean(metrics.recall)),
        f"ndcg@{CUTOFF}": float(np.nanmean(metrics.ndcg)),
        "folding": float(metrics.folding.mean()),
        f"off_group@{CUTOFF}": float(np.nanmean(metrics.off_group)),
        f"off_group_filtered@{CUTOFF}": _mean_or_none(metrics.off_group_filtered),
        "blocks": metrics.blocks.round(4).tolist(),
        "selected_epoch": epoch,
    }


def _mean_or_none(values: NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _users(contender: PlantedContender, metrics: PlantedMetrics, dataset: PlantedDataset) -> pa.Table:
    """The rows of `PlantedResults.users`."""
    return pa.table(
        {
            "variant": pa.array([contender.name] * len(dataset.user_groups), pa.string()),
            "user_id": dataset.prepared.user_ids(np.arange(len(dataset.user_groups))),
            f"recall@{CUTOFF}": metrics.recall,
            "folding": metrics.folding,
            f"off_group@{CUTOFF}": metrics.off_group,
            f"off_group_filtered@{CUTOFF}": metrics.off_group_filtered,
        }
    )


def _items(contender: PlantedContender, metrics: PlantedMetrics, dataset: PlantedDataset) -> pa.Table:
    """The rows of `PlantedResults.items`."""
    return pa.table(
        {
            "variant": pa.array([contender.name] * len(dataset.item_groups), pa.string()),
            "item_id": dataset.prepared.item_ids,
            "group": dataset.item_groups.astype(np.int32),
            "x": metrics.positions[:, 0],
            "y": metrics.positions[:, 1],
        }
    )


def _print(row: dict[str, Any]) -> None:
    names = (f"recall@{CUTOFF}", "folding", f"off_group@{CUTOFF}")
    figures = "  ".join(f"{name} {row[name]:.3f}" for name in names)
    print(f"{row['model']}, {row['label']}: {figures}", flush=True)
