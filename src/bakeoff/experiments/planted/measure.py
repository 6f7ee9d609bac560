"""The experiment on planted groups: every contender trained, measured and described."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.evaluation.item_space import principal_components
from bakeoff.evaluation.metrics.table import PerUser, accuracy_per_user, means_or_none
from bakeoff.evaluation.ranking import TopLists, reorder
from bakeoff.experiments.folding import calibrate_on_pairs, folding_per_user, off_group_at_k
from bakeoff.experiments.params import ExperimentSettings, sentence
from bakeoff.experiments.planted.contenders import PlantedDataset, generate, planted_contenders
from bakeoff.experiments.training.runner import train_keeping_best
from bakeoff.experiments.training.validation import USERS_PER_BLOCK, validation_scores
from bakeoff.models.base.retriever import Retriever

CUTOFF = 10
"""k of all metrics of lists."""


def measure_planted(settings: ExperimentSettings) -> tuple[dict[str, Any], dict[str, pa.Table]]:
    """Train contenders and reference models on a planted data set and evaluate them; prints a line for each.

    Returns:
        content of planted.json, and the tables `items`, one row per variant and item, and `users`, one row per variant
        and user.

    Raises:
        BakeoffError: no such data set can be generated.
    """
    dataset = generate(settings.evidence.planted, settings.seed)
    validate = validation_scores(dataset.prepared, np.flatnonzero(dataset.prepared.valid.lengths))
    contenders = planted_contenders(settings, dataset)
    rows, items, users = list[dict[str, Any]](), [], []
    sizes = candidate_numbers(settings)
    candidates: TopLists | None = None
    for variant, experiment in contenders:
        trained = train_keeping_best(experiment, validate)
        if (variant.model, variant.base) == ("mf", True):
            candidates = dataset.eval_set.rank(trained.retriever, sizes[-1], USERS_PER_BLOCK)
        per_user, blocks = evaluate_planted(trained.retriever, dataset, settings.seed)
        scorer_of = candidates if variant.model == "softmax" else None
        by_size = _off_group_by_candidates(trained.retriever, dataset, scorer_of, sizes)
        own = {**per_user, f"off_group_filtered@{CUTOFF}": by_size[num_candidates(settings)]}
        row: dict[str, Any] = {name: getattr(variant, name) for name in ("name", "model", "label", "base")}
        row["unobserved_weight"] = getattr(experiment.settings, "unobserved_weight", None)
        row["blocks"] = blocks.round(4).tolist()
        row["off_group_by_candidates"] = means_or_none({str(size): each for size, each in by_size.items()})
        rows.append(row | means_or_none(own))
        x, y = project_items(trained.retriever.item_embeddings).T
        places = {"item_id": dataset.prepared.item_ids, "group": dataset.item_groups.astype(np.int32), "x": x, "y": y}
        items.append(pa.table({"variant": pa.repeat(variant.name, len(x)), **places}))
        users.append(dataset.prepared.per_user_table(dataset.eval_set.users, own, variant=variant.name))
        names = (f"recall@{CUTOFF}", "folding", f"off_group@{CUTOFF}")
        figures = "  ".join(f"{name} {rows[-1][name]:.3f}" for name in names)
        print(f"{variant.model}, {variant.label}: {figures}", flush=True)
    sections = {variant.model: experiment.settings for variant, experiment in contenders}
    summary = _summary(settings, sections) | {"variants": rows}
    return summary, {"items": pa.concat_tables(items), "users": pa.concat_tables(users)}


def evaluate_planted(retriever: Retriever, dataset: PlantedDataset, seed: int) -> tuple[PerUser, NDArray[np.float64]]:
    """Evaluate a model on every user's test items.

    Args:
        retriever: the model.
        dataset: that it was trained on.
        seed: of the random pairs that scores are calibrated against.

    Returns:
        per user, float64 [num_users] in [0, 1] each: recall@10 of the test items; folding over all items; off_group@10,
        the share of the first ten items from another group.
        float64 [groups, groups], mean calibrated score in [0, 1] of users (rows) and items (columns) by group.
    """
    prepared, tests = dataset.prepared, dataset.eval_set
    lists = tests.rank(retriever, CUTOFF, USERS_PER_BLOCK)
    accuracy = accuracy_per_user(lists, tests.truth, (CUTOFF,))
    scores = retriever.embed_queries(tests.queries) @ retriever.item_embeddings.T
    calibration = calibrate_on_pairs(
        lambda rows, items: scores[rows, items], prepared.known(), prepared.num_items, np.random.default_rng(seed)
    )
    calibrated = calibration(scores)
    per_user = {
        f"recall@{CUTOFF}": accuracy[f"recall@{CUTOFF}"],
        "folding": folding_per_user(calibrated, dataset.relatedness),
        f"off_group@{CUTOFF}": _off_group(lists, dataset),
    }
    return per_user, _by_group(calibrated, dataset)


def _by_group(scores: NDArray[np.floating], dataset: PlantedDataset) -> NDArray[np.float64]:
    """[groups, groups] mean score of the users of a group on the items of a group."""
    of_users, of_items = dataset.user_groups, dataset.item_groups
    users, items = (groups[:, np.newaxis] == np.unique(groups) for groups in (of_users, of_items))
    sizes = users.sum(axis=0)[:, np.newaxis] * items.sum(axis=0)
    return np.asarray(users.T.astype(np.float64) @ scores @ items / sizes)


def _off_group_by_candidates(
    retriever: Retriever, dataset: PlantedDataset, candidates: TopLists | None, sizes: Sequence[int]
) -> dict[int, NDArray[np.float64]]:
    """Number of another model's candidates → [num_users] off_group@10 once this one orders them; NaN without any."""
    if candidates is None:
        return dict.fromkeys(sizes, np.full(dataset.prepared.num_users, np.nan))
    tests, firsts = dataset.eval_set, {size: candidates.first(size) for size in sizes}
    ordered = partial(reorder, retriever, tests.queries, truth=tests.truth, users_per_block=USERS_PER_BLOCK)
    return {size: _off_group(ordered(first), dataset) for size, first in firsts.items()}


