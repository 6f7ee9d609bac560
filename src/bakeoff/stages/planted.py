"""Stage `planted`: a town with known groups → folding of contenders and baselines, where the truth is known."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bakeoff.core.cost import measure
from bakeoff.core.files import replaced, write_json
from bakeoff.core.workspace import Workspace
from bakeoff.evaluation.ranking import TopLists
from bakeoff.experiments.planted.contenders import Planted, planted_contenders
from bakeoff.experiments.planted.generator import Town, build_town
from bakeoff.experiments.planted.measure import CUTOFF, Seen, look, retrieve, train
from bakeoff.experiments.planted.references import Reference, references
from bakeoff.models.base.encoder import Encoder
from bakeoff.params import Params

CALIBRATION = (
    "A score counts as the chance that a pair is one of the user's known items and not a random one, were both as "
    "frequent: isotonic regression on all known pairs, each beside a random item for the same user."
)


def run(params: Params, workspace: Workspace) -> None:
    """Train contenders and baselines on a planted town and write what is seen of them to artifacts/planted.

    Args:
        params: `evidence.planted` and `evidence.unobserved_weights`, and what the contenders are built with.
        workspace: where files are written; nothing is read.

    Raises:
        BakeoffError: no such town can be built.
    """
    with measure(workspace, "planted"):
        town = build_town(params.evidence.planted, params.seed)
        contenders = planted_contenders(params, town)
        rows, tables, users = [], [], []
        candidates: TopLists | None = None
        for trained, encoder, epoch in _trained(params, town, contenders):
            if (trained.model, trained.base) == ("mf", True):
                candidates = retrieve(encoder, town, num_candidates(params))
            seen = look(encoder, town, params.seed, candidates if trained.model == "softmax" else None)
            rows.append(_row(trained, seen, epoch))
            tables.append(_positions(trained, seen, town))
            users.append(_users(trained, seen, town))
            _print(rows[-1])
        with replaced(workspace.planted) as folder:
            write_json(folder / "planted.json", _summary(params, town, contenders) | {"variants": rows})
            pq.write_table(pa.concat_tables(tables), folder / "items.parquet")
            pq.write_table(pa.concat_tables(users), folder / "users.parquet")


def num_candidates(params: Params) -> int:
    """That MF retrieves for the softmax DNN to order: as many as on the data itself, at most half of the catalogue."""
    planted = params.evidence.planted
    return max(CUTOFF, min(*params.evidence.rerank_candidates, planted.groups * planted.items_per_group // 2))


def _trained(
    params: Params, town: Town, contenders: Sequence[Planted]
) -> Iterator[tuple[Planted | Reference, Encoder, int | None]]:
    """Each model and its epoch, where it has any."""
    for contender in contenders:
        yield (contender, *train(contender, town))
    for reference, encoder in references(params, town):
        yield reference, encoder, None


def _summary(params: Params, town: Town, contenders: Sequence[Planted]) -> dict[str, Any]:
    planted = params.evidence.planted
    users, items = town.prepared.num_users, town.prepared.num_items
    noise = f", but for {planted.noise:.0%} of what they did before" if planted.noise else ""
    return {
        "groups": planted.groups,
        "users": users,
        "items": items,
        "noise": planted.noise,
        "sentence": (
            f"A made town of {planted.groups} groups with {planted.users_per_group} users and "
            f"{planted.items_per_group} items each. Users have {planted.events_per_user} items of their own group and "
            f"none of another{noise}, so that every recommended item of another group is a mistake. Both contenders "
            "went through the training code of the comparison, with few dimensions, so that groups can get into each "
            f"other's way. {_settings(params, contenders)} Each was trained on the train part alone, to the epoch that "
            "validation chose; popularity and EASE, which have no epochs, stand beside them. As a scorer the softmax "
            f"DNN orders MF's first {num_candidates(params)} items. "
            "Pictures show item embeddings along their two principal components: items that fall together in the space "
            "do so in the picture, while groups that touch there may be apart in the space."
        ),
        "calibration": CALIBRATION,
        "candidates": num_candidates(params),
    }


def _settings(params: Params, contenders: Sequence[Planted]) -> str:
    """In what each model differs from the shipped one, read from what it is trained with."""
    made = {each.model: each.params for each in contenders}
    told = []
    if "mf" in made:
        told.append(
            f"MF has {made['mf'].mf.dim} of them instead of {params.mf.dim}, and the same regularisation for every α₀."
        )
    if "softmax" in made:
        trained, shipped = made["softmax"].softmax, params.softmax
        told.append(
            f"The softmax DNN has {trained.dim} instead of {shipped.dim}. Since its epochs are a few steps here, it "
            f"takes up to {trained.max_epochs} of them instead of {shipped.max_epochs} at a learning rate of "
            f"{trained.learning_rate:g} instead of {shipped.learning_rate:g}; where negatives are drawn from the "
            f"catalogue, a step draws {trained.negatives.num_sampled} instead of {shipped.negatives.num_sampled}."
        )
    return " ".join(told)


def _row(contender: Planted | Reference, seen: Seen, epoch: int | None) -> dict[str, Any]:
    return {
        "name": contender.name,
        "model": contender.model,
        "label": contender.label,
        "unobserved_weight": contender.unobserved_weight,
        "base": contender.base,
        f"recall@{CUTOFF}": float(np.nanmean(seen.recall)),
        f"ndcg@{CUTOFF}": float(np.nanmean(seen.ndcg)),
        "folding": float(seen.folding.mean()),
        f"off_group@{CUTOFF}": float(np.nanmean(seen.off_group)),
        f"off_group_filtered@{CUTOFF}": _mean_or_none(seen.off_group_filtered),
        "blocks": seen.blocks.round(4).tolist(),
        "selected_epoch": epoch,
    }


def _mean_or_none(values: NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _users(contender: Planted | Reference, seen: Seen, town: Town) -> pa.Table:
    """One row per user: variant, user_id, recall@10, folding, off_group@10, also within MF's candidates."""
    return pa.table(
        {
            "variant": pa.array([contender.name] * len(town.user_groups), pa.string()),
            "user_id": town.prepared.user_ids(np.arange(len(town.user_groups))),
            f"recall@{CUTOFF}": seen.recall,
            "folding": seen.folding,
            f"off_group@{CUTOFF}": seen.off_group,
            f"off_group_filtered@{CUTOFF}": seen.off_group_filtered,
        }
    )


def _positions(contender: Planted | Reference, seen: Seen, town: Town) -> pa.Table:
    """One row per item: variant, item_id, group, x, y."""
    return pa.table(
        {
            "variant": pa.array([contender.name] * len(town.item_groups), pa.string()),
            "item_id": town.prepared.item_ids,
            "group": town.item_groups.astype(np.int32),
            "x": seen.positions[:, 0],
            "y": seen.positions[:, 1],
        }
    )


def _print(row: dict[str, Any]) -> None:
    names = (f"recall@{CUTOFF}", "folding", f"off_group@{CUTOFF}")
    figures = "  ".join(f"{name} {row[name]:.3f}" for name in names)
    print(f"{row['model']}, {row['label']}: {figures}", flush=True)
