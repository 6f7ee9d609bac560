"""Models that are no networks train, answer and are evaluated without TensorFlow, which takes seconds to load."""

import subprocess
import sys

import small_split

from bakeoff.core.workspace import Workspace

NO_NETWORKS = ("popularity", "recent_popularity", "ease", "mf")
"""Trained one after the other by one process: what loads TensorFlow for one of them is found all the same."""

PROGRAM = """
import sys
from pathlib import Path
from bakeoff.core.workspace import Workspace
from bakeoff.ops import recommend
from bakeoff.params import Params
from bakeoff.stages import evaluate, train
params, workspace = Params.model_validate_json(sys.argv[1]), Workspace(Path(sys.argv[2]))
for model in sys.argv[3:]:
    train.run(params, workspace, model)
    evaluate.run(params, workspace, model)
    recommend.run(workspace, model=model, user="u1", history=None, features=(), k=3, why=False)
    loaded = [name for name in ("tensorflow", "tf_keras") if name in sys.modules]
    assert not loaded, f"{model} loads {loaded}"
"""


def test_models_that_are_no_networks_are_trained_evaluated_and_asked_without_tensorflow(tmp_path):
    small_split.write_split(Workspace(tmp_path))
    command = [sys.executable, "-c", PROGRAM, small_split.PARAMS.model_dump_json(), str(tmp_path), *NO_NETWORKS]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
