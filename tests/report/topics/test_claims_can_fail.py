"""For every claim, invented data on which it holds and data on which it is contradicted."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from topic_parts import group_of, with_group, with_measured

from bakeoff.params import Params
from bakeoff.report.accuracy import Statistics
from bakeoff.report.evidence import Evidence, ModelEvidence, VariantGroup
from bakeoff.report.topics.base.claims import ClaimOutcome
from bakeoff.report.topics.base.judge import judge_questions
from bakeoff.report.topics.base.topic import topics

STATISTICS = Statistics(confidence=0.95, resamples=2000, seed=1)
World = Callable[[Evidence, bool], Evidence]
"""Evidence and whether the claim is to hold in it → changed evidence."""


def varied(level: float, size: int) -> np.ndarray:
    """[size] values around a level, none below 0, whose mean is the level."""
    return level * (1 + 0.1 * np.where(np.arange(size) % 2, 1, -1))


def by_variant(users: pd.DataFrame, column: str, levels: Mapping[str, float]) -> pd.DataFrame:
    """The table with other values of a column for each variant that is named."""
    found = users.copy()
    for name, level in levels.items():
        rows = found.variant == name
        found.loc[rows, column] = varied(level, int(rows.sum()))
    return found


def of_many(users: pd.DataFrame, times: int = 12) -> pd.DataFrame:
    """Each user so many times: 60 users are too few to show that something hardly differs."""
    return pd.concat([users.assign(user_id=users.user_id + f" {n}") for n in range(times)], ignore_index=True)


def with_models(evidence: Evidence, **changes: Mapping[str, Any]) -> Evidence:
    models = {name: replace(model, **changes.get(name, {})) for name, model in evidence.models.items()}
    return replace(evidence, models=models)


def with_users(model: ModelEvidence, table: str = "users", **levels: float) -> dict[str, Any]:
    """A table of a model with other values of its columns."""
    frame = getattr(model, table)
    return {table: frame.assign(**{column: varied(level, len(frame)) for column, level in levels.items()})}


def swapped(values: Mapping[str, Any]) -> dict[str, Any]:
    """What belongs to MF and to the softmax DNN, the other way round."""
    return {**values, "mf": values["softmax"], "softmax": values["mf"]}


def new_users(evidence: Evidence, holds: bool) -> Evidence:
    level = 0.3 if holds else 0.1
    changed = with_models(
        evidence,
        softmax=with_users(evidence.models["softmax"], "new_users", **{"ndcg@10": level}),
        mf=with_users(evidence.models["mf"], "new_users", **{"ndcg@10": 0.4 - level}),
    )
    group = group_of(evidence, "features")
    levels = {"shipped": level, "without-user-features": 0.4 - level}
    tables = {name: by_variant(getattr(group, name), "ndcg@10", levels) for name in ("users", "new_users")}
    return with_group(changed, "features", replace(group, **tables))


def new_items(evidence: Evidence, holds: bool) -> Evidence:
    group = group_of(evidence, "new-items")
    users = by_variant(group.users, "recall@100", {"two_tower": 0.9 if holds else 0.1})
    users = by_variant(users, "among_new_recall@10", {"two_tower": 0.9 if holds else 0.01})
    return with_group(evidence, "new-items", replace(group, users=users))


def folding(evidence: Evidence, holds: bool) -> Evidence:
    planted, own = evidence.part("planted"), group_of(evidence, "folding")
    assert isinstance(planted, VariantGroup)
    high, middle, low = (0.4, 0.2, 0.05) if holds else (0.05, 0.2, 0.4)
    recall = {"mf-0": 0.5 if holds else 0.1, "mf-1.03": 0.5}
    table = by_variant(planted.users, "folding", {"mf-0": high, "own-group": high, "shipped": middle, "mf-1.03": low})
    changed = with_measured(evidence, planted=replace(planted, users=by_variant(table, "recall@10", recall)))
    users = of_many(own.users)
    for column in ("folding", "spurious@10"):
        users = by_variant(users, column, {"mf-0": high, "in-batch": middle, "mf-1.03": low})
    return with_group(changed, "folding", replace(own, users=by_variant(users, "recall@10", recall)))


def popularity(evidence: Evidence, holds: bool) -> Evidence:
    lists = evidence.models["mf"].lists
    items = evidence.items.item_id.to_numpy()
    user = lists.user_id.astype(int).to_numpy()
    wide = lists.assign(item_id=items[(7 * user + lists["rank"]) % len(items)])
    narrow = lists.assign(item_id=items[lists["rank"] % len(items)])
    low, high = (10.0, 20.0) if holds else (20.0, 10.0)
    return with_models(
        evidence,
        softmax={
            **with_users(evidence.models["softmax"], **{"arp@10": low, "long_tail_share@10": 0.02 * high}),
            "lists": wide if holds else narrow,
        },
        mf={
            **with_users(evidence.models["mf"], **{"arp@10": high, "long_tail_share@10": 0.02 * low}),
            "lists": narrow if holds else wide,
        },
        ease=with_users(evidence.models["ease"], **{"arp@10": low}),
    )


def training_cost(evidence: Evidence, holds: bool) -> Evidence:
    costs = {"mf": {"wall_seconds": 1.0, "cpu_seconds": 2.0}, "softmax": {"wall_seconds": 10.0, "cpu_seconds": 20.0}}
    peaks = {"mf": 1e8, "softmax": 1e9}
    exponents: dict[str, Any] = {
        name: {"cpu": {"exponent": value, "low": value - 0.1, "high": value + 0.1}}
        for name, value in (("mf", 0.5), ("softmax", 1.0))
    }
    steps = {"sampled": 0.001, "full": 0.1}
    if not holds:
        costs, peaks, exponents = swapped(costs), swapped(peaks), swapped(exponents)
        steps = {"sampled": 0.1, "full": 0.001}
    catalogue = {"items": 1000, "repeats": 9, **{f"{kind}_step_seconds": value for kind, value in steps.items()}}
    growth = {
        "sizes": [{"model": name, "events": 100, "peak_memory_bytes": peak} for name, peak in peaks.items()],
        "exponents": exponents,
        "catalogues": [catalogue],
    }
    changed = with_models(evidence, **{name: {"training_cost": cost} for name, cost in costs.items()})
    return with_measured(changed, growth=growth)


def serving_cost(evidence: Evidence, holds: bool) -> Evidence:
    def served(seconds: float, size: float) -> dict[str, Any]:
        found = {"p50_seconds": seconds, "p95_seconds": 2 * seconds, "calls": 100}
        kinds = {kind: {"1": found, "256": found} for kind in ("batches", "stored", "history")}
        return {"model_bytes": size, **kinds}

    models = {"mf": served(0.001, 1e6), "softmax": served(0.01, 1e7)}
    return with_measured(evidence, serving={"models": models if holds else swapped(models)})


def scorer(evidence: Evidence, holds: bool) -> Evidence:
    rerank, planted = evidence.part("rerank"), evidence.part("planted")
    assert isinstance(rerank, VariantGroup)
    assert isinstance(planted, VariantGroup)
    again = ("mf→softmax@100", "mf→softmax@500")
    quality, foreign = (0.4, 0.05) if holds else (0.1, 0.5)
    levels = {"mf": 0.3, "softmax": 0.4, **dict.fromkeys(again, quality)}
    users = by_variant(of_many(rerank.users), "ndcg@10", levels)
    shares = {"mf": 0.05, "softmax": 0.3, **dict.fromkeys(again, foreign)}
    users = by_variant(users, "spurious@10", shares)
    table = by_variant(planted.users, "off_group_filtered@10", {"own-group": 0.01 if holds else 0.9})
    table = by_variant(table, "off_group@10", {"own-group": 0.6, "mf-1.03": 0.01})
    return with_measured(evidence, rerank=replace(rerank, users=users), planted=replace(planted, users=table))


def depth(evidence: Evidence, holds: bool) -> Evidence:
    group = group_of(evidence, "depth")
    low, high = (1.0, 4.0) if holds else (4.0, 1.0)
    levels = {"none": 0.1 * low, "3x64": 0.1 * low, "3x128": 0.1 * high}
    cost = {
        name: {"epoch_cpu_seconds": 10 * level, "queries_per_cpu_second": 100 / level} for name, level in levels.items()
    }
    return with_group(
        evidence, "depth", replace(group, users=by_variant(group.users, "ndcg@10", levels), cost={**group.cost, **cost})
    )


def taste(evidence: Evidence, holds: bool) -> Evidence:
    """Lists of the softmax DNN, or of all others, start with the test items of the user."""
    test = evidence.events[evidence.events.part == "test"]
    right = test.assign(rank=test.groupby("user_id").cumcount() + 1)[["user_id", "rank", "item_id"]]
    known = evidence.events[evidence.events.part == "train"]
    wrong = known.assign(rank=known.groupby("user_id").cumcount() + 1)[["user_id", "rank", "item_id"]]
    return with_models(
        evidence,
        **{name: {"lists": right if (name == "softmax") == holds else wrong} for name in evidence.models},
    )


def quality(evidence: Evidence, holds: bool) -> Evidence:
    levels = {name: 0.4 if (name == "softmax") == holds else 0.1 for name in evidence.models}
    return with_models(
        evidence, **{name: with_users(evidence.models[name], **{"ndcg@10": level}) for name, level in levels.items()}
    )


WORLDS: Mapping[str, World] = {
    each.__name__: each
    for each in (
        new_users,
        new_items,
        folding,
        popularity,
        training_cost,
        serving_cost,
        scorer,
        depth,
        taste,
        quality,
    )
}


def test_every_claim_is_asked_here():
    assert set(WORLDS) == {topic.claim.key for topic in topics() if topic.claim}


@pytest.mark.parametrize(("holds", "outcome"), [(True, ClaimOutcome.HELD), (False, ClaimOutcome.CONTRADICTED)])
@pytest.mark.parametrize("key", WORLDS)
def test_a_claim_holds_or_is_contradicted_as_the_data_say(
    evidence: Evidence, params: Params, key: str, holds: bool, outcome: ClaimOutcome
):
    [(asked, ask)] = [(topic.claim, topic.ask) for topic in topics() if topic.claim and topic.claim.key == key]
    [claim] = judge_questions([(asked, ask(WORLDS[key](evidence, holds), params))], STATISTICS)
    assert {part.words.key: str(part.outcome) for part in claim.deciding} == {
        part.words.key: str(outcome) for part in claim.deciding
    }
    assert claim.outcome is outcome
