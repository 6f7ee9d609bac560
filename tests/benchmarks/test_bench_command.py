"""The command line, and the step times."""

import subprocess
import sys
from pathlib import Path

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

    times = {"items": 100_000, "full_step_seconds": 0.2, "sampled_step_seconds": 0.01}
    figures = {"command": "python benchmarks/step_time.py", "cores": 2, "queries_per_step": 256, "turns": 5}
    page = step_time.markdown(figures | {"rows": [times]})
    assert "| 100,000 | 200.0 | 10.0 | 0.050 | ≤ 0.1 |" in page
