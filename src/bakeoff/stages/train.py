"""Stage `train@<model>`: split → models/<model>/trained, or a note that the model can't be trained on this data."""

import os

from bakeoff.core.cost import measure
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_prepared
from bakeoff.experiments.training.checkpoints import Checkpoints, fingerprint
from bakeoff.experiments.training.cluster import ADDRESS, train_on_cluster
from bakeoff.experiments.training.runner import Experiment, in_session
from bakeoff.experiments.training.shipped import PHASES, print_summary, train_shipped
from bakeoff.models.base.specs import spec
from bakeoff.models.base.storage import skip_training, write_model
from bakeoff.params import Params


def run(params: Params, workspace: Workspace, model: str) -> None:
    """Train a model on train and validation, for as many epochs as validation says, and write it.

    Reads artifacts/split; writes models/<model>/trained, artifacts/training/<model>.json and
    artifacts/cost/train/<model>.json.

    Raises:
        BakeoffError: there is no split, it has no train event, or the settings don't lead to a usable model.
    """
    with measure(workspace, f"train/{model}") as cost:
        prepared = load_prepared(workspace)
        shipped = Experiment(spec(model), params.section(model), prepared, params.seed)
        if (reason := shipped.why_not) is not None:
            cost.note(**dict.fromkeys(PHASES, 0.0))
            skip_training(workspace, model, reason)
            return
        decisive = {"seed": params.seed, model: shipped.settings.model_dump(mode="json")}
        checkpoints = Checkpoints(workspace, model, fingerprint(prepared, shipped.spec, decisive))
        if shipped.spec.replicated and os.environ.get(ADDRESS):
            trained = train_on_cluster(shipped, checkpoints, workspace)
        else:
            with in_session(shipped) as experiment:
                trained = train_shipped(experiment, checkpoints)
        cost.earlier_seconds = trained.earlier_seconds
        cost.note(**trained.costs)
        write_model(workspace, model, trained.retriever, prepared, trained.description)
        checkpoints.remove()
    print_summary(trained.description, trained.costs)
