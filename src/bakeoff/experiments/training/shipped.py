"""Shipped training: the epoch is chosen on validation, then the model is trained again on train and validation."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bakeoff.core.histories import Histories
from bakeoff.experiments.training.checkpoints import Checkpoints
from bakeoff.experiments.training.runner import Experiment, Row, Seconds, best_row, progress_bar, run_epochs
from bakeoff.experiments.training.validation import SELECTION_METRIC, Validate, shipped_validation
from bakeoff.models.base.retriever import Fitted, TrainedRetriever, Trainer
from bakeoff.models.base.start import Start

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


Agreed = Callable[[Validate], Validate]
"""Makes of a validation one whose scores are the same in all processes that train together."""


def by_itself(validate: Validate) -> Validate:
    """Of a process that trains by itself: the validation as it is."""
    return validate


def train_shipped(experiment: Experiment, checkpoints: Checkpoints, agreed: Agreed = by_itself) -> ShippedModel:
    """Choose the epoch on validation and train that long on train and validation; a model without epochs is fitted.

    Without validation events the last epoch is taken, and training.json says so. A killed training resumes from its
    last checkpoint and ends with the same weights as one that was not killed.

    Args:
        experiment: what to train.
        checkpoints: of this training.
        agreed: see Agreed.

    Raises:
        BakeoffError: the train part has no event, or the settings don't lead to a usable model.
    """
    if experiment.spec.has_epochs:
        return Training(experiment, checkpoints, agreed).run()
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
        best_weights: of the selected epoch, before validation is added; empty unless they are kept.
    """

    def __init__(
        self, experiment: Experiment, checkpoints: Checkpoints, agreed: Agreed = by_itself, *, keeps: bool = False
    ) -> None:
        """Take up what a killed run left; `keeps` says whether the weights of the selected epoch are kept."""
        self.experiment, self._checkpoints, self._agreed, self._keeps = experiment, checkpoints, agreed, keeps
        self._progress, self._state = checkpoints.load()
        kept = [name for name in self._state if name.startswith(_KEPT)]
        self.best_weights = {name.removeprefix(_KEPT): self._state.pop(name) for name in kept}
        self._earlier_seconds = self._progress.selection_seconds + self._progress.refit_seconds
        self._costs: list[Seconds] = []

    def run(self, start: Start | None = None) -> ShippedModel:
        """Select, train again, from `start` if it is given, and describe."""
        epoch, curve = self.select()
        if start is not None:
            self.experiment = replace(self.experiment, start=start)
        trainer, refit_curve = self._phase("refit", self.experiment.prepared.known(), epoch)
        if self._keeps and not curve:
            self.best_weights = trainer.weights()
        model = Fitted(trainer.retriever(), trainer.num_parameters, "", trainer.settings(), trainer.notes())
        description = _description(self.experiment, model, epoch, curve, refit_curve)
        return ShippedModel(model.retriever, description, self._measured(epoch), self._earlier_seconds)

    def select(self) -> tuple[int, list[Row]]:
        """The best epoch on validation and the curve; the last one, with no curve, without validation events."""
        prepared, epochs = self.experiment.prepared, self.experiment.max_epochs
        validate = shipped_validation(prepared, self.experiment.seed)
        if validate is None:
            return epochs, []
        curve = self._progress.selection
        if len(curve) < epochs:
            _, curve = self._phase("selection", prepared.train, epochs, self._agreed(validate))
        return int(best_row(curve)["epoch"]), curve

    def _phase(
        self, name: str, histories: Histories, epochs: int, validate: Validate | None = None
    ) -> tuple[Trainer, list[Row]]:
        """Train on these histories; `name` is that of the curve in TrainingProgress."""
        before, start = self._progress, time.perf_counter()
        done, spent = getattr(before, name), getattr(before, f"{name}_seconds")
        trainer = self.experiment.trainer(self.experiment.queries(histories))
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

    def _measured(self, epoch: int) -> dict[str, Any]:
        """Seconds of both phases and of their epochs; without epochs if some ran in a process that was killed."""
        selection, refit = self._progress.selection_seconds, self._progress.refit_seconds
        costs: dict[str, Any] = _phases(selection, refit, refit / epoch)
        if not self._earlier_seconds:
            costs["epoch_seconds"] = [each.wall for each in self._costs]
            costs["epoch_cpu_seconds"] = [each.cpu for each in self._costs]
        return costs


def _phases(*seconds: float) -> dict[str, Any]:
    return dict(zip(PHASES, seconds, strict=True))
