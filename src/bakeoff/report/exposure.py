"""How popular the recommended items are, and how much of the catalogue is recommended at all."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bakeoff.report.evidence import Evidence, figure

WATCHED = "what came next"
"""Name of the line that shows the test items themselves."""
NUM_GROUPS = 10
PER_LIST = ("novelty", "diversity", "debiased_ndcg")
"""Metrics of a user's list that the cards show, under their names in the table of metrics."""


def exposures(evidence: Evidence, cutoffs: Sequence[int]) -> pd.DataFrame:
    """Popularity and coverage of the lists: one row per cutoff and model.

    Returns:
        model;
        k: length of the lists;
        arp: mean number of training interactions of the recommended items;
        lift: ARP divided by that of the users' own histories, minus 1;
        coverage: share of the catalogue in at least one list;
        gini: inequality of the shares of list places, in [0, 1];
        long_tail: mean share of a list outside the head of the catalogue;
        novelty: mean self-information of the recommended items, in bits;
        diversity: mean distance of the items of a list by their features, in [0, 1];
        debiased_ndcg: NDCG with a smaller gain for popular items.
    """
    rows = [
        (
            name,
            k,
            _mean(model.users, f"arp@{k}"),
            *(figure(model.metrics["test"], f"{metric}@{k}") for metric in ("popularity_lift", "coverage", "gini")),
            _mean(model.users, f"long_tail_share@{k}"),
            *(_mean(model.users, f"{metric}@{k}") for metric in PER_LIST),
        )
        for k in cutoffs
        for name, model in evidence.models.items()
    ]
    return pd.DataFrame(rows, columns=["model", "k", "arp", "lift", "coverage", "gini", "long_tail", *PER_LIST])


def exposure_profile(evidence: Evidence, k: int) -> pd.DataFrame:
    """Where the places in the first k go, from the most popular tenth of the catalogue to the least.

    Returns:
        source (a model's name or WATCHED), group (1 = most popular tenth), share in [0, 1]; a source's shares
        sum to 1.
    """
    group = popularity_group(evidence.items)
    sources: dict[str, pd.Series] = {
        name: model.lists.loc[model.lists["rank"] <= k, "item_id"] for name, model in evidence.models.items()
    }
    sources[WATCHED] = evidence.events.loc[evidence.events.part == "test", "item_id"]
    frames = []
    for source, items in sources.items():
        counts = np.bincount(items.map(group).to_numpy(np.int64), minlength=NUM_GROUPS + 1)[1:]
        share = counts / max(counts.sum(), 1)
        frames.append(pd.DataFrame({"source": source, "group": np.arange(1, NUM_GROUPS + 1), "share": share}))
    return pd.concat(frames, ignore_index=True)


def popularity_group(items: pd.DataFrame) -> pd.Series:
    """Item id → 1 (most popular tenth) … NUM_GROUPS, by interactions in train and validation."""
    place = items.fit_count.rank(method="first", ascending=False).to_numpy(np.int64) - 1
    return pd.Series(place * NUM_GROUPS // len(items) + 1, index=items.item_id)


def _mean(users: pd.DataFrame, column: str) -> float:
    return float(users[column].mean()) if column in users else float("nan")
