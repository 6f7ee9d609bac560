"""The flow of a what-if: other parameters as a DVC experiment; params.yaml stays as it is."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Annotated

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from pydantic import DirectoryPath, Field

from bakeoff.errors import BakeoffError
from child import ChildError
from dvc_experiments import check_overrides, run_experiment
from logs import structured_log
from pipeline import Seconds, private_server
from publish import difference_rows, publish_experiment

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


@flow
def experiment(
    overrides: Annotated[list[str], Field(min_length=1)],
    name: Name | None = None,
    workspace: DirectoryPath = Path(),
    timeout_seconds: Seconds = 7200,
) -> State[None]:
    """Run the pipeline with other parameters and publish each metric beside the workspace's.

    Args:
        overrides: Such as `softmax.dim=32`.
        name: Of the DVC experiment; the flow run's name if there is none.
        workspace: Directory of dvc.yaml.
        timeout_seconds: An experiment that takes longer is ended, and fails.
    """
    name = name or str(flow_run.name)
    log = get_run_logger().info
    with structured_log(workspace, str(flow_run.name)):
        try:
            check_overrides(overrides, workspace)
            differences = run_experiment(overrides, name, workspace, log=log, timeout=timeout_seconds)
        except BakeoffError as error:
            return Failed(message=str(error), data=error)
        except ChildError as error:
            return Failed(message=f"DVC {error.reason}", data=error)
    publish_experiment(difference_rows(differences), name)
    return Completed(message=f"Experiment {name}: `dvc exp show` lists it, `dvc exp apply {name}` takes it over.")


def main() -> None:
    """Read the command line; wrong overrides are refused before a server starts."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument(
        "--set",
        action="append",
        required=True,
        metavar="NAME=VALUE",
        dest="overrides",
        help="a parameter of params.yaml, such as softmax.dim=32; repeatable",
    )
    parser.add_argument("--name", help="of the experiment; by default one is made up")
    arguments = parser.parse_args()
    try:
        check_overrides(arguments.overrides, Path())
    except BakeoffError as error:
        sys.exit(f"error: {error}")
    with private_server():
        state = experiment(arguments.overrides, arguments.name, return_state=True)
    if not state.is_completed():
        sys.exit(f"error: the experiment failed: {state.result(raise_on_failure=False)}")
    print(state.message)


if __name__ == "__main__":
    main()
