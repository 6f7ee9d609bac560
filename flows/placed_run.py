"""The run of a placed stage as its parent sees it: begun on a pool, watched, and ended with the parent."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from logging import INFO
from pathlib import Path
from threading import Event
from typing import Any
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId, LogFilterLevel, LogFilterTimestamp
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.sorting import LogSort
from prefect.deployments import run_deployment
from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter
from prefect.runtime import flow_run
from prefect.states import Cancelling, Crashed

from child import TAIL_LINES, ChildError, Log
from failed_checks import take_checks
from shipment import Shipment

FLOW = "placed"
"""Name of the flow in placed.py; its deployments have the names of their pools."""
HEARTBEAT_SECONDS = 30
"""Between signs of life of a placed run: the least that Prefect takes."""
SILENT_SECONDS = 4.0 * HEARTBEAT_SECONDS
"""Without a sign of life, after which a run is taken for dead."""
AGAIN = "Run it again: stages that are done are not repeated"
START = "BAKEOFF_HOME=DIRECTORY OF THE PROJECT prefect worker start --pool {}"

_POLL_SECONDS = 2.0
_GRACE_SECONDS = 60.0
_TRACE = "Engine execution exited with unexpected exception"
"""Prefect's last words in a run that failed in good order."""
_OVERLAP = timedelta(seconds=10)
"""Lines of several processes may come out of order by as much."""


@dataclass(frozen=True)
class Patience:
    """How long a parent waits: for a sign of any worker of the pool; for its turn there; and for the stage."""

    worker_seconds: float
    timeout: float


class _Sign:
    """Something that changes as long as somebody lives; how long ago it changed, by this machine's clock alone."""

    def __init__(self) -> None:
        self._last: Any = None
        self._since = time.monotonic()

    def silence(self, now: Any) -> float:
        """Seconds for which it has been as it is now."""
        if now != self._last:
            self._last, self._since = now, time.monotonic()
        return time.monotonic() - self._since


def greeting(stage: str, revision: str) -> str:
    """How a placed run's own log begins; what Prefect logs before that is no part of the stage's last lines."""
    return f"{stage} of the revision {revision[:12]} on "


def run_on(
    pool: str, stage: str, shipment: Shipment, workspace: Path, patience: Patience, *, log: Log, stop: Event
) -> None:
    """Run one stage by a worker of a pool, and wait for its end. Called within a task.

    Args:
        pool: Has a deployment of `placed`.
        stage: Its name in the DAG.
        shipment: The revision and what it lacks.
        workspace: Where the reports of its checks are written if it fails; else nothing is.
        patience: How long to wait.
        log: Gets what the run logs.
        stop: Cancels the run when set.

    Raises:
        ChildError: it did not end well, with its last lines.
    """
    parameters = {
        "stage": stage,
        "repository": shipment.repository,
        "ref": shipment.ref,
        "revision": shipment.revision,
        "files": dict(shipment.files),
        "timeout_seconds": patience.timeout,
    }
    name = f"{stage} of {flow_run.name}"
    begun: Any = run_deployment(f"{FLOW}/{pool}", parameters=parameters, flow_run_name=name, timeout=0)
    with get_client(sync_client=True) as client, _cancelled_at_last(client, begun.id):
        watch = _Watch(client, begun.id, pool, patience, log, greeting(stage, shipment.revision))
        state = watch.to_the_end(stop)
        if state.is_failed():
            take_checks(client, begun.id, workspace, log)
    if state.is_completed():
        return
    raise ChildError(_reason(state, pool, watch.begun), watch.tail)


def _reason(state: State[Any], pool: str, begun: bool) -> str:
    """Why a run that has ended is of no use."""
    if state.is_cancelled():
        return f"was cancelled on {pool} ({state.message}). {AGAIN}"
    if not begun:
        return (
            f"could not begin on {pool} ({state.message}): a worker of it is started in the project's environment, as "
            f"`{START.format(pool)}`, and its own log has more. {AGAIN}"
        )
    if state.is_crashed():
        return f"was lost on {pool}: its process or its machine ended ({state.message}). {AGAIN}"
    return f"failed on {pool}" if state.message == "failed" else f"failed on {pool}: {state.message}"


