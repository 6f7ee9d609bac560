"""What the training stages share: the epoch is chosen on validation, the model refitted, exported, described."""

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from bakeoff.core.cost import cpu_seconds, measure
from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import replaced, write_json
from bakeoff.core.histories import Histories, Queries
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import Prepared, load_prepared
from bakeoff.evaluation.metrics.table import accuracy_per_user, means
from bakeoff.evaluation.ranking import rank
from bakeoff.experiments.checkpoints import Checkpoints, Standing
from bakeoff.experiments.epoch_costs import EpochCosts
from bakeoff.experiments.fingerprint import fingerprint
from bakeoff.experiments.selection import SELECTION_LISTS, SELECTION_METRIC, validated_users
from bakeoff.experiments.skipped import skip_training
from bakeoff.experiments.training_summary import print_summary, print_waiting
from bakeoff.models.base.encoder import Encoder, EncoderRetriever
from bakeoff.models.base.epochs import Row, Selection, Trainer, best_epoch, choose_epoch, refit, seed_everything
from bakeoff.models.base.export import Catalogue, ServingModule, export
from bakeoff.models.base.waiting import Waiting, share_of
from bakeoff.models.neural.leading import Leading, TeamTrainer, follow
from bakeoff.models.neural.team import Team
from bakeoff.params import Params

USERS_PER_BLOCK = 1024
"""Users that validation ranks at once; bounds memory."""

Build = Callable[[Prepared, Queries, Params], Trainer]
"""Makes a fresh trainer on the histories of these queries: `build` of each contender's stage module."""


def train_contender(
    params: Params,
    workspace: Workspace,
    name: str,
    max_epochs: int,
    build: Build,
    why_not: Callable[[Prepared], str | None] = lambda prepared: None,
    team: Team | None = None,
) -> None:
    """Choose the epoch on validation, refit on train and validation for that many epochs, export.

    Without validation events the last epoch is taken, and training.json says so. A training that was killed is taken
    up at its last checkpoint, and ends with the same weights as one that ran through. Of a team, one worker does all
    that is not epochs.

    Args:
        params: of the whole project; the trainer takes its own section.
        workspace: where the split is read and models/<name> is written.
        name: of the model.
        max_epochs: epochs that are tried.
        build: makes a fresh trainer.
        why_not: given the split, a sentence that says why the model can't be trained on it, or None.
        team: of which this process is a worker; see `leading.of_team`.

    Raises:
        BakeoffError: there is no split, or it has no train event, or the team's workers have different ones.
    """
    if team is not None and not team.is_chief:
        prepared = load_prepared(workspace)
        if why_not(prepared) is None:
            _Training(params, workspace, prepared, name, max_epochs, build, team).follow(team)
        return
    with measure(workspace, f"train_{name}") as cost:
        prepared = load_prepared(workspace)
        reason = why_not(prepared)
        if reason is not None:
            cost.note(selection_seconds=0.0, refit_seconds=0.0, seconds_per_epoch=0.0)
            skip_training(workspace, name, reason)
            return
        training = _Training(params, workspace, prepared, name, max_epochs, build, team)
        cost.earlier_seconds = training.standing.selection_seconds + training.standing.refit_seconds
        selection = training.select()
        trainer, refit_curve = training.refit(selection.epoch)
        spent = training.standing
        cost.note(
            selection_seconds=spent.selection_seconds,
            refit_seconds=spent.refit_seconds,
            seconds_per_epoch=spent.refit_seconds / selection.epoch,
            **training.epochs.notes(resumed=cost.earlier_seconds > 0),
        )
        encoder = trainer.encoder()
        num_events = len(training.prepared.known().items)
        description = _description(name, selection, refit_curve, trainer, encoder, num_events)
        write_model(workspace, name, encoder, training.prepared, description)
        training.checkpoints.remove()
        cost.note(**training.measured())
    print_summary(name, description, spent.selection_seconds + spent.refit_seconds)
    print_waiting(cost.notes)


def _description(
    name: str, selection: Selection, refit_curve: list[Row], trainer: Trainer, encoder: Encoder, num_events: int
) -> dict[str, Any]:
    """What training.json says."""
    return {
        "model": name,
        "dim": int(encoder.item_embeddings.shape[1]),
        "selected_epoch": selection.epoch,
        "selection_metric": SELECTION_METRIC if selection.curve else None,
        "num_parameters": trainer.num_parameters,
        "num_train_events": num_events,
        "fallback": getattr(encoder, "FALLBACK", None),
        "curve": selection.curve,
        "refit_curve": refit_curve,
        "settings": trainer.settings(),
        "notes": trainer.notes(),
    }


