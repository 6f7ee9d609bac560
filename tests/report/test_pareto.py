"""Which models no other one beats, and the pairs of figures that the chart can show."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from bakeoff.report.models import model_label
from bakeoff.report.render.gallery import COST, front, measures, pareto_figure
from bakeoff.report.summary import Summary


@pytest.mark.parametrize(
    ("first", "second", "on"),
    [
        ([1, 2, 3], [3, 2, 1], [True, True, True]),
        ([1, 2, 3], [1, 2, 3], [False, False, True]),
        ([1, 1, 2], [5, 5, 1], [True, True, True]),  # two in the same place: neither is better
        ([1, 1, 2], [4, 5, 1], [False, True, True]),
    ],
)
def test_a_point_is_on_the_front_unless_another_is_as_good_on_both_and_better_on_one(
    first: list[float], second: list[float], on: list[bool]
):
    assert front(np.array(first), np.array(second)).tolist() == on


def test_accuracy_coverage_time_to_train_and_to_answer_and_late_events_can_be_chosen(summary: Summary):
    found = {label: values for label, (values, _) in measures(summary).items()}
    assert [*found] == [
        "NDCG@10",
        "Coverage@10 in %",
        "Training CPU seconds, less is better",
        "Ranking ms per user, less is better",
        "NDCG@10 after a day",
    ]
    assert found["Training CPU seconds, less is better"]["mf"] == pytest.approx(8.1)
    assert found["Ranking ms per user, less is better"]["mf"] == pytest.approx(1000 * 0.2 / 100)


def test_every_pair_of_measures_has_a_row_per_model_and_the_costs_count_the_other_way_round(summary: Summary):
    figure = pareto_figure(summary)
    rows = max(figure.spec["datasets"].values(), key=len)
    labels = [*measures(summary)]
    assert {(row["across"], row["up"]) for row in rows} == {*product(labels, labels)}
    assert len(rows) == len(labels) ** 2 * len(summary.models)
    cheapest = {
        row["series"] for row in rows if row["front"] and row["across"] == row["up"] == f"Training CPU seconds{COST}"
    }
    assert cheapest == {model_label(min(summary.training, key=lambda each: each.cpu_seconds).model)}


def test_without_measured_cost_there_is_no_axis_of_it(summary: Summary):
    nan = float("nan")
    unmeasured = [replace(each, cpu_seconds=nan, seconds_per_query=nan) for each in summary.training]
    figure = pareto_figure(replace(summary, training=unmeasured, sessions=[]))
    assert figure.spec["params"][0]["bind"]["options"] == ["NDCG@10", "Coverage@10 in %"]
    assert "By NDCG@10 and coverage@10 in % these are" in figure.sentence