@contextmanager
def _cancelled_at_last(client: SyncPrefectClient, id: UUID) -> Iterator[None]:
    """However the parent stops waiting, nothing of the run is left."""
    try:
        yield
    finally:
        state = client.read_flow_run(id).state
        if state is None or not state.is_final():
            client.set_flow_run_state(id, Cancelling(message="The run that wanted it has ended."))


class _Watch:
    """Looks at a run again and again."""

    def __init__(
        self, client: SyncPrefectClient, id: UUID, pool: str, patience: Patience, log: Log, greeting: str
    ) -> None:
        self.begun = False
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._client, self._id, self._pool, self._patience = client, id, pool, patience
        self._log, self._greeting = log, greeting
        self._seen: set[UUID] = set()
        self._newest: datetime | None = None
        self._worker, self._life = _Sign(), _Sign()

    def to_the_end(self, stop: Event) -> State[Any]:
        """The run's last state; its log lines are passed on as they come."""
        begun = time.monotonic()
        running: float | None = None
        while True:
            run = self._client.read_flow_run(self._id)
            self._pass_on()
            state = run.state
            if state is not None and state.is_final():
                return state
            if state is not None and (state.is_running() or state.is_cancelling()):
                running = running or time.monotonic()
                self._check_life(run, time.monotonic() - running)
            else:
                self._check_worker(time.monotonic() - begun)
            if stop.wait(_POLL_SECONDS):
                raise ChildError("was stopped", self.tail)

    def _check_worker(self, waited: float) -> None:
        queues = self._client.read_work_queues(work_pool_name=self._pool)
        workers = self._client.read_workers_for_work_pool(self._pool)
        told = [*(queue.last_polled for queue in queues), *(worker.last_heartbeat_time for worker in workers)]
        if self._worker.silence(told) > self._patience.worker_seconds:
            raise ChildError(
                f"found no worker: none of the pool {self._pool} has asked for work for "
                f"{self._patience.worker_seconds:g} s (placed.worker_seconds). On its machine: "
                f"`{START.format(self._pool)}`. {AGAIN}"
            )
        if waited > self._patience.timeout:
            raise ChildError(
                f"waited for {self._patience.timeout:g} s behind other runs of the pool {self._pool}: give it more "
                f"workers or more time (--stage-timeout-seconds). {AGAIN}"
            )

    def _check_life(self, run: FlowRun, running: float) -> None:
        if self._life.silence((run.state, self._newest, self._heartbeat())) > SILENT_SECONDS:
            message = f"Nothing was heard of it for {SILENT_SECONDS:g} s."
            self._client.set_flow_run_state(self._id, Crashed(message=message), force=True)
        elif running > self._patience.timeout + _GRACE_SECONDS:
            raise ChildError(f"took longer than {self._patience.timeout:g} s on {self._pool} and was ended", self.tail)

    def _heartbeat(self) -> datetime | None:
        """When the run last said that it lives, by the server's clock."""
        wanted = EventFilter(
            event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
            resource=EventResourceFilter(id=[f"prefect.flow-run.{self._id}"]),
        )
        found = self._client.read_events(filter=wanted, limit=1).events
        return found[0].occurred if found else None

    def _pass_on(self) -> None:
        """Log what the run has logged since."""
        since = None if self._newest is None else LogFilterTimestamp(after_=self._newest - _OVERLAP)
        wanted = LogFilter(
            flow_run_id=LogFilterFlowRunId(any_=[self._id]), level=LogFilterLevel(ge_=INFO), timestamp=since
        )
        offset = 0
        while lines := self._client.read_logs(wanted, limit=200, offset=offset, sort=LogSort.TIMESTAMP_ASC):
            offset += len(lines)
            for line in lines:
                if line.id in self._seen:
                    continue
                self._seen.add(line.id)
                self._newest = max(self._newest or line.timestamp, line.timestamp)
                if line.message.startswith(_TRACE):
                    continue
                if line.message.startswith(self._greeting):
                    self.begun = True
                    self.tail.clear()
                if line.level == INFO:  # the stage's; what failed besides is in the state's message
                    self.tail.append(line.message)
                self._log(f"{self._pool}: {line.message}")
            if len(lines) < 200:
                break