class _Training:
    """Both phases of a training, each taken up where a killed run left it."""

    def __init__(
        self,
        params: Params,
        workspace: Workspace,
        prepared: Prepared,
        name: str,
        max_epochs: int,
        build: Build,
        team: Team | None,
    ) -> None:
        self.prepared, self._team = prepared, team
        self._waits: list[Waiting] = []
        self.epochs = EpochCosts()
        self._users = warm_users(self.prepared)
        self._params, self._name, self._max_epochs, self._build = params, name, max_epochs, build
        # What DVC holds this stage by. Who computes, and where, decides nothing: others may go on where this one stood.
        decisive = params.model_dump(mode="json", include={"seed", name})
        decides = fingerprint(self.prepared, build.__module__, decisive)
        if team is not None and not team.agree(decides):
            raise BakeoffError(
                "The workers differ in code, params.yaml or split: bring each to the same Git commit, then "
                "`dvc pull artifacts/split`."
            )
        self.checkpoints = Checkpoints(workspace, name, decides)
        alone = team is None or team.is_chief
        self.standing, self._state = self.checkpoints.load() if alone else (Standing(), {})

    def select(self) -> Selection:
        """The best epoch on validation; the last one, with no curve, where there are no validation events."""
        validated = validated_users(self.prepared.valid.lengths, self._params.seed)
        if len(validated) == 0:
            return Selection(self._max_epochs)
        done, earlier = self.standing.selection, self.standing.selection_seconds
        if len(done) == self._max_epochs:
            return best_epoch(done, SELECTION_METRIC)
        start = time.perf_counter() - earlier
        trainer = self._trainer(self.prepared.train, len(done), self._max_epochs, "selection")

        def after_epoch(curve: list[Row]) -> None:
            self.standing = Standing(selection=curve, selection_seconds=time.perf_counter() - start)
            self.checkpoints.save(self.standing, trainer)
            self.epochs.ended()

        validate = validation_scores(self.prepared, validated)
        return choose_epoch(
            trainer,
            validate,
            SELECTION_METRIC,
            self._max_epochs,
            _progress,
            before=done,
            after_epoch=after_epoch,
        )

    def refit(self, epochs: int) -> tuple[Trainer, list[Row]]:
        """A trainer on train and validation after this many epochs, and its curve."""
        done, start = self.standing.refit or [], time.perf_counter() - self.standing.refit_seconds
        trainer = self._trainer(self.prepared.known(), len(done), epochs, "refit")

        def after_epoch(curve: list[Row]) -> None:
            self.standing = replace(self.standing, refit=curve, refit_seconds=time.perf_counter() - start)
            self.checkpoints.save(self.standing, trainer)
            self.epochs.ended()

        return trainer, refit(trainer, epochs, _progress, before=done, after_epoch=after_epoch)

    def _trainer(self, histories: Histories, done: int, epochs: int, phase: str) -> Trainer:
        """A trainer on these histories, fresh or as the checkpoint has it; the team gets the same."""
        trainer = self._fresh(histories)
        state, self._state = self._state if done else None, {}
        if done:
            print(f"{self._name}: resuming at epoch {min(done + 1, epochs)} of {epochs} ({phase})", flush=True)
        if self._team is not None:
            self._team.tell({"phase": phase})
            cast("TeamTrainer", trainer).share(state)
            return Leading(cast("TeamTrainer", trainer), self._team)
        if state is not None:
            trainer.restore(state)
        return trainer

    def _fresh(self, histories: Histories) -> Trainer:
        self.epochs.begin()
        seed_everything(self._params.seed)
        trainer = self._build(self.prepared, self.prepared.queries(histories, self._users), self._params)
        self._waits += [trainer.waiting] if hasattr(trainer, "waiting") else []
        return trainer

    def follow(self, team: Team) -> None:
        """Do what the chief does that takes all workers, from where it stands, until it is done."""
        while (order := team.tell()) is not None:
            if "phase" in order:
                histories = self.prepared.train if order["phase"] == "selection" else self.prepared.known()
                trainer = cast("TeamTrainer", self._fresh(histories))
                trainer.share()
            else:
                follow(trainer, order)
        team.sum(cpu_seconds())
        team.part()

    def measured(self) -> dict[str, float]:
        """Figures of the whole team, which is dismissed; the share of epochs that was spent waiting for batches."""
        waited = share_of(self._waits)
        figures = {} if waited is None else {"input_wait_share": waited}
        if self._team is None:
            return figures
        self._team.tell(None)
        figures |= {"workers": self._team.count, "workers_cpu_seconds": self._team.sum(cpu_seconds())}
        self._team.part()
        return figures


def warm_users(prepared: Prepared) -> NDArray[np.int64]:
    """Rows of the users that are trained on.

    Raises:
        BakeoffError: there are none.
    """
    users = np.flatnonzero(prepared.train.lengths)
    if len(users) == 0:
        raise BakeoffError("The train part has no event: lower split.test_share or split.new_user_share.")
    return users


def validation_scores(prepared: Prepared, users: NDArray[np.int64]) -> Callable[[Encoder], dict[str, float]]:
    """Metrics of an encoder on the validation part, asked with the train part as history."""
    queries = prepared.queries(prepared.train, users)
    truth: Histories = prepared.valid.take(users)

    def validate(encoder: Encoder) -> dict[str, float]:
        lists = rank(EncoderRetriever(encoder), queries, queries.histories, truth, SELECTION_LISTS, USERS_PER_BLOCK)
        scores = means(accuracy_per_user(lists, truth, (10, SELECTION_LISTS)))
        return {metric: scores[metric] for metric in (SELECTION_METRIC, "recall@20")}

    return validate


def write_model(
    workspace: Workspace, name: str, encoder: Encoder, prepared: Prepared, description: Mapping[str, Any]
) -> None:
    """Write models/<name>: SavedModel, titles, feature encoding and training.json; all appear at once."""
    users = prepared.warm_users
    queries = prepared.queries(prepared.known(), users)
    catalogue = Catalogue(
        item_ids=prepared.item_ids.to_pylist(),
        user_ids=prepared.user_ids(users).to_pylist(),
        queries=queries,
        encoding=prepared.encoding,
    )
    with replaced(workspace.model(name)) as folder:
        export(ServingModule(encoder, catalogue), str(folder / "saved_model"))
        pq.write_table(prepared.items.select(["item_id", "title"]), folder / "items.parquet")
        write_json(folder / "features.json", prepared.encoding.model_dump())
        write_json(folder / "training.json", description)


def _progress(epochs: range, title: str) -> Iterable[int]:
    console = Console(stderr=True)
    return track(epochs, title, console=console, disable=not sys.stderr.isatty(), transient=True)