def _off_group(lists: TopLists, dataset: PlantedDataset) -> NDArray[np.float64]:
    return off_group_at_k(lists.items, dataset.user_groups, dataset.item_groups, CUTOFF)


def project_items(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Items along their two principal components, scaled so that the farthest is at distance 1.

    The map is linear: items that coincide in the space coincide in the picture, though not the other way round.

    Args:
        embeddings: [n, d], n > 0.

    Returns:
        float32 [n, 2], centred; zeros in directions that don't exist.
    """
    positions = principal_components(embeddings)
    farthest = np.sqrt((positions**2).sum(axis=1).max())
    return np.asarray(positions / farthest if farthest > 0 else positions, np.float32)


def num_candidates(settings: ExperimentSettings) -> int:
    """Candidates of MF that the softmax DNN reorders: half as many as a user has items of the own group to find.

    Among more candidates than that, foreign items are there whatever MF does, and folding could not but do harm.
    """
    planted = settings.evidence.planted
    return max(CUTOFF, (planted.items_per_group - planted.events_per_user) // 2)


def candidate_numbers(settings: ExperimentSettings) -> list[int]:
    """Numbers of candidates for the curve, ascending: half of `num_candidates`, itself, twice and four times it."""
    planted, judged = settings.evidence.planted, num_candidates(settings)
    num_items = planted.groups * planted.items_per_group
    return sorted({min(max(CUTOFF, size), num_items) for size in (judged // 2, judged, 2 * judged, 4 * judged)})


def _summary(settings: ExperimentSettings, sections: Mapping[str, Any]) -> dict[str, Any]:
    planted = settings.evidence.planted
    noise = f", but for {planted.noise:.0%} of what they did before" if planted.noise else ""
    differences = " ".join(
        sentence(f"planted_{model}", fitted=sections[model], shipped=settings.models[model])
        for model in ("mf", "softmax")
        if model in sections
    )
    candidates = num_candidates(settings)
    return {
        "sentence": sentence("planted", planted=planted, noise=noise, differences=differences, candidates=candidates),
        "calibration": sentence("calibration"),
        "candidates": candidates,
    }
