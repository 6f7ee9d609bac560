"""An Optuna study that goes on where it was left, and draws the same values, interrupted between trials or not."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from bakeoff.experiments.tuning.space import Space, Values, as_trial, draw

optuna.logging.set_verbosity(optuna.logging.WARNING)

STARTUP_TRIALS = 10
"""Drawn at random before the sampler learns from what it saw."""

TRIALS_BEFORE_PRUNING = 5
"""Trials that run to their end before one is measured against them."""

_STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


class SeededTPE(BaseSampler):
    """Tree-structured Parzen estimator whose generator is seeded anew for each trial.

    Optuna's own would draw again from the start of its sequence when a study goes on in a new process.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._current: tuple[int, TPESampler] | None = None

    def _of(self, trial: FrozenTrial) -> TPESampler:
        if self._current is None or self._current[0] != trial.number:
            seed = int(np.random.SeedSequence([self._seed, trial.number]).generate_state(1)[0])
            self._current = trial.number, TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS)
        return self._current[1]

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """As TPESampler."""
        space: dict[str, BaseDistribution] = self._of(trial).infer_relative_search_space(study, trial)
        return space

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As TPESampler."""
        drawn: dict[str, Any] = self._of(trial).sample_relative(study, trial, search_space)
        return drawn

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As TPESampler."""
        return self._of(trial).sample_independent(study, trial, param_name, param_distribution)


@dataclass(frozen=True)
class Tried:
    """A trial that ended.

    Attributes:
        number: from 0, in the order in which trials began.
        state: complete, pruned (by the pruner or by the end of the time) or failed.
        value: best score on validation; of a pruned trial, of the epochs that it ran; None if it failed.
        epoch: that of the value; None for a model without epochs.
        seconds: that it took.
        values: that were tried.
        reason: why it failed.
    """

    number: int
    state: str
    value: float | None
    epoch: int | None
    seconds: float
    values: Values
    reason: str | None


class Study:
    """Trials of one model on one split, in a file."""

    def __init__(self, path: Path, space: Space, seed: int, max_epochs: int) -> None:
        """Open the study in `path`, or begin it. Only one process may have it open.

        What a killed process left is put right: a trial that was running is put on the list again.
        """
        _mend(path)
        self._space = space
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study = optuna.create_study(
                storage=JournalStorage(JournalFileBackend(str(path))),
                study_name="tuning",
                load_if_exists=True,
                direction="maximize",
                sampler=SeededTPE(seed),
                # Not in the first quarter: a small learning rate starts slowly and may end well.
                pruner=optuna.pruners.MedianPruner(TRIALS_BEFORE_PRUNING, n_warmup_steps=max_epochs // 4 + 1),
            )
        for trial in self._trials(TrialState.RUNNING):
            self._again(trial.number)

    @property
    def seconds(self) -> float:
        """Wall time spent on it so far, by all runs."""
        return float(self._study.user_attrs.get("seconds", 0.0))

    def spent(self, seconds: float) -> None:
        """Note the wall time spent so far."""
        self._study.set_user_attr("seconds", seconds)

    @property
    def jobs(self) -> int:
        """The most processes that ever worked on it at once."""
        return int(self._study.user_attrs.get("jobs", 0))

    def worked_on_by(self, jobs: int) -> None:
        """Note how many processes work on it."""
        self._study.set_user_attr("jobs", max(jobs, self.jobs))

    def try_first(self, values: Values) -> None:
        """Put values on the list, unless they were tried or wait there."""
        if all(trial.user_attrs.get("exactly", trial.user_attrs.get("values")) != values for trial in self._trials()):
            self._study.enqueue_trial(as_trial(self._space, values), user_attrs={"exactly": values})

    def next(self) -> tuple[Trial, Values]:
        """Begin a trial."""
        trial = self._study.ask()
        values: Values = draw(trial, self._space)
        values = trial.user_attrs.get("exactly", values)
        trial.set_user_attr("values", values)
        return trial, values

    def complete(self, trial: Trial, score: float, epoch: int | None) -> Tried:
        """End a trial that ran to its end; one whose score is no number failed."""
        if not np.isfinite(score):
            return self.fail(trial, f"its score is {score}")
        trial.set_user_attr("epoch", epoch)
        return _tried(self._study.tell(trial, score))

    def prune(self, trial: Trial) -> Tried:
        """End a trial that was cut short."""
        return _tried(self._study.tell(trial, state=TrialState.PRUNED))

    def fail(self, trial: Trial, reason: str) -> Tried:
        """End a trial that can't be."""
        trial.set_user_attr("reason", reason)
        return _tried(self._study.tell(trial, state=TrialState.FAIL))

    def try_again(self, trial: Trial, *, crashed: bool = False) -> Tried | None:
        """End a trial that was killed and put its values on the list; a second crash is its own fault.

        Returns:
            the trial if it will not be tried again.
        """
        return self._again(trial.number, crashed=crashed)

    def tried(self) -> list[Tried]:
        """Trials that ended, in the order of their numbers; not those that were killed and are tried again."""
        again = set(self._tried_again)
        return [_tried(trial) for trial in self._trials(*_STATES) if trial.number not in again]

    def best(self) -> Tried | None:
        """The complete trial with the best score, the first among equals."""
        complete = [trial for trial in self.tried() if trial.state == "complete"]
        return max(complete, key=lambda trial: (trial.value or 0.0, -trial.number), default=None)

    def _trials(self, *states: TrialState) -> Sequence[FrozenTrial]:
        trials: Sequence[FrozenTrial] = self._study.get_trials(deepcopy=False, states=states or None)
        return trials

    def _again(self, number: int, *, crashed: bool = False) -> Tried | None:
        attributes = self._trials()[number].user_attrs
        if crashed and attributes.get("crashed"):
            return _tried(self._study.tell(number, state=TrialState.FAIL))
        values = attributes.get("values", attributes.get("exactly"))
        if values is not None:
            kept = {"exactly": values, "crashed": crashed or attributes.get("crashed", False)}
            self._study.enqueue_trial(as_trial(self._space, values), user_attrs=kept)
        # Ended last: killed in between, it is still running and put on the list once more.
        self._study.set_user_attr("again", [*self._tried_again, number])
        self._study.tell(number, state=TrialState.FAIL)
        return None

    @property
    def _tried_again(self) -> list[int]:
        return list(self._study.user_attrs.get("again", []))


def _tried(trial: FrozenTrial) -> Tried:
    best = max(trial.intermediate_values.items(), key=lambda step: (step[1], -step[0]), default=(None, None))
    complete = trial.state is TrialState.COMPLETE
    return Tried(
        number=trial.number,
        state=_STATES[trial.state],
        value=trial.value if complete else best[1],
        epoch=trial.user_attrs.get("epoch") if complete else best[0],
        seconds=trial.duration.total_seconds() if trial.duration else 0.0,
        values=trial.user_attrs.get("values", {}),
        reason=trial.user_attrs.get("reason"),
    )


def _mend(path: Path) -> None:
    """Drop half a line and the lock that a process which was killed while it wrote may have left."""
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    if path.exists():
        content = path.read_bytes()
        path.write_bytes(content[: content.rfind(b"\n") + 1])


Told = Callable[[Tried], None]
"""Told of each trial that ended."""
