"""The command line, and the step times."""

import subprocess
import sys
from pathlib import Path

import bench
import pytest


@pytest.fixture
def refused(monkeypatch, capsys):
    """What the command says of arguments that it refuses."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["bench.py", *arguments])
        with pytest.raises(SystemExit) as ended:
            bench.main()
        assert ended.value.code == 2
        return capsys.readouterr().err

    return call


def test_help_names_data_sets_and_systems():
    command = [sys.executable, str(Path(bench.__file__)), "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert all(word in shown for word in ("ml-100k-random", "gowalla", "--tune", "--resume", "mult_vae", "softmax"))


def test_an_unknown_data_set_is_refused_with_those_there_are(refused):
    said = refused("netflix")
    assert "'netflix'" in said
    assert "gowalla" in said


def test_an_unknown_system_is_refused_with_those_there_are(refused):
    assert "implicit_als" in refused("--only", "als")


def test_step_times_are_given_as_a_ratio():
    import step_time

    times = {"items": 100_000, "full_step_seconds": 0.2, "sampled_step_seconds": 0.01}
    figures = {"command": "python benchmarks/step_time.py", "cores": 2, "queries_per_step": 256, "turns": 5}
    page = step_time.markdown(figures | {"rows": [times]})
    assert "| 100,000 | 200.0 | 10.0 | 0.050 | ≤ 0.1 |" in page
