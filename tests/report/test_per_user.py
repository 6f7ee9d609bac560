"""Metrics of all users in portions: the same figures as from tables in memory."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.report import report_inputs
from bakeoff.report.accuracy import PerUser, Statistics, per_user_of
from bakeoff.report.report_inputs import check_same_users, per_user_on_disk

STATISTICS = Statistics(confidence=0.95, resamples=2000, seed=1)
NUM_USERS = 1000
METRICS = ("ndcg@10", "recall@10")


def table(mean: float, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = {metric: rng.normal(mean, 0.1, NUM_USERS).round(2).clip(0, 1) for metric in METRICS}
    return pd.DataFrame({"user_id": [f"u{n}" for n in range(NUM_USERS)], **values})


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return {"popularity": table(0.3, 0), "mf": table(0.4, 1), "softmax": table(0.42, 2)}


@pytest.fixture
def files(tmp_path: Path, tables: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Row groups differ from file to file, and blocks from both."""
    monkeypatch.setattr(report_inputs, "USERS_AT_ONCE", 64)
    for place, (name, each) in enumerate(tables.items()):
        each.to_parquet(tmp_path / f"{name}.parquet", row_group_size=100 + 37 * place)
    return {name: tmp_path / f"{name}.parquet" for name in tables}


@pytest.fixture
def on_disk(files: dict[str, Path]) -> PerUser:
    return per_user_on_disk(files)


def test_estimates_are_those_of_tables_in_memory(on_disk: PerUser, tables: dict[str, pd.DataFrame]):
    here = per_user_of(tables)
    columns = [(name, metric) for metric in METRICS for name in tables]
    both = (STATISTICS.estimates(each(columns), columns).itertuples() for each in (on_disk, here))
    for found, expected in zip(*both, strict=True):
        assert (found.model, found.metric) == (expected.model, expected.metric)
        assert found.mean == pytest.approx(expected.mean)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-3)


def test_differences_are_those_of_tables_in_memory(on_disk: PerUser, tables: dict[str, pd.DataFrame]):
    pairs = [(("softmax", m), ("mf", m)) for m in METRICS] + [(("mf", "ndcg@10"), ("mf", "ndcg@10"))]
    found, expected = (STATISTICS.paired(each, pairs) for each in (on_disk, per_user_of(tables)))
    for one, other in zip(found, expected, strict=True):
        assert (one.metric, one.num_users, one.verdict) == (other.metric, other.num_users, other.verdict)
        assert (one.wins, one.ties, one.losses) == (other.wins, other.ties, other.losses)
        assert (one.mean, one.effect_size, one.detectable) == pytest.approx(
            (other.mean, other.effect_size, other.detectable)
        )
        assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-3)
        assert one.p == pytest.approx(other.p, abs=0.01)
    assert (found[2].low, found[2].high, found[2].p, found[2].effect_size) == (0, 0, 1, 0)


@pytest.mark.parametrize("rows", [slice(None, None, -1), slice(0, NUM_USERS - 1)], ids=["order", "one fewer"])
def test_other_users_are_refused(files: dict[str, Path], tables: dict[str, pd.DataFrame], rows: slice):
    tables["mf"][rows].to_parquet(files["mf"])
    with pytest.raises(BakeoffError, match=r"mf was evaluated on other mf than popularity"):
        check_same_users(files, ["user_id"])
