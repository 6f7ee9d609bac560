"""Trials of `bakeoff tune`: values from the search space of a model, trained and judged on validation.

The trials are in an Optuna study that a later run continues.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from bakeoff.core.errors import BakeoffError
from bakeoff.core.parameters import Frozen, Search, search_space

optuna.logging.set_verbosity(optuna.logging.ERROR)

Space = Mapping[str, Search]
"""By name within the section of a model; nested names have a dot."""

Values = dict[str, Any]
"""A JSON value for each name of a space."""

SIGNIFICANT_DIGITS = 3
"""Digits of a drawn number: it ends up in params.yaml, where people read it."""


def space_of(model: str, section: Frozen) -> dict[str, Search]:
    """The search space of a model, widened where a current value lies outside; settings without effect are left out.

    Args:
        model: its name, for messages.
        section: its section of params.yaml.

    Raises:
        BakeoffError: the model declares no search, or a parameter that is searched as a number is null.
    """
    content = section.model_dump(mode="json")
    found = search_space(type(section)).items()
    space = {name: each for name, each in found if each.only_if is None or content[each.only_if[0]] == each.only_if[1]}
    if not space:
        raise BakeoffError(f"{model} has no parameter that declares a search: there is nothing to tune.")
    current = current_values(section, space)
    return {name: _widened(f"{model}.{name}", search, current[name]) for name, search in space.items()}


def current_values(section: Frozen, names: Iterable[str]) -> Values:
    """The values that a section has now, as JSON values by dotted name."""
    content = section.model_dump(mode="json")
    return {name: reduce(getitem, name.split("."), content) for name in names}


def draw(trial: optuna.trial.BaseTrial, space: Space) -> Values:
    """Values of a trial; floats are rounded to SIGNIFICANT_DIGITS."""
    return {name: _drawn(trial, name, search) for name, search in space.items()}


def as_trial(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """The same values as parameters of an Optuna trial, for `Study.enqueue_trial`."""
    return {name: json.dumps(values[name]) if search.choices else values[name] for name, search in space.items()}


def _drawn(trial: optuna.trial.BaseTrial, name: str, search: Search) -> Any:
    if search.choices:
        # Optuna compares choices by ==; as JSON texts, null, lists and numbers stay distinct.
        return json.loads(trial.suggest_categorical(name, [json.dumps(choice) for choice in search.choices]))
    low, high = search.low, search.high
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, log=search.log)
    value = trial.suggest_float(name, float(low or 0), float(high or 0), log=search.log)
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def _widened(name: str, search: Search, current: Any) -> Search:
    if search.choices:
        choices = json.loads(json.dumps(search.choices))  # tuples become lists, as JSON has them
        return replace(search, choices=tuple(choices if current in choices else [*choices, current]))
    if current is None:
        raise BakeoffError(f"{name} is null and tuning tries numbers: set it to one in params.yaml.")
    low, high = min(search.low or 0, current), max(search.high or 0, current)
    return replace(search, low=low, high=high, log=search.log and low > 0)


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
        # A killed process may have left half a line, and Optuna's lock.
        os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
        path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
        self._space, self._seed = space, seed
        storage = JournalStorage(JournalFileBackend(str(path)))
        # No pruning in the first quarter: a small learning rate starts slowly and may end well.
        self._max_epochs = max_epochs
        pruner = optuna.pruners.MedianPruner(n_warmup_steps=max_epochs // 4 + 1)
        self._study = optuna.create_study(
            storage=storage, study_name="tuning", load_if_exists=True, direction="maximize", pruner=pruner
        )
        self._seed_sampler()
        self._retry_unfinished()
        self._study.enqueue_trial(as_trial(space, current), user_attrs={"values": current}, skip_if_exists=True)

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
                is_late = time.monotonic() >= end and epoch < self._max_epochs
                if not math.isfinite(score) or trial.should_prune() or is_late:
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
