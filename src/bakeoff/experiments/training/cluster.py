"""Shipped training by several workers, on the Ray cluster that `RAY_ADDRESS` names.

It is infrastructure: params.yaml says nothing of it, and the model is that of one process but for the order of sums.
"""

import os
import shutil
from collections.abc import Mapping
from typing import Any

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_prepared
from bakeoff.experiments.training.checkpoints import Checkpoints
from bakeoff.experiments.training.runner import Experiment
from bakeoff.experiments.training.shipped import ShippedModel, train_shipped
from bakeoff.experiments.training.validation import Validate
from bakeoff.models.base.retriever import Retriever
from bakeoff.models.base.specs import resolve, spec
from bakeoff.models.base.storage import StoredModel

ADDRESS = "RAY_ADDRESS"
RESTARTS = 3
"""Times that a training continues from its last checkpoint after it lost a worker."""


def train_on_cluster(experiment: Experiment, checkpoints: Checkpoints, workspace: Workspace) -> ShippedModel:
    """As `train_shipped`, with a worker per GPU of the cluster, or per node where there is no GPU.

    All nodes have the workspace under the same path, and packages as here. Costs are those of the first worker.

    Raises:
        BakeoffError: Ray is not installed, the cluster can't be reached, more than RESTARTS workers were lost, the
            model has settings with which workers can't share a batch, or as for `train_shipped`.
    """
    try:
        import ray
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.tensorflow import TensorflowTrainer
    except ImportError:
        raise BakeoffError(
            f"{ADDRESS} names a Ray cluster, and Ray is not installed: run `make ray`, or unset {ADDRESS} to train in "
            "one process."
        ) from None
    root = workspace.root.resolve()
    task = {"root": root, "model": experiment.spec.name, "settings": experiment.settings, "seed": experiment.seed}
    storage = root / ".bakeoff/ray" / experiment.spec.name
    paths = {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
    try:
        # Workers run the code that this process runs.
        with ray.init(runtime_env={"env_vars": paths}, log_to_driver=False, logging_level="warning"):
            gpus = int(ray.cluster_resources().get("GPU", 0))
            workers = gpus or sum(node["Alive"] and node["Resources"].get("CPU", 0) > 0 for node in ray.nodes())
            print(f"{experiment.spec.name}: {workers} workers of the Ray cluster at {os.environ[ADDRESS]}", flush=True)
            found = TensorflowTrainer(
                _train,
                train_loop_config=task | {"fingerprint": checkpoints.fingerprint},
                scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpus > 0, placement_strategy="SPREAD"),
                run_config=RunConfig(storage_path=str(storage), failure_config=FailureConfig(max_failures=RESTARTS)),
            ).fit()
    except Exception as error:  # noqa: BLE001  # of sockets, of Ray, of a worker: all mean that the training failed
        reason = str(error).strip() or type(error).__name__
        raise BakeoffError(
            f"Training {experiment.spec.name} on the Ray cluster at {ADDRESS}={os.environ[ADDRESS]} failed "
            f"({reason.splitlines()[-1]}). Is the cluster up, is its token here, and do all nodes have "
            f"{root} and the same packages? Run the stage again to go on, or unset {ADDRESS} to train in one process."
        ) from None
    finally:
        shutil.rmtree(storage, ignore_errors=True)
    if isinstance(found.return_value, str):
        raise BakeoffError(found.return_value)
    arrays, description, costs, earlier_seconds = found.return_value
    stored = StoredModel(arrays, description["settings"], experiment.prepared.encoding)
    retriever = resolve(experiment.spec.load)(stored)
    return ShippedModel(retriever, description, costs | {"workers": workers}, earlier_seconds)


def _train(task: Mapping[str, Any]) -> tuple[Any, ...] | str | None:
    """What each worker runs: the whole training, but its share of each step; the first one returns the model.

    Only the first worker validates and writes checkpoints, one per epoch; all start from the last of these. An error
    that the user can act on is returned as a sentence: if it were raised, Ray would try again.
    """
    from ray.train import get_context
    from ray.train.collective import broadcast_from_rank_zero

    is_first = get_context().get_world_rank() == 0
    workspace, model = Workspace(task["root"]), spec(task["model"])
    build = resolve(str(model.replicated))
    experiment = Experiment(model, task["settings"], load_prepared(workspace), task["seed"], build=build)
    checkpoints = (Checkpoints if is_first else _ReadCheckpoints)(workspace, model.name, task["fingerprint"], 0.0)

    def agreed(validate: Validate) -> Validate:
        # Another kind of processor may round to another best epoch.
        def scores(retriever: Retriever) -> Mapping[str, float]:
            return dict(broadcast_from_rank_zero(dict(validate(retriever)) if is_first else None))

        return scores

    try:
        trained = train_shipped(experiment, checkpoints, agreed)
    except BakeoffError as error:
        return str(error)
    return (
        (trained.retriever.arrays(), trained.description, trained.costs, trained.earlier_seconds) if is_first else None
    )


class _ReadCheckpoints(Checkpoints):
    """Those that the first worker writes."""

    def save(self, *_: Any, **__: Any) -> None:
        """Leave it to the first worker."""
