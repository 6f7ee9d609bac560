"""The experiment runner: a spec, its settings, a split and a seed become a trained model.

Shipped training, tuning trials, variants, planted groups and growth all train through this module; `EvalSet` and
`Evaluated` of `evaluation.ranking.protocol` turn the model into answers and figures.
"""

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import Histories, Queries
from bakeoff.data.prepared.tables import Prepared
from bakeoff.experiments.training.validation import SELECTION_METRIC, Validate
from bakeoff.models.base.retriever import Fitted, TrainedRetriever, Trainer
from bakeoff.models.base.specs import DataFacts, ModelSpec, resolve
from bakeoff.models.base.start import Start

REFERENCES = ("popularity", "ease")
"""Models that experiments with the contenders are compared with."""

Row = dict[str, float]
"""An epoch of a curve: `epoch`, `loss` and, where validation was looked at, its metrics (named `valid_…`)."""

AfterEpoch = Callable[[list[Row]], None]
"""Receives the curve so far after each epoch. What it raises ends the training: so a search prunes a trial."""

Pace = Callable[[range], Iterable[int]]
"""Yields the epochs to run: in a progress bar, or only as many as time allows."""

Build = Callable[..., Trainer]
"""Split, queries with the histories to train on, section and seed, and `start` where there is one → a trainer."""


class Seconds(NamedTuple):
    """Wall time and CPU time of all threads."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> "Seconds":
        """A reading of both clocks."""
        return cls(time.perf_counter(), time.process_time())

    def since(self, start: "Seconds") -> "Seconds":
        """Between an earlier reading and this one."""
        return Seconds(self.wall - start.wall, self.cpu - start.cpu)


@dataclass(frozen=True)
class Experiment:
    """What determines a trained model.

    Attributes:
        spec: of the model.
        settings: its section of `params.yaml`.
        prepared: the split.
        seed: of everything that is drawn.
        build: makes the trainer in place of the spec's; for variants that no setting describes.
        epochs: that are tried; None: `max_epochs` of the settings.
        start: weights that training starts from; None: it draws its own.
    """

    spec: ModelSpec
    settings: Any
    prepared: Prepared
    seed: int
    build: Build | None = None
    epochs: int | None = None
    start: Start | None = None

    @property
    def why_not(self) -> str | None:
        """Why the model can't be trained on this split; None if it can."""
        return self.spec.why_not(facts_of(self.prepared), self.settings)

    @property
    def max_epochs(self) -> int:
        """Epochs that are tried."""
        return int(self.epochs or self.settings.max_epochs)

    def with_epochs(self, epochs: int) -> "Experiment":
        """The same with so many epochs, within which the learning rate of networks decays to 0.

        Where `epochs` takes the place of those of the settings, as where MLlib's iterations are one, these stay.
        """
        if self.epochs is not None:
            return replace(self, epochs=epochs)
        return replace(self, settings=self.settings.model_copy(update={"max_epochs": epochs}))

    @cached_property
    def users(self) -> NDArray[np.int64]:
        """Rows of the users that are trained on.

        Raises:
            BakeoffError: there are none.
        """
        return warm_users(self.prepared)

    def queries(self, histories: Histories) -> Queries:
        """The queries to train on, one per warm user, with these histories of all users."""
        return self.prepared.queries(histories, self.users)

    def trainer(self, queries: Queries) -> Trainer:
        """A fresh trainer on the histories of these queries.

        Raises:
            StartError: the weights to start from don't fit the settings or the features.
        """
        build: Build = self.build or resolve(str(self.spec.trainer))
        if self.start is not None:
            build = partial(build, start=self.start)
        return build(self.prepared, queries, self.settings, self.seed)

    def fitted(self, queries: Queries) -> Fitted:
        """A model without epochs, fitted on the histories of these queries."""
        fit: Callable[[Prepared, Queries, Any, int], Fitted] = resolve(str(self.spec.fit))
        return fit(self.prepared, queries, self.settings, self.seed)


@contextmanager
def in_session(experiment: Experiment) -> Iterator[Experiment]:
    """The experiment with the resources that its model's training needs, such as a cluster, while the block lasts."""
    session = experiment.spec.session
    with resolve(session)(experiment.settings) if session else nullcontext({}) as changes:
        yield replace(experiment, **changes)


@dataclass(frozen=True)
class Epochs:
    """Epochs that were run.

    Attributes:
        curve: a row per epoch, those of an earlier process included.
        training: cost of each epoch run here, without validation.
        total: the same with validation and what is done after each epoch.
    """

    curve: list[Row]
    training: list[Seconds] = field(default_factory=list)
    total: list[Seconds] = field(default_factory=list)


