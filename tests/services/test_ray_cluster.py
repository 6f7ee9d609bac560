"""A training on a Ray cluster learns what one process learns, though it loses a worker on the way."""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import small_split
from services.ray_scenario import PARAMS

from bakeoff.core.workspace import Workspace
from bakeoff.models.base.storage import load_trained
from bakeoff.stages import train

SCENARIO = Path(__file__).with_name("ray_scenario.py")
OWN_NAMESPACES = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]


def namespaces():
    """Whether this system gives processes namespaces of their own: containers may not, whoever asks."""
    return (
        shutil.which("unshare") is not None and subprocess.run([*OWN_NAMESPACES, "true"], check=False).returncode == 0
    )


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: make ray")
@pytest.mark.skipif(not namespaces(), reason="network and process namespaces need Linux, and root's rights")
def test_two_workers_of_which_one_is_lost_learn_what_one_process_learns(tmp_path):
    found = []
    for name in ("one", "two"):
        workspace = Workspace(tmp_path / name)
        small_split.write_split(workspace)
        if name == "one":
            train.run(PARAMS, workspace, "softmax")
        else:
            paths = [str(Path(small_split.__file__).parent), os.environ.get("PYTHONPATH", "")]
            done = subprocess.run(
                [*OWN_NAMESPACES, sys.executable, SCENARIO, workspace.root],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done
            assert "softmax: 2 workers of the Ray cluster" in done.stdout
            cost = json.loads(workspace.cost("train/softmax").read_text())
            assert cost["workers"] == 2
            assert "epoch_seconds" not in cost  # some of them were of processes that were ended
        found.append(
            (json.loads(workspace.training("softmax").read_text()), load_trained(workspace.trained("softmax")))
        )
    (one, alone), (two, together) = found
    assert one["selected_epoch"] == two["selected_epoch"]
    for curve in ("curve", "refit_curve"):
        assert len(one[curve]) == len(two[curve])
        for row, other in zip(one[curve], two[curve], strict=True):
            assert row == pytest.approx(other, abs=1e-4)
    for name, array in alone.arrays().items():
        np.testing.assert_allclose(array, together.arrays()[name], atol=1e-4, err_msg=name)
