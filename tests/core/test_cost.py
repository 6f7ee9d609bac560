import json
import subprocess
import sys
import time

import pytest

from bakeoff.core.cost import measure
from bakeoff.core.workspace import Workspace

PEAK = """
import sys
from pathlib import Path
import numpy as np
from bakeoff.core.cost import measure, own_peak_memory_bytes
from bakeoff.core.workspace import Workspace
with measure(Workspace(Path(sys.argv[1])), "train/mf"):
    size = own_peak_memory_bytes() + 80_000_000
    np.ones(size, np.uint8)
print(size)
"""
"""80 million bytes more than before, touched and freed within the block."""

BUSY = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"


def read(workspace, stage="train/mf"):
    return json.loads(workspace.cost(stage).read_text(encoding="utf-8"))


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path)


def test_waiting_costs_wall_time_but_no_cpu_time(workspace):
    with measure(workspace, "train/mf"):
        time.sleep(0.2)
    cost = read(workspace)
    assert cost["wall_seconds"] >= 0.2
    assert 0 <= cost["cpu_seconds"] < 0.15


def test_work_costs_cpu_time(workspace):
    with measure(workspace, "train/mf"):
        exec(BUSY)
    assert read(workspace)["cpu_seconds"] >= 0.25


def test_cpu_time_of_children_counts(workspace):
    with measure(workspace, "train/mf"):
        subprocess.run([sys.executable, "-c", BUSY], check=True)
    assert read(workspace)["cpu_seconds"] >= 0.25


def test_peak_memory_is_in_bytes_and_outlives_what_was_freed(workspace):
    # by a process that has loaded little, and whose parent, this one, has been larger
    command = [sys.executable, "-c", PEAK, workspace.root]
    size = int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    assert size <= read(workspace)["peak_memory_bytes"] < 3 * size


def test_notes_stand_beside_what_is_measured(workspace):
    with measure(workspace, "train/mf") as cost:
        cost.note(selection_seconds=1.5)
        cost.note(refit_seconds=2.5, selection_seconds=1.25)
    assert set(read(workspace)) == {
        "wall_seconds",
        "cpu_seconds",
        "peak_memory_bytes",
        "selection_seconds",
        "refit_seconds",
    }
    assert read(workspace)["selection_seconds"] == 1.25


def test_a_note_must_not_overwrite_a_measurement(workspace):
    with pytest.raises(ValueError, match="wall_seconds is measured"), measure(workspace, "train/mf") as cost:
        cost.note(wall_seconds=0)


def test_a_stage_that_fails_leaves_no_cost(workspace):
    with pytest.raises(RuntimeError, match="diverged"), measure(workspace, "train/mf"):
        raise RuntimeError("diverged")
    assert not workspace.cost("train/mf").exists()


def test_nothing_but_the_file_is_left(workspace):
    with measure(workspace, "train/mf"):
        pass
    assert [path.name for path in workspace.cost("train/mf").parent.iterdir()] == ["mf.json"]


def test_what_earlier_processes_spent_on_the_same_work_counts(workspace):
    with measure(workspace, "train") as cost:
        cost.earlier_seconds = 1000.0
    found = read(workspace, "train")
    assert found["wall_seconds"] >= 1000
    assert found["cpu_seconds"] is None  # theirs is not known, and the last process's own would pass for all
