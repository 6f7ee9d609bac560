"""Trials of `bakeoff tune`: models trained and judged on validation, in an Optuna study that a later run continues."""

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from bakeoff.core.errors import BakeoffError
from bakeoff.core.parameters import Frozen
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_prepared
from bakeoff.experiments.params import with_values
from bakeoff.experiments.training.runner import Experiment, best_row, train_keeping_best, warm_users
from bakeoff.experiments.training.validation import SELECTION_METRIC, shipped_validation
from bakeoff.experiments.tuning.space import Space, Values, as_trial, draw
from bakeoff.models.base.specs import spec

optuna.logging.set_verbosity(optuna.logging.ERROR)

Report = Callable[[int, float], None]
"""Called with each epoch and its score; raises `optuna.TrialPruned` to end the trial early."""

Objective = Callable[[Mapping[str, Any], Report], tuple[float, int | None]]
"""Trains with the given values and returns score and number of the best epoch."""

AfterTrial = Callable[[FrozenTrial], None]
"""Called with each trial that ended."""

FAILURES = (BakeoffError, ArithmeticError, MemoryError, ValueError)
"""Errors that mean that these values can't be trained (too large, singular, not valid together); others may be."""

STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
"""Names of the states in the record."""


class TuningStudy:
    """A search that maximises a validation score within a budget of trials and seconds.

    A trial that was interrupted does not count, and its values are tried again by the next run. A trial whose process
    was killed is tried once more; after that it counts as failed, so that values that exceed the memory can't block
    the study.

    User attributes of a trial: `values` (what is tried, as JSON values), `epoch` (the best), `reason` (why it failed),
    `retry_of` (number of the unfinished trial that it repeats).
    """

    def __init__(self, path: Path, space: Space, current: Values, seed: int, max_epochs: int) -> None:
        """Create or continue a study; only one process may use it.

        Args:
            path: its journal.
            space: what is searched.
            current: values of params.yaml, the first trial.
            seed: of the sampler.
            max_epochs: of a trial; 0 if the model has no epochs.
        """
        path.touch()
        os.truncate(path, path.read_bytes().rfind(b"\n") + 1)  # a killed process may have left half a line
        self._space, self._seed = space, seed
        self._study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(path))),
            study_name="tuning",
            load_if_exists=True,
            direction="maximize",
            # No pruning in the first quarter: a small learning rate starts slowly and may end well.
            pruner=optuna.pruners.MedianPruner(n_warmup_steps=max_epochs // 4 + 1),
        )
        self._seed_sampler()
        self._retry_unfinished()
        if all(trial.user_attrs.get("values") != current for trial in self._study.trials):
            self._study.enqueue_trial(as_trial(space, current), user_attrs={"values": current})

    @property
    def tried(self) -> list[FrozenTrial]:
        """The trials that count, in the order of their numbers: complete, pruned, or failed for a known reason."""
        ended = self._study.get_trials(states=tuple(STATES))
        return [trial for trial in ended if trial.state is not TrialState.FAIL or "reason" in trial.user_attrs]

    @property
    def seconds(self) -> float:
        """Wall time of the trials that count, over all runs."""
        return sum(trial_seconds(trial) for trial in self.tried)

    @property
    def best(self) -> FrozenTrial | None:
        """The complete trial with the highest score, the first of equal ones; None if there is none."""
        return self._study.best_trial if self._study.get_trials(states=(TrialState.COMPLETE,)) else None

    def optimize(self, objective: Objective, trials: int | None, timeout: float, after_trial: AfterTrial) -> None:
        """Try values until the study has `trials` trials or has taken `timeout` seconds, earlier runs included.

        When the time is up, the running trial ends after its epoch as pruned, or runs to its end if it has no epochs.

        Args:
            objective: trains and scores.
            trials: in total; None: as many as the time allows.
            timeout: in total, in seconds.
            after_trial: for progress.

        Raises:
            KeyboardInterrupt: the study keeps every finished trial.
        """
        end = time.monotonic() + timeout - self.seconds

        def run(trial: Trial) -> float:
            values = trial.user_attrs.get("values", draw(trial, self._space))
            trial.set_user_attr("values", values)

            def report(epoch: int, score: float) -> None:
                trial.report(score, epoch)
                if not math.isfinite(score) or trial.should_prune() or time.monotonic() >= end:
                    raise optuna.TrialPruned

            try:
                score, epoch = objective(values, report)
                if not math.isfinite(score):
                    raise ArithmeticError(f"its score is {score}")
            except FAILURES as error:
                trial.set_user_attr("reason", str(error).strip() or type(error).__name__)
                raise
            trial.set_user_attr("epoch", epoch)
            return score

        callbacks = [lambda _, trial: after_trial(trial), lambda *_: self._seed_sampler()]
        left = None if trials is None else trials - len(self.tried)
        self._study.optimize(run, left, timeout - self.seconds, catch=FAILURES, callbacks=callbacks)

    def _seed_sampler(self) -> None:
        """Seed by the number of trials: a study that continues draws what it would have drawn in a single run."""
        seed = np.random.SeedSequence([self._seed, len(self._study.trials)]).generate_state(1)[0]
        self._study.sampler = optuna.samplers.TPESampler(seed=int(seed))

    def _retry_unfinished(self) -> None:
        """Enqueue the values of trials that were interrupted or whose process was killed."""
        retried = {trial.user_attrs.get("retry_of") for trial in self._study.trials}
        for trial in self._study.get_trials(states=(TrialState.RUNNING, TrialState.FAIL)):
            killed = trial.state is TrialState.RUNNING
            if killed:
                self._study.tell(trial.number, state=TrialState.FAIL)
            values, known = trial.user_attrs.get("values"), "reason" in trial.user_attrs
            if values is not None and not known and trial.number not in retried:
                # The reason is read only if the second attempt fails as well.
                reason = {"reason": "its process was killed, and its second attempt ended early too"} if killed else {}
                attributes = {"values": values, "retry_of": trial.number, **reason}
                self._study.enqueue_trial(as_trial(self._space, values), user_attrs=attributes)


