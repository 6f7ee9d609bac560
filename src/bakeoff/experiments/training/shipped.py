"""Shipped training: the epoch is chosen on validation, then the model is trained again on train and validation.

The refit has as many epochs as were chosen. The learning rate of networks, which at the chosen epoch had not yet come
down to 0, does so within them.

Several workers can share it, on the Ray cluster that `RAY_ADDRESS` names. It is infrastructure: params.yaml says
nothing of it, and the model is that of one process but for the order of sums.
"""

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import Histories
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_prepared
from bakeoff.experiments.training.checkpoints import Checkpoints
from bakeoff.experiments.training.runner import Experiment, Row, Seconds, best_row, progress_bar, run_epochs
from bakeoff.experiments.training.validation import SELECTION_METRIC, Validate, shipped_validation
from bakeoff.models.base.retriever import Fitted, Retriever, TrainedRetriever, Trainer
from bakeoff.models.base.specs import resolve, spec
from bakeoff.models.base.storage import StoredModel

_TITLES = {"selection": "choosing the epoch on validation", "refit": "refitting on train and validation"}
"""Of progress bars."""

_KEPT = "kept/"
"""Before the names of weights in a checkpoint that are not the trainer's state."""

PHASES = ("selection_seconds", "refit_seconds", "seconds_per_epoch")
"""Names in the cost file."""


@dataclass(frozen=True)
class ShippedModel:
    """A model trained on train and validation.

    Attributes:
        retriever: the model.
        description: what training.json says.
        costs: measured figures for the cost file.
        earlier_seconds: wall time of earlier processes, which were killed.
    """

    retriever: TrainedRetriever
    description: Mapping[str, Any]
    costs: Mapping[str, Any]
    earlier_seconds: float = 0.0


def train_shipped(experiment: Experiment, checkpoints: Checkpoints) -> ShippedModel:
    """Choose the epoch on validation and train that long on train and validation; a model without epochs is fitted.

    Without validation events the last epoch is taken, and training.json says so. A killed training resumes from its
    last checkpoint and ends with the same weights as one that was not killed.

    Args:
        experiment: what to train.
        checkpoints: of this training.

    Raises:
        BakeoffError: the train part has no event, or the settings don't lead to a usable model.
    """
    if experiment.spec.has_epochs:
        return Training(experiment, checkpoints).run()
    queries, start = experiment.queries(experiment.prepared.known()), time.perf_counter()
    fitted = experiment.fitted(queries)
    seconds = time.perf_counter() - start
    print(f"{experiment.spec.name}: {fitted.summary}")
    return ShippedModel(fitted.retriever, _description(experiment, fitted), _phases(0.0, seconds, 0.0))


def print_summary(description: Mapping[str, Any], costs: Mapping[str, Any]) -> None:
    """Print which epoch was chosen and why, and the size of the model."""
    epoch, curve = description["selected_epoch"], description["curve"]
    if epoch is None:
        return
    reason = "the last one: there are no validation events to choose on"
    if description["selection_metric"]:
        reason = f"validation {SELECTION_METRIC} {curve[epoch - 1][f'valid_{SELECTION_METRIC}']:.4f}"
    seconds = costs["selection_seconds"] + costs["refit_seconds"]
    print(f"{description['model']}: epoch {epoch} of {max(epoch, len(curve))} ({reason}), in {seconds:.1f} s")
    print(f"  {description['num_parameters']:,} parameters, {description['num_train_events']:,} events")


def _description(
    experiment: Experiment, made: Fitted, epoch: int | None = None, curve: Sequence[Row] = (), refit: Sequence[Row] = ()
) -> dict[str, Any]:
    """What training.json says; without an epoch, of a model without epochs."""
    return {
        "model": experiment.spec.name,
        "dim": int(made.retriever.item_embeddings.shape[1]),
        "num_parameters": made.num_parameters,
        "num_train_events": len(experiment.prepared.known().items),
        "fallback": made.retriever.fallback,
        "settings": made.settings,
        "notes": made.notes,
        "selected_epoch": epoch,
        "selection_metric": SELECTION_METRIC if curve else None,
        "curve": curve,
        "refit_curve": refit,
    }


