"""Trials of `bakeoff tune`: values from the search space of a model, trained and judged on validation.

The trials are in an Optuna study that a later run continues.
"""

import json
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import reduce
from itertools import product
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

FINALISTS = 3
"""Trials with the highest scores, between which further seeds decide: the first of many scores owes much to chance."""

FURTHER_SEEDS = 3
"""How often each finalist is fitted again, each time with another seed."""

FINAL_SHARE = 0.25
"""At most this share of the time of a search is for fitting finalists again."""


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


@dataclass(frozen=True)
class Final:
    """A finalist, fitted with another seed.

    Attributes:
        trial: its number.
        seed: of the fit.
        value: score of the best epoch.
        epoch: the best one.
        seconds: wall time.
    """

    trial: int
    seed: int
    value: float
    epoch: int | None
    seconds: float


FAILURES = (BakeoffError, ArithmeticError, MemoryError, ValueError)
"""Errors that mean that these values can't be trained (too large, singular, not valid together); others may be."""

_FINAL = "final "
"""Beginning of the names under which a study keeps finals."""

STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
"""Names of the states in the record."""


class TuningStudy:
    """A search that maximises a validation score within a budget of trials and seconds.

    All trials have one seed, and the highest of many scores owes something to luck. So the few with the highest scores,
    the finalists, are fitted again with further seeds; the best is the one with the highest mean over these.

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
        ended = self._trials(*STATES)
        return [trial for trial in ended if trial.state is not TrialState.FAIL or "reason" in trial.user_attrs]

    @property
    def seconds(self) -> float:
        """Wall time of the trials that count and of the finals, over all runs."""
        return sum(trial_seconds(trial) for trial in self.tried) + sum(final.seconds for final in self._all_finals())

    @property
    def finalists(self) -> list[FrozenTrial]:
        """The FINALISTS complete trials with the highest scores, best first, the first of equal ones first."""
        return sorted(self._trials(TrialState.COMPLETE), key=_score, reverse=True)[:FINALISTS]

    @property
    def finals(self) -> list[Final]:
        """Fits of today's finalists with the seeds that all of them had, in the order of the seeds."""
        numbers = {trial.number for trial in self.finalists}
        found = [final for final in self._all_finals() if final.trial in numbers]
        seeds = Counter(final.seed for final in found)
        return sorted((each for each in found if seeds[each.seed] == len(numbers)), key=lambda each: each.seed)

    @property
    def best(self) -> FrozenTrial | None:
        """The finalist with the highest mean in the finals, or else score; None without a complete trial."""
        return max(self.finalists, key=self.score, default=None)

    def score(self, finalist: FrozenTrial) -> float:
        """A finalist's mean over further seeds, its trial left out; without such seeds, the score of its trial."""
        values = [final.value for final in self.finals if final.trial == finalist.number]
        return float(np.mean(values)) if values else _score(finalist)

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        """Of these states, or all; not copies, which would cost more than a short trial."""
        return self._study.get_trials(deepcopy=False, states=states or None)

    def _all_finals(self) -> list[Final]:
        return [Final(**each) for name, each in self._study.user_attrs.items() if name.startswith(_FINAL)]

    def optimize(
        self,
        objective: Objective,
        trials: int | None,
        timeout: float,
        after_trial: AfterTrial,
        reserve: float = 0.0,
    ) -> None:
        """Try values until the study has `trials` trials or has taken `timeout` seconds, earlier runs included.

        When the time is up, the running trial ends after its epoch as pruned, or runs to its end if it has no epochs.

        Args:
            objective: trains and scores.
            trials: in total; None: as many as the time allows.
            timeout: in total, in seconds.
            after_trial: for progress.
            reserve: seconds of it to leave for `run_finals`; fewer, if that will not take so long.

        Raises:
            KeyboardInterrupt: the study keeps every finished trial.
        """
        end = time.monotonic() + timeout - self.seconds
        reserved = self._needed_by_finals(reserve)

        def is_time_up() -> bool:
            return time.monotonic() >= end - reserved

        def after(study: optuna.Study, trial: FrozenTrial) -> None:
            nonlocal reserved
            after_trial(trial)
            self._seed_sampler()
            reserved = self._needed_by_finals(reserve)
            if is_time_up():
                study.stop()

        def run(trial: Trial) -> float:
            values = trial.user_attrs.get("values", draw(trial, self._space))
            trial.set_user_attr("values", values)

            def report(epoch: int, score: float) -> None:
                trial.report(score, epoch)
                is_late = epoch < self._max_epochs and is_time_up()
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

        left = None if trials is None else trials - len(self.tried)
        self._study.optimize(run, left, timeout - reserved - self.seconds, catch=FAILURES, callbacks=[after])

    def _needed_by_finals(self, limit: float) -> float:
        """Seconds that finals will still take, judged by the finalists' trials, from 0 to a limit."""
        fits = FURTHER_SEEDS * sum(map(trial_seconds, self.finalists)) if self._max_epochs else 0.0
        return max(0.0, min(limit, fits - sum(final.seconds for final in self.finals)))

    def run_finals(
        self, make: Callable[[int], Objective], timeout: float, after_final: Callable[[Final], None]
    ) -> None:
        """Fit the finalists with FURTHER_SEEDS seeds, one seed after the other, until the study has taken `timeout` s.

        A model without epochs draws nothing at random and has no finals. A fit that fails, or for which the time is too
        short, leaves nothing. What earlier runs fitted is kept.

        Args:
            make: of an objective with a seed.
            timeout: in total, trials included, in seconds.
            after_final: for progress.

        Raises:
            KeyboardInterrupt: the study keeps every finished fit.
        """
        if not self._max_epochs or len(self.finalists) < 2:
            return
        end = time.monotonic() + timeout - self.seconds

        def report(epoch: int, _: float) -> None:
            if time.monotonic() >= end and epoch < self._max_epochs:
                raise optuna.TrialPruned

        done = {(final.seed, final.trial) for final in self._all_finals()}
        further = range(self._seed + 1, self._seed + 1 + FURTHER_SEEDS)
        for seed, finalist in product(further, self.finalists):
            if (seed, finalist.number) in done:
                continue
            start = time.monotonic()
            if start >= end:
                return
            try:
                value, epoch = make(seed)(finalist.user_attrs["values"], report)
            except optuna.TrialPruned:
                return
            except FAILURES:
                continue  # a seed that one finalist lacks counts for none
            if math.isfinite(value):
                final = Final(finalist.number, seed, value, epoch, round(time.monotonic() - start, 3))
                self._study.set_user_attr(f"{_FINAL}{finalist.number} {seed}", asdict(final))
                after_final(final)

    def _seed_sampler(self) -> None:
        """Seed by the number of trials: a study that continues draws what it would have drawn in a single run."""
        seed = np.random.SeedSequence([self._seed, len(self._trials())]).generate_state(1)[0]
        self._study.sampler = optuna.samplers.TPESampler(seed=int(seed))

    def _retry_unfinished(self) -> None:
        """Enqueue the values of trials that were interrupted or whose process was killed."""
        retried = {trial.user_attrs.get("retry_of") for trial in self._trials()}
        for trial in self._trials(TrialState.RUNNING, TrialState.FAIL):
            killed = trial.state is TrialState.RUNNING
            if killed:
                self._study.tell(trial.number, state=TrialState.FAIL)
            values, known = trial.user_attrs.get("values"), "reason" in trial.user_attrs
            if values is not None and not known and trial.number not in retried:
                # The reason is read only if the second attempt fails as well.
                reason = {"reason": "its process was killed, and its second attempt ended early too"} if killed else {}
                attributes = {"values": values, "retry_of": trial.number, **reason}
                self._study.enqueue_trial(as_trial(self._space, values), user_attrs=attributes)


def _score(trial: FrozenTrial) -> float:
    """Of a complete trial."""
    return float(trial.values[0])


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

    `trials` counts complete, pruned and failed trials; `timeout` is the limit of `wall_seconds`. The best one's `value`
    is its mean over `seeds` further seeds, or that of its trial where there are none.
    """
    states, finals = [trial.state for trial in study.tried], study.finals
    return {
        "trials": len(states),
        "pruned": states.count(TrialState.PRUNED),
        "failed": states.count(TrialState.FAIL),
        "wall_seconds": round(study.seconds, 3),
        "timeout": timeout,
        "best": {
            "value": study.score(best),
            "seeds": len({final.seed for final in finals}),
            "epoch": best.user_attrs["epoch"],
            "params": best.user_attrs["values"],
        },
        "finals": [asdict(final) for final in finals],
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
