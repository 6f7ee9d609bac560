"""Stage `growth`: what training costs as the data grows, and what a step costs as the catalogue grows."""

import json

from bakeoff.core.cost import measure
from bakeoff.core.errors import reading
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_prepared
from bakeoff.experiments.growth import growth_models, measure_growth
from bakeoff.experiments.training.runner import warm_users
from bakeoff.models.base.specs import spec
from bakeoff.models.base.storage import why_skipped
from bakeoff.params import Params


def run(params: Params, workspace: Workspace) -> None:
    """Train models on shares of the users, and time steps on generated catalogues.

    Reads artifacts/split and the epochs in artifacts/training; writes artifacts/cost/growth.json.

    Raises:
        BakeoffError: there is no split, or it has no train event; a model is not trained; a file is damaged; a process
            died.
    """
    with measure(workspace, "growth") as cost:
        warm_users(load_prepared(workspace))  # raises where there are none
        models = [name for name in growth_models() if why_skipped(workspace, name) is None]
        epochs = {name: _epochs(workspace, name, params) for name in models}
        cost.note(**measure_growth(params.experiments, workspace.root, epochs))


def _epochs(workspace: Workspace, model: str, params: Params) -> int:
    """Epochs that training chose on validation; after a warm start, which takes a few, those of the settings."""
    if not spec(model).has_epochs:
        return 1
    path = workspace.training(model)
    with reading(f"The epoch in {path}", f"run `bakeoff train {model}`", OSError, ValueError, KeyError, TypeError):
        training = json.loads(path.read_text(encoding="utf-8"))
        if training.get("warm_start", {}).get("fit") == "warm":
            return int(params.section(model).model_dump()["max_epochs"])
        return int(training["selected_epoch"])
