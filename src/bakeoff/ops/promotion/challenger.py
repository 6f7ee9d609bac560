"""Who challenges what is in production."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bakeoff.core.errors import BakeoffError

BEST = "best"
CONTENDERS = ("mf", "softmax", "two_tower")
"""Those whose epoch is chosen on validation, and who can therefore be compared on it."""


@dataclass(frozen=True)
class Choice:
    """A model, and the value on validation that it was chosen by.

    Attributes:
        model: its name.
        metric: of validation.
        value: at the epoch that was selected.
    """

    model: str
    metric: str
    value: float


def best_on_validation(trainings: Mapping[str, Mapping[str, Any]], metric: str) -> Choice:
    """The contender with the best value on validation at the epoch that it was trained for; the first of equals.

    Not on test: whoever is best of three on test owes a part of that to luck, and the same test events would then be
    asked whether it is good enough (selection bias). Where training did not follow the metric, the one by which
    the epochs were selected decides.

    Args:
        trainings: model → its training.json; what was skipped or is no contender is passed over.
        metric: the primary metric, such as `ndcg@10`.

    Raises:
        BakeoffError: no contender was validated.
    """
    values = {name: found for name in CONTENDERS if (found := _validated(trainings.get(name, {})))}
    if not values:
        raise BakeoffError(
            "No contender has a value on validation to be chosen by (nothing is trained, or split.valid_share is 0): "
            "run `dvc repro`, or say who challenges, by promotion.challenger in params.yaml or --model."
        )
    followed = all(metric in found for found in values.values())
    by = metric if followed else str(trainings[next(iter(values))]["selection_metric"])
    best = max(values, key=lambda name: values[name][by])
    return Choice(best, by, values[best][by])


def _validated(training: Mapping[str, Any]) -> dict[str, float]:
    """Metric → value at the selected epoch; nothing where there was no validation."""
    rows = [row for row in training.get("curve", []) if row["epoch"] == training.get("selected_epoch")]
    prefix = "valid_"
    return {
        name.removeprefix(prefix): float(value)
        for row in rows
        for name, value in row.items()
        if name.startswith(prefix)
    }