def outcome(trial: FrozenTrial) -> tuple[float | None, int | None]:
    """Score and number of the best epoch; of a pruned trial, the best that it reached, if any."""
    if trial.state is TrialState.COMPLETE:
        return trial.value, trial.user_attrs.get("epoch")
    reached = [(score, -epoch) for epoch, score in trial.intermediate_values.items() if math.isfinite(score)]
    score, epoch = max(reached, default=(None, None))
    return score, None if epoch is None else -epoch


def trial_seconds(trial: FrozenTrial) -> float:
    """Wall time of a trial in seconds."""
    return trial.duration.total_seconds() if trial.duration else 0.0


def record(study: TuningStudy, best: FrozenTrial, timeout: float) -> dict[str, Any]:
    """The trials, the best of them and the effort, as JSON values.

    `trials` counts complete, pruned and failed trials; `timeout` is the limit of `wall_seconds`.
    """
    states = [trial.state for trial in study.tried]
    return {
        "trials": len(states),
        "pruned": states.count(TrialState.PRUNED),
        "failed": states.count(TrialState.FAIL),
        "wall_seconds": round(study.seconds, 3),
        "timeout": timeout,
        "jobs": 1,
        "best": {"value": best.value, "epoch": best.user_attrs["epoch"], "params": best.user_attrs["values"]},
        "history": [
            {
                "number": trial.number,
                "value": outcome(trial)[0],
                "state": STATES[trial.state],
                "seconds": round(trial_seconds(trial), 2),
                "params": trial.user_attrs["values"],
            }
            for trial in study.tried
        ],
    }


def make_objective(workspace: Workspace, model: str, section: Frozen, seed: int) -> Objective:
    """A function that tries values of a model's section; it reads the split once, and never its test part.

    Args:
        workspace: holds the split.
        model: whose settings are tried.
        section: values of the settings that are not tried.
        seed: of every trial.

    Raises:
        BakeoffError: there is no split, it has no train or no validation event, or the model can't be trained on it.
    """
    prepared = load_prepared(workspace)
    warm_users(prepared)  # raises where there are none
    validate = shipped_validation(prepared, seed)
    if validate is None:
        raise BakeoffError("The validation part has no event to choose on: raise split.valid_share.")
    shipped = Experiment(spec(model), section, prepared, seed)
    if (reason := shipped.why_not) is not None:
        raise BakeoffError(f"{model} can't be tuned on this data: {reason}")

    metric = f"valid_{SELECTION_METRIC}"

    def objective(values: Mapping[str, Any], report: Report) -> tuple[float, int | None]:
        """Score and number of the best epoch; every epoch is reported, and a model without epochs has one score."""
        tried = replace(shipped, settings=with_values(section, values, f"Trial of {model}", model))
        try:
            trained = train_keeping_best(
                tried, validate, after_epoch=lambda curve: report(int(curve[-1]["epoch"]), curve[-1][metric])
            )
            if trained.epoch is None:
                return validate(trained.retriever)[SELECTION_METRIC], None
        except Exception as error:
            # TensorFlow's, which not every model imports: too large for the memory, singular. Other values may do.
            if any(each.__module__.startswith("tensorflow.") for each in type(error).__mro__):
                raise BakeoffError(str(error).splitlines()[0]) from None
            raise
        return best_row(trained.curve)[metric], trained.epoch

    return objective
