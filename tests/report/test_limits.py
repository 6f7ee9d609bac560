"""What each contender is said to see follows from how it was trained."""

from dataclasses import replace
from typing import Any

import pytest

from bakeoff.report.evidence import Evidence
from bakeoff.report.render.sentences import what_models_see
from bakeoff.report.summary import Summary


def seen(summary: Summary, evidence: Evidence, mf: dict[str, Any], softmax: dict[str, Any]) -> str:
    models = dict(evidence.models)
    for name, settings in (("mf", mf), ("softmax", softmax)):
        models[name] = replace(models[name], training={**models[name].training, "settings": settings})
    return what_models_see(summary, replace(evidence, models=models))


@pytest.mark.parametrize(
    ("mf", "softmax", "sentence"),
    [
        ({}, {}, "MF sees a set of items and nothing else."),
        ({"recency_scale": None}, {}, "MF sees a set of items and nothing else."),
        ({"recency_scale": 6.0}, {}, "weighs the item at lag l by exp(−l/6)"),
        ({}, {}, "its timing and the features of users and items;"),
        ({}, {"use_user_features": False}, "its timing and the features of items;"),
        ({}, {"use_user_features": False, "use_item_features": False}, "a history, its timing; MF"),
    ],
)
def test_what_a_contender_sees_follows_from_its_settings(summary, evidence, mf, softmax, sentence) -> None:
    assert sentence in seen(summary, evidence, mf, softmax)
