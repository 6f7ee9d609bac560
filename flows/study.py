"""The flow of the study of negative sampling: a DAG of its own, beside the nightly one and run through DVC alike."""

import json
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Failed
from pydantic import DirectoryPath

from child import ChildError, read_output
from dvc_stages import DVC, Dag, only_run, parse_dag
from logs import structured_log
from pipeline import SIDE_BY_SIDE, Seconds, end_command, private_server, run_dag, summarise
from publish import Row

STUDY = "studies/dvc.yaml"
FIGURES = ("ndcg@10", "popularity_lift@10", "coverage@10")
"""Metrics that are published, of those that the study has."""


def read_study(workspace: Path) -> Dag:
    """The stages of the study and those of the root that they rest on.

    Raises:
        ChildError: there is no study, or DVC cannot read it.
    """
    dag = parse_dag(read_output([*DVC, "dag", "--dot", STUDY], workspace))
    if not dag:
        raise ChildError(f"{workspace.resolve()} has no study: {STUDY} is empty")
    return dag


@flow(task_runner=SIDE_BY_SIDE)
def study(workspace: DirectoryPath = Path(), stage_timeout_seconds: Seconds = 4 * 3600) -> State[None]:
    """Bring the study and all that it rests on up to date, and publish what it found.

    Args:
        workspace: Directory of dvc.yaml.
        stage_timeout_seconds: A stage that takes longer is ended, and fails.
    """
    with structured_log(workspace, str(flow_run.name)), only_run(workspace, get_run_logger().info):
        try:  # here: DVC reads no DAG with a dvc.lock that was cut off, which only_run repairs
            dag = read_study(workspace)
        except ChildError as error:
            return Failed(message=error.reason, data=error)
        states = run_dag(dag, workspace, stage_timeout_seconds)
    if all(state.is_completed() for state in states.values()):
        publish_sampling(workspace)
    return summarise(states)


def publish_sampling(workspace: Path) -> None:
    """One row per variant (`studies/sampling.json`)."""
    path = workspace / "studies/sampling.json"
    if path.exists():
        rows = variant_rows(json.loads(path.read_text(encoding="utf-8")))
        create_table_artifact(rows, key="sampling", description="Negative sampling; the page: reports/sampling.html")


def variant_rows(sampling: Mapping[str, Any]) -> list[Row]:
    """Label, some metrics and folding of each variant; a dash for what was not measured."""
    return [
        {
            "variant": variant["label"],
            **{name: variant["metrics"].get(name) for name in FIGURES},
            "folding": (variant.get("folding") or {}).get("folding"),
        }
        for variant in sampling.get("variants", [])
    ]


def main() -> None:
    """Read the command line and run the flow, on the server of PREFECT_API_URL or on a temporary one."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", default=".", help="directory of dvc.yaml (default: this one)")
    parser.add_argument(
        "--stage-timeout-seconds", type=float, default=4 * 3600, help="a stage that takes longer is ended"
    )
    arguments = parser.parse_args()
    with private_server():
        final = study(arguments.workspace, arguments.stage_timeout_seconds, return_state=True)
    end_command(final)
    print(f"Page: {Path(arguments.workspace) / 'reports/sampling.html'}")


if __name__ == "__main__":
    main()
