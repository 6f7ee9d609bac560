"""Stage `unbiasedness` (in studies/dvc.yaml): where training against each sampler ends, on a small catalogue."""

from bakeoff.core.files import write_json
from bakeoff.core.workspace import Workspace
from bakeoff.experiments.sampler_bias import REPEATS, STEPS, measure_unbiasedness
from bakeoff.params import Params


def run(params: Params, workspace: Workspace, steps: int = STEPS, repeats: int = REPEATS) -> None:
    """Train against every sampler with and without its correction; write studies/unbiasedness.json."""
    write_json(workspace.study / "unbiasedness.json", measure_unbiasedness(params.seed, steps, repeats))
