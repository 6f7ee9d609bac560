import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.ops.promotion.decide import best_on_validation


def training(*values: float, selected: int, metric: str = "ndcg@10") -> dict:
    curve = [{"epoch": epoch, "loss": 9.0, f"valid_{metric}": value} for epoch, value in enumerate(values, start=1)]
    return {"selected_epoch": selected, "selection_metric": "ndcg@10", "curve": curve}


def test_the_best_value_at_the_selected_epoch_wins():
    # mf is higher at an epoch that was not selected
    found = best_on_validation({"mf": training(0.9, 0.2, selected=2), "softmax": training(0.3, selected=1)})
    assert found == ("softmax", 0.3)


def test_models_without_epochs_that_were_skipped_or_are_not_there_do_not_challenge():
    without = {"ease": {"selected_epoch": None, "curve": []}, "softmax": {}, "two_tower": {"skipped": "x"}}
    assert best_on_validation(without | {"mf": training(0.1, selected=1)})[0] == "mf"


def test_the_first_of_equals_challenges():
    assert best_on_validation({n: training(0.2, selected=1) for n in ("mf", "softmax")})[0] == "mf"


def test_only_the_metric_of_the_selection_decides():
    trainings = {"mf": training(0.2, selected=1), "softmax": training(0.9, selected=1, metric="recall@20")}
    assert best_on_validation(trainings) == ("mf", 0.2)


@pytest.mark.parametrize("trainings", [{}, {"mf": {"selected_epoch": 3, "selection_metric": None, "curve": []}}])
def test_without_validation_nobody_is_best(trainings):
    with pytest.raises(BakeoffError, match=r"No contender has a value on validation.*promotion\.challenger"):
        best_on_validation(trainings)
