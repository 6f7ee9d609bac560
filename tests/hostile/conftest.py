"""A finished comparison in which every text is hostile."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

sys.path.append(str(Path(__file__).parents[1] / "report"))  # the invented workspace of the report's tests

from hostile_texts import FEATURE, MARKUP
from synthetic import write_workspace

from bakeoff.core.workspace import Workspace
from bakeoff.params import parse_params
from bakeoff.stages import compare, evidence

TEXTS = {
    "title", "terms", "citation", "name", "messages", "expectation", "promise", "weakness", "fallback", "sentence",
    "calibration", "skipped",
}  # fmt: skip
"""Keys of the JSON files whose values are words for people."""


def poisoned(value: Any, key: str = "") -> Any:
    """A JSON value whose words for people are hostile; names that code looks up stay."""
    if key == "reasons":
        return {f"{reason} {MARKUP}": count for reason, count in value.items()}
    if key == "messages":
        return [MARKUP]
    if isinstance(value, dict):
        return {inner: poisoned(each, inner) for inner, each in value.items()}
    if isinstance(value, list):
        return [poisoned(each) for each in value]
    return f"{value} {MARKUP}" if key in TEXTS and isinstance(value, str) else value


def poison(root: Path) -> None:
    """Make every text of a workspace hostile that comes from data, people or the names of features."""
    for path in [*root.glob("**/*.json")]:
        values = json.loads(path.read_text(encoding="utf-8"))
        is_variants = path.name in ("variants.json", "planted.json", "sampling.json")
        kept = poisoned(values) if not is_variants else values | {"sentence": MARKUP, "calibration": MARKUP}
        path.write_text(json.dumps(kept), encoding="utf-8")
    for path in root.glob("**/*.parquet"):
        table = pd.read_parquet(path)
        for column in {"user_id", "item_id", "neighbour_id"} & set(table.columns):
            table[column] = table[column].astype(str).map(lambda value: f"{value} {MARKUP}")
        for column in {"title", "genres", "gender", "occupation"} & set(table.columns):
            table[column] = [f"{value} {place % 5} {MARKUP}" for place, value in enumerate(table[column])]
        renamed = {"genres": FEATURE, "occupation": FEATURE}
        table.rename(columns=renamed).to_parquet(path, index=False)


def hostile_params() -> Mapping[str, Any]:
    return {
        "data": {
            "dataset": f"../../x {FEATURE}",
            "user_features": {"age": "dense", "gender": "categorical", FEATURE: "categorical"},
            "item_features": {FEATURE: "tags"},
        },
        "compare": {"resamples": 100},
    }


@pytest.fixture(scope="session")
def hostile_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """reports/ of a comparison in which every text is hostile."""
    root = write_workspace(tmp_path_factory.mktemp('$(touch x) it\'s "hostile"'), num_items=60, searched=True)
    poison(root)
    dataset = json.loads((root / "data/dataset.json").read_text(encoding="utf-8"))
    dataset["url"] = "javascript:window.hacked=1//"
    (root / "data/dataset.json").write_text(json.dumps(dataset), encoding="utf-8")
    for stage in (compare, evidence):
        stage.run(parse_params(hostile_params()), Workspace(root))
    return root / "reports"
