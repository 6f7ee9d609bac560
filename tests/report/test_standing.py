import numpy as np
import pandas as pd
import pytest

from bakeoff.evaluation.stats.significance import Verdict
from bakeoff.report.accuracy import Statistics, baseline_standings, judge_parts, per_user_of

STATISTICS = Statistics(confidence=0.95, resamples=500, seed=1)
NOISE = np.random.default_rng(3).normal(0, 0.01, 200)
VALUES = {
    "popularity": 0.1 + 0 * NOISE,
    "ease": 0.2 + 0 * NOISE,
    "mf": 0.15 + NOISE,
    "softmax": 0.25 + NOISE,
    "two_tower": 0.2 + NOISE - NOISE.mean(),
}
USERS = per_user_of({name: pd.DataFrame({"ndcg@10": values}) for name, values in VALUES.items()})
MEANS = {name: float(values.mean()) for name, values in VALUES.items()}


def test_every_other_model_stands_beside_the_best_baseline():
    found = baseline_standings(USERS, MEANS, "ndcg@10", STATISTICS)
    assert {row.baseline for row in found} == {"ease"}
    assert [row.model for row in found] == ["popularity", "mf", "softmax", "two_tower"]


def test_better_worse_and_no_evidence_are_told_apart():
    verdicts = {row.model: row.difference.verdict for row in baseline_standings(USERS, MEANS, "ndcg@10", STATISTICS)}
    assert verdicts == {
        "popularity": Verdict.WORSE,
        "mf": Verdict.WORSE,
        "softmax": Verdict.BETTER,
        "two_tower": Verdict.NO_EVIDENCE,
    }


def test_the_lead_of_a_baseline_that_was_chosen_on_these_users_counts_for_less():
    column = (NOISE + 0.001)[:, np.newaxis]
    (alone,), (chosen,) = (STATISTICS.differences(-column, ["ndcg@10"], rivals) for rivals in (1, 3))
    assert chosen.p == pytest.approx(min(1, 3 * alone.p))
    (ahead,) = STATISTICS.differences(column, ["ndcg@10"], 3)
    assert ahead.p == pytest.approx(alone.p, abs=0.02)


def test_p_is_adjusted_for_all_rows():
    # p of each clear row is 1/501, the least that 500 patterns allow; Holm multiplies the smallest by four rows
    found = {row.model: row.difference.p_holm for row in baseline_standings(USERS, MEANS, "ndcg@10", STATISTICS)}
    assert found["softmax"] == pytest.approx(4 / 501)


def test_the_difference_is_that_of_the_means():
    for row in baseline_standings(USERS, MEANS, "ndcg@10", STATISTICS):
        assert row.difference.mean == pytest.approx(row.mean - row.baseline_mean)


def test_in_each_part_the_better_contender_meets_the_best_baseline_there():
    swapped = {**VALUES, "mf": VALUES["softmax"], "softmax": VALUES["mf"], "popularity": VALUES["ease"] + 0.1}
    (*_, first), (*_, second) = judge_parts([VALUES, swapped], "ndcg@10", STATISTICS)
    assert (first.model, first.baseline) == ("softmax", "ease")
    assert (second.model, second.baseline) == ("mf", "popularity")


def test_a_part_in_which_nobody_has_a_value_is_no_evidence():
    empty = {name: np.full(5, np.nan) for name in VALUES}
    [(*_, row)] = judge_parts([empty], "ndcg@10", STATISTICS)
    assert row.difference.verdict is Verdict.NO_EVIDENCE
