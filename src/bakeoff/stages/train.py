"""Stage `train@<model>`: split → models/<model>/trained, or a note that the model can't be trained on this data."""

import os
from typing import Any

from bakeoff.core.cost import measure
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_prepared
from bakeoff.experiments.training.checkpoints import Checkpoints, fingerprint
from bakeoff.experiments.training.runner import Experiment, in_session
from bakeoff.experiments.training.shipped import ADDRESS, PHASES, print_summary, train_on_cluster, train_shipped
from bakeoff.experiments.training.warm_start import read_parent, train_auto
from bakeoff.models.base.specs import spec
from bakeoff.models.base.storage import skip_training, write_model
from bakeoff.params import Params


def run(params: Params, workspace: Workspace, model: str) -> None:
    """Train a model on train and validation, for as many epochs as validation says, and write it.

    Reads artifacts/split and, with `warm_start.mode: auto`, parents.json and parents/<model>.npz; writes
    models/<model>/trained, artifacts/training/<model>.json and artifacts/cost/train/<model>.json.

    Raises:
        BakeoffError: there is no split, it has no train event, the settings don't lead to a usable model, or the model
            to start from can't be read.
    """
    with measure(workspace, f"train/{model}") as cost:
        prepared = load_prepared(workspace)
        shipped = Experiment(spec(model), params.section(model), prepared, params.seed)
        if (reason := shipped.why_not) is not None:
            cost.note(**dict.fromkeys(PHASES, 0.0))
            skip_training(workspace, model, reason)
            return
        decisive: dict[str, Any] = {"seed": params.seed, model: shipped.settings.model_dump(mode="json")}
        parent, start = None, None
        if keeps_start := params.warm_start.mode == "auto" and shipped.spec.starts_warm:
            parent = read_parent(workspace, model)
            record = None if parent is None else parent.record
            decisive |= {"warm_start": params.warm_start.model_dump(mode="json"), "parent": record}
        code = fingerprint(prepared, shipped.spec, decisive)
        checkpoints = [Checkpoints(workspace, name, code) for name in (model, f"{model}-warm")]
        with in_session(shipped) as experiment:
            if keeps_start:
                rules, split_settings = params.warm_start, params.split_settings
                trained, left = train_auto(experiment, parent, rules, split_settings, checkpoints)
                start = left.arrays()
            elif shipped.spec.replicated and os.environ.get(ADDRESS):
                trained = train_on_cluster(experiment, checkpoints[0], workspace)
            else:
                trained = train_shipped(experiment, checkpoints[0])
        cost.earlier_seconds = trained.earlier_seconds
        cost.note(**trained.costs)
        write_model(workspace, model, trained.retriever, prepared, trained.description, start)
        for each in checkpoints:
            each.remove()
    print_summary(trained.description, trained.costs)