@dataclass(frozen=True)
class TrainedModel:
    """A model and how it was trained.

    Attributes:
        retriever: the model.
        epoch: the one that is kept, counted from 1; None for a model without epochs.
        num_parameters: trained weights.
        seconds: wall time, validation included.
        epoch_costs: of every epoch but the first, in which code is traced; without validation.
        curve: a row per epoch.
        trainer: as it was after `epoch`; None for a model without epochs.
    """

    retriever: TrainedRetriever
    epoch: int | None
    num_parameters: int
    seconds: float = 0.0
    epoch_costs: Sequence[Seconds] = ()
    curve: Sequence[Row] = ()
    trainer: Trainer | None = None


def run_epochs(
    trainer: Trainer,
    epochs: int,
    *,
    validate: Validate | None = None,
    every: int = 1,
    before: Sequence[Row] = (),
    after_epoch: AfterEpoch | None = None,
    pace: Pace = iter,
) -> Epochs:
    """Train a trainer up to this number of epochs; the only training loop there is.

    Args:
        trainer: fresh, or restored to where `before` ends.
        epochs: all are run.
        validate: scores the model on validation; None: it is not looked at.
        every: validation is looked at after every so many epochs, and after the last one.
        before: rows of the epochs that this trainer has been through already.
        after_epoch: receives the curve so far after each epoch.
        pace: yields the epochs to run.
    """
    found = Epochs(list(before))
    for epoch in pace(range(len(found.curve) + 1, epochs + 1)):
        start = Seconds.now()
        loss = trainer.run_epoch()
        found.training.append(Seconds.now().since(start))
        row: Row = {"epoch": epoch, "loss": loss}
        if validate is not None and (epoch % every == 0 or epoch == epochs):
            row |= {f"valid_{name}": float(score) for name, score in validate(trainer.retriever()).items()}
        found.curve.append(row)
        if after_epoch is not None:
            after_epoch(found.curve)
        found.total.append(Seconds.now().since(start))
    return found


def best_row(curve: Sequence[Row], metric: str = SELECTION_METRIC) -> Row:
    """The first row with the best validation metric; the last row where validation was never looked at."""
    name = f"valid_{metric}"
    return max((row for row in curve if name in row), key=lambda row: row[name], default=curve[-1])


def train_keeping_best(
    experiment: Experiment,
    validate: Validate | None = None,
    looks: int | None = None,
    after_epoch: AfterEpoch | None = None,
    pace: Pace = iter,
) -> TrainedModel:
    """Train on the train part and keep the model of the best epoch on validation, without a refit.

    Args:
        experiment: what to train.
        validate: scores the model on validation; None: the last epoch is kept.
        looks: times that validation is looked at, at most, evenly spread over the epochs; None: after every epoch.
        after_epoch: receives the curve so far after each epoch.
        pace: yields the epochs to run.

    Raises:
        BakeoffError: there is no train event, or the settings don't lead to a usable model.
    """
    start, queries = time.perf_counter(), experiment.queries(experiment.prepared.train)
    if not experiment.spec.has_epochs:
        fitted = experiment.fitted(queries)
        return TrainedModel(fitted.retriever, None, fitted.num_parameters, time.perf_counter() - start)
    trainer, epochs = experiment.trainer(queries), experiment.max_epochs
    state: dict[str, NDArray[Any]] = {}

    def keep(curve: list[Row]) -> None:
        nonlocal state
        if best_row(curve) is curve[-1]:
            state = trainer.state()
        if after_epoch is not None:
            after_epoch(curve)

    every = math.ceil(epochs / (looks or epochs))
    found = run_epochs(trainer, epochs, validate=validate, every=every, after_epoch=keep, pace=pace)
    epoch = int(best_row(found.curve)["epoch"])
    if epoch != epochs:
        trainer.restore(state)
    retriever, seconds, costs = trainer.retriever(), time.perf_counter() - start, found.training[1:] or found.training
    return TrainedModel(retriever, epoch, trainer.num_parameters, seconds, costs, found.curve, trainer)


def facts_of(prepared: Prepared) -> DataFacts:
    """What the choice of models and variants depends on."""
    of_items, of_users = (each.num_features > 0 for each in (prepared.item_features, prepared.user_features))
    events, users = len(prepared.train.items), int(np.count_nonzero(prepared.train.lengths))
    return DataFacts(prepared.num_items, of_items, of_users, events / max(users, 1))


def warm_users(prepared: Prepared) -> NDArray[np.int64]:
    """Rows of the users that are trained on.

    Raises:
        BakeoffError: there are none.
    """
    users = np.flatnonzero(prepared.train.lengths)
    if len(users) == 0:
        raise BakeoffError("The train part has no event: lower split.test_share or split.new_user_share.")
    return users


def progress_bar(epochs: range, title: str = "training") -> Iterable[int]:
    """A progress bar on a terminal, and nothing elsewhere."""
    console = Console(stderr=True)
    return track(epochs, title, console=console, disable=not sys.stderr.isatty(), transient=True)
