"""Reports of checks that failed on another machine, brought here by Prefect: DVC carries results alone."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from prefect.artifacts import create_table_artifact
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey

from bakeoff.core.files import write_text
from bakeoff.core.workspace import Workspace
from child import Log

KEY = "failed-checks"


def send_checks(clone: Path, log: Log) -> None:
    """Publish, for the run that waits, the reports that a stage wrote before it failed. Called within a flow run.

    Args:
        clone: In which it ran.
        log: Is told where that fails: nothing may take the place of the stage's own reason.
    """
    reports = sorted(Workspace(clone).checks.glob("*.json"))
    with _told(log, "could not be sent"):
        rows = [{"name": path.name, "text": path.read_text(encoding="utf-8")} for path in reports]
        if rows:
            create_table_artifact(rows, key=KEY, description="What the checks of a stage found before it failed")


def take_checks(client: SyncPrefectClient, flow_run_id: UUID, workspace: Path, log: Log) -> None:
    """Write what a placed run published so where the stage, run here, had written it; `log` as of `send_checks`."""
    wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]), key=ArtifactFilterKey(any_=[KEY]))
    with _told(log, "could not be brought here"):
        for artifact in client.read_artifacts(artifact_filter=wanted):
            for row in json.loads(str(artifact.data)):
                write_text(Workspace(workspace).checks / Path(row["name"]).name, row["text"])


@contextmanager
def _told(log: Log, what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001  # of the server, of the network, of a file
        log(f"What its checks found {what}: {error}")
