"""The study is conducted: trials are handed to workers until their number or the time is spent."""

import math
import time
from collections.abc import Callable

from optuna.trial import Trial

from bakeoff.core.errors import BakeoffError
from bakeoff.experiments.tuning.study import Study, Told, Tried
from bakeoff.experiments.tuning.workers import (
    Died,
    Failed,
    Finished,
    Message,
    Reached,
    Ready,
    Refused,
    Stopped,
    Worker,
    receive_any,
)


def conduct(
    study: Study,
    start_worker: Callable[[], Worker],
    *,
    trials: int,
    timeout: float,
    jobs: int,
    told: Told,
) -> None:
    """Try values until the study has `trials` trials or took `timeout` seconds, earlier runs included.

    At the end of the time a trial is cut short after its epoch, or ends if its model has no epochs. However this ends,
    the study can be gone on with.

    Raises:
        BakeoffError: the workers can't try anything, or one of them stopped with an error.
        KeyboardInterrupt: as it comes; trials that were running are put on the list again.
    """
    conductor = _Conductor(study, start_worker, trials, timeout, told)
    try:
        conductor.run(jobs)
    finally:
        conductor.end()


class _Conductor:
    def __init__(
        self, study: Study, start_worker: Callable[[], Worker], trials: int, timeout: float, told: Told
    ) -> None:
        self._study, self._start_worker = study, start_worker
        self._trials, self._timeout, self._told = trials, timeout, told
        self._start = time.monotonic() - study.seconds
        self._starting: list[Worker] = []
        self._idle: list[Worker] = []
        self._running: dict[Worker, Trial] = {}

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._start

    def run(self, jobs: int) -> None:
        while True:
            missing = 0 if self._seconds >= self._timeout else self._trials - len(self._study.tried())
            for _ in range(min(missing, jobs) - len(self._starting) - len(self._idle) - len(self._running)):
                self._starting.append(self._start_worker())
            while self._idle and len(self._running) < missing:
                self._hand_out(self._idle.pop())
            listening = [*self._starting, *self._running] if missing else list(self._running)
            if not listening:
                return
            for worker, message in receive_any(listening):
                self._hear(worker, message)

    def end(self) -> None:
        """Put running trials on the list again and end all processes."""
        for trial in self._running.values():
            self._study.try_again(trial)
        self._study.spent(self._seconds)
        for worker in (*self._starting, *self._idle, *self._running):
            worker.end()

    def _hand_out(self, worker: Worker) -> None:
        self._running[worker], values = self._study.next()
        worker.send(values)

    def _hear(self, worker: Worker, message: Message) -> None:
        match message:
            case Ready():
                self._starting.remove(worker)
                self._idle.append(worker)
            case Refused(reason):
                raise BakeoffError(reason)
            case Died(status) if status >= 0:
                raise BakeoffError(
                    "A trial stopped with an error, shown above: the study is kept, and the same command goes on with "
                    "this trial once the cause is mended."
                )
            case Died(status) if worker in self._starting:
                raise BakeoffError(f"A process was killed by signal {-status} before its first trial: is memory short?")
            case _:
                self._hear_of_trial(worker, self._running[worker], message)

    def _hear_of_trial(self, worker: Worker, trial: Trial, message: Message) -> None:
        study = self._study
        match message:
            case Reached(epoch, score):
                trial.report(score, epoch)
                hopeless = not math.isfinite(score) or trial.should_prune()
                worker.send(not hopeless and self._seconds < self._timeout)
            case Finished(score, epoch):
                self._ended(worker, study.complete(trial, score, epoch))
            case Stopped():
                self._ended(worker, study.prune(trial))
            case Failed(reason):
                self._ended(worker, study.fail(trial, reason))
            case Died(_):
                del self._running[worker]
                worker.end()
                if tried := study.try_again(trial, crashed=True):
                    self._told(tried)

    def _ended(self, worker: Worker, tried: Tried) -> None:
        del self._running[worker]
        self._idle.append(worker)
        self._study.spent(self._seconds)
        self._told(tried)
