"""Reports of checks that failed on another machine, brought here by Prefect: DVC carries results alone."""

import json
from pathlib import Path
from uuid import UUID

from prefect.artifacts import create_table_artifact
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey

from bakeoff.stages.files import write_text
from bakeoff.workspace import Workspace

KEY = "failed-checks"


def send_checks(clone: Path) -> None:
    """Publish, for the run that waits, the reports that a stage wrote before it failed. Called within a flow run.

    Args:
        clone: In which it ran.
    """
    reports = sorted(Workspace(clone).checks.glob("*.json"))
    rows = [{"name": path.name, "text": path.read_text(encoding="utf-8")} for path in reports]
    if rows:
        create_table_artifact(rows, key=KEY, description="What the checks of a stage found before it failed")


def take_checks(client: SyncPrefectClient, flow_run_id: UUID, workspace: Path) -> None:
    """Write what a placed run published so where the stage, run here, had written it."""
    wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]), key=ArtifactFilterKey(any_=[KEY]))
    for artifact in client.read_artifacts(artifact_filter=wanted):
        for row in json.loads(str(artifact.data)):
            write_text(Workspace(workspace).checks / Path(row["name"]).name, row["text"])