class Training:
    """Both phases of a training in epochs, each resumed where a killed run left it.

    Attributes:
        experiment: what is trained.
        validate: scores an epoch on validation; None without validation events.
        epoch: the selected one; 0 before `run`.
        best_weights: of the selected epoch, before validation is added; empty unless weights are kept.
        refit_weights: of what is shipped, after the refit; empty unless weights are kept.
    """

    def __init__(self, experiment: Experiment, checkpoints: Checkpoints, *, keeps: bool = False) -> None:
        """Take up what a killed run left; `keeps` says whether weights are kept for a warm start."""
        self.experiment, self._checkpoints, self._keeps = experiment, checkpoints, keeps
        self.validate = shipped_validation(experiment.prepared, experiment.seed)
        self.epoch = 0
        self._progress, self._state = checkpoints.load()
        kept = [name for name in self._state if name.startswith(_KEPT)]
        self.best_weights = {name.removeprefix(_KEPT): self._state.pop(name) for name in kept}
        self.refit_weights: Mapping[str, NDArray[Any]] = {}
        self._earlier_seconds = self._progress.selection_seconds + self._progress.refit_seconds
        self._costs: list[Seconds] = []

    def run(self, refit: Experiment | None = None, epochs: int | None = None) -> ShippedModel:
        """Select, train again and describe.

        Args:
            refit: experiment of the second phase; None: that of the selection.
            epochs: of the second phase; None: the selected epoch.
        """
        self.epoch, curve = self.select()
        asked, epochs = self.experiment.settings.max_epochs, epochs or self.epoch
        self.experiment = (refit or self.experiment).with_epochs(epochs)
        trainer, refit_curve = self._phase("refit", self.experiment.prepared.known(), epochs)
        if self._keeps:
            self.refit_weights = trainer.weights()
            self.best_weights = self.best_weights or dict(self.refit_weights)  # without validation nothing was selected
        settings = trainer.settings() | {"max_epochs": asked}  # those of the selection, which decided the refit's
        model = Fitted(trainer.retriever(), trainer.num_parameters, "", settings, trainer.notes())
        description = _description(self.experiment, model, self.epoch, curve, refit_curve)
        return ShippedModel(model.retriever, description, self._measured(epochs), self._earlier_seconds)

    def select(self) -> tuple[int, list[Row]]:
        """The best epoch on validation and the curve; the last one, with no curve, without validation events."""
        epochs, curve = self.experiment.max_epochs, self._progress.selection
        if self.validate is None:
            return epochs, []
        if len(curve) < epochs:
            _, curve = self._phase("selection", self.experiment.prepared.train, epochs, self.validate)
        return int(best_row(curve)["epoch"]), curve

    def _phase(
        self, name: str, histories: Histories, epochs: int, validate: Validate | None = None
    ) -> tuple[Trainer, list[Row]]:
        """Train on these histories; `name` is that of the curve in TrainingProgress."""
        before, start = self._progress, time.perf_counter()
        done, spent = getattr(before, name), getattr(before, f"{name}_seconds")
        trainer = self.experiment.trainer(self.experiment.queries(histories))
        trainer.keeps_weights = self._keeps
        if done:
            model = self.experiment.spec.name
            print(f"{model}: resuming at epoch {min(len(done) + 1, epochs)} of {epochs} ({name})", flush=True)
            trainer.restore(self._state)
        self._state = {}

        def save(curve: list[Row]) -> None:
            seconds = spent + time.perf_counter() - start
            self._progress = replace(before, **{name: curve, f"{name}_seconds": seconds})
            if self._keeps and validate is not None and best_row(curve) is curve[-1]:
                self.best_weights = trainer.weights()
            kept = {f"{_KEPT}{weight}": array for weight, array in self.best_weights.items()}
            self._checkpoints.save(self._progress, trainer, kept)

        pace = partial(progress_bar, title=_TITLES[name])
        found = run_epochs(trainer, epochs, validate=validate, before=done, after_epoch=save, pace=pace)
        self._costs += found.total[1:]
        return trainer, found.curve

    def _measured(self, epochs: int) -> dict[str, Any]:
        """Seconds of both phases and of their epochs; without epochs if some ran in a process that was killed."""
        selection, refit = self._progress.selection_seconds, self._progress.refit_seconds
        costs: dict[str, Any] = _phases(selection, refit, refit / epochs)
        if not self._earlier_seconds:
            costs["epoch_seconds"] = [each.wall for each in self._costs]
            costs["epoch_cpu_seconds"] = [each.cpu for each in self._costs]
        return costs


def _phases(*seconds: float) -> dict[str, Any]:
    return dict(zip(PHASES, seconds, strict=True))


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

    def agreed(validate: Validate, retriever: Retriever) -> Mapping[str, float]:
        # Another kind of processor may round to another best epoch.
        return dict(broadcast_from_rank_zero(dict(validate(retriever)) if is_first else None))

    try:
        training = Training(experiment, checkpoints)
        training.validate = training.validate and partial(agreed, training.validate)
        trained = training.run()
    except BakeoffError as error:
        return str(error)
    return (
        (trained.retriever.arrays(), trained.description, trained.costs, trained.earlier_seconds) if is_first else None
    )


class _ReadCheckpoints(Checkpoints):
    """Those that the first worker writes."""

    def save(self, *_: Any, **__: Any) -> None:
        """Leave it to the first worker."""
