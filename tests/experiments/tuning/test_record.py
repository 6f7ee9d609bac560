"""What is shipped is what the searches found whose records lie in tuning/, and the contenders had the same time."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bakeoff.data.fetch.versioning import read_data_hash
from bakeoff.params import load_params
from bakeoff.report.checks import EQUAL_SECONDS
from bakeoff.report.models import CONTENDERS

ROOT = Path(__file__).parents[3]
RECORDS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "tuning").glob("*.json")}


def shipped(dotted: str) -> Any:
    value: Any = load_params(ROOT / "params.yaml").model_dump(mode="json")
    for part in dotted.split("."):
        value = value[part]
    return value


def scores(record: dict[str, Any]) -> list[float]:
    """Of the trials, or where the best few were fitted with further seeds, their means over these."""
    if finals := record.get("finals"):
        return list(pd.DataFrame(finals).groupby("trial").value.mean())
    return [trial["value"] for trial in record["history"] if trial["state"] == "complete"]


def test_every_model_that_has_parameters_was_searched():
    assert set(RECORDS) == {"ease", "mf", "recent_popularity", "softmax", "two_tower"}


@pytest.mark.parametrize("model", sorted(RECORDS))
def test_the_shipped_settings_are_the_best_of_the_recorded_trials(model: str):
    record = RECORDS[model]
    best = record["best"]
    assert best["params"]
    assert {name: shipped(f"{model}.{name}") for name in best["params"]} == best["params"]
    assert best["value"] == max(scores(record))
    assert best["epoch"] is None or best["epoch"] <= shipped(f"{model}.max_epochs")


def test_the_contenders_were_searched_for_the_same_time_and_every_model_on_this_data():
    seconds = [RECORDS[name]["wall_seconds"] for name in CONTENDERS]
    assert max(seconds) <= EQUAL_SECONDS * min(seconds)
    assert len({(each["dataset"], each["metric"]) for each in RECORDS.values()}) == 1
    assert all(len(each["history"]) == each["trials"] for each in RECORDS.values())
    assert {each["data"] for each in RECORDS.values()} == {read_data_hash((ROOT / "data.dvc").read_text())}
