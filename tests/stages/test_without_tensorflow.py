"""Models that are no networks train, answer and are evaluated without TensorFlow, which takes seconds to load."""

import subprocess
import sys

import pytest
import small_split

from bakeoff.core.workspace import Workspace

NO_NETWORKS = ("popularity", "recent_popularity", "ease", "mf")

PROGRAM = """
import sys
from pathlib import Path
from bakeoff.core.workspace import Workspace
from bakeoff.ops import recommend
from bakeoff.params import Params
from bakeoff.stages import evaluate, train
params, workspace, model = Params.model_validate_json(sys.argv[1]), Workspace(Path(sys.argv[2])), sys.argv[3]
train.run(params, workspace, model)
evaluate.run(params, workspace, model)
recommend.run(workspace, model=model, user="u1", history=None, features=(), k=3)
loaded = [name for name in ("tensorflow", "tf_keras") if name in sys.modules]
assert not loaded, loaded
"""


@pytest.mark.parametrize("model", NO_NETWORKS)
def test_it_is_trained_evaluated_and_asked_without_tensorflow(model, tmp_path):
    small_split.write_split(Workspace(tmp_path))
    command = [sys.executable, "-c", PROGRAM, small_split.PARAMS.model_dump_json(), str(tmp_path), model]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
