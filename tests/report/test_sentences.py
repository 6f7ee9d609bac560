from dataclasses import replace

import numpy as np
import pytest

from bakeoff.report.accuracy import Estimate
from bakeoff.report.render import sentences
from bakeoff.report.summary import Summary
from bakeoff.report.vs_baseline import BaselineComparison


def estimates(*best: str) -> list[Estimate]:
    """One row per name: that model has mean 0.3, the others 0.2."""
    models = ("popularity", "mf", "softmax")
    means = [(f"m{row}", model, 0.3 if model == name else 0.2) for row, name in enumerate(best) for model in models]
    return [Estimate(model, metric, mean, mean, mean) for metric, model, mean in means]


def test_the_leader_on_most_metrics_is_named():
    assert sentences.accuracy_caption(estimates("mf", "mf", "softmax")).startswith(
        "MF has the highest mean on 2 of 3 metrics."
    )


def test_a_leader_everywhere_is_said_so():
    assert sentences.accuracy_caption(estimates("softmax", "softmax")).startswith(
        "The softmax DNN has the highest mean on every metric."
    )


def test_users_ahead_level_and_behind_are_counted():
    text = sentences.user_differences_caption(np.array([0.1, 0.2, 0.0, -0.1]))
    assert "softmax DNN is ahead for 50 % of users, MF for 25 %, and for 25 % they score the same" in text


def test_a_curve_that_ends_at_its_limit_is_warned_of(summary: Summary):
    cut = [
        replace(figure, selected_epoch=figure.last_epoch) if figure.model == "mf" else figure
        for figure in summary.training
    ]
    assert "MF stopped at the limit of epochs" in sentences.learning_curves_caption(cut, "ndcg@10")
    assert "limit" not in sentences.learning_curves_caption(summary.training, "ndcg@10")


def test_a_fallback_is_said_where_it_answered(summary: Summary):
    text = sentences.new_users_caption(summary.new_users, "ndcg@10")
    assert "With nothing known:" in text
    assert "(MF, by its fallback)" in text
    assert text.count("fallback)") == 1
    assert "best baseline" in text


def standing(model: str, difference: float, p: float) -> BaselineComparison:
    low, high = difference - 0.01, difference + 0.01
    return BaselineComparison(model, "ease", 0.1 + difference, 0.1, difference, low, high, p)


def test_models_are_sorted_by_how_they_stand_beside_the_best_baseline():
    rows = [standing("popularity", -0.05, 0.01), standing("mf", 0.0, 0.8), standing("softmax", 0.05, 0.01)]
    assert sentences.standings_caption(rows, 0.95) == (
        "EASE is the best of the baselines (0.100). Compared with it, the softmax DNN is better; popularity is worse; "
        "no evidence of a difference for MF."
    )


@pytest.mark.parametrize(
    ("difference", "p", "words"),
    [
        (-0.05, 0.01, "A baseline is shown to be better than both contenders for later (EASE, order-blind, 0.100"),
        (-0.05, 0.5, "Without evidence of a difference, a baseline has the highest mean for later (EASE"),
        (0.05, 0.01, "No baseline has a higher mean than the better contender in any span."),
    ],
)
def test_it_is_said_where_a_baseline_beats_both_contenders(summary: Summary, difference: float, p: float, words: str):
    ahead = replace(summary.slices[0], standing=standing("mf", 0.02, 0.5))
    parts = [ahead, replace(summary.slices[-1], standing=standing("softmax", difference, p))]
    assert words in sentences.slices_caption(parts, frozenset({"ease"}), 0.95)
