"""The command line, and the step times."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def command(script, *arguments):
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / script), *arguments], capture_output=True, text=True, check=False
    )


def test_help_names_data_sets_and_systems():
    shown = command("bench.py", "--help").stdout
    assert all(word in shown for word in ("ml-100k-random", "gowalla", "--tune", "--resume", "mult_vae", "softmax"))


def test_an_unknown_data_set_is_refused_with_those_there_are():
    refused = command("bench.py", "netflix")
    assert refused.returncode == 2
    assert "'netflix'" in refused.stderr
    assert "gowalla" in refused.stderr


def test_an_unknown_system_is_refused_with_those_there_are():
    refused = command("bench.py", "--only", "als")
    assert refused.returncode == 2
    assert "implicit_als" in refused.stderr


def test_step_times_are_given_as_a_ratio():
    import step_time

    page = step_time.markdown([(100_000, {"full": 0.2, "sampled": 0.01})], "python benchmarks/step_time.py")
    assert "| 100,000 | 200.0 | 10.0 | 0.050 | ≤ 0.1 |" in page


def test_synthetic_histories_are_distinct_items_of_the_catalogue():
    import step_time

    histories = step_time.queries_over(500, 20, 1).histories
    assert len(histories) == 20
    assert histories.items.max() < 500
    for u in range(20):
        row = histories.take([u]).items
        assert len(set(row.tolist())) == len(row) > 1


@pytest.mark.parametrize("kind", ["full", "sampled"])
def test_an_epoch_of_a_step_time_trainer_has_the_steps_that_its_time_is_divided_by(kind, monkeypatch):
    import step_time

    monkeypatch.setattr(step_time, "STEPS", {kind: 2})
    trainer = step_time.trainer_of(kind, 300, "in-batch", 8, 1, 1)
    assert trainer._batches.per_epoch == 2
    assert step_time.seconds_per_step({kind: trainer}, 1)[kind] > 0
