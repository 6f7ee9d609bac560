"""The flow of a what-if: other parameters as a DVC experiment, run in a private clone; the workspace stays as it is.

`dvc exp run --temp` does not leave it alone: to prepare its directory it stashes the workspace's changes, writes the
parameters into the workspace's params.yaml for a moment, and resets. A stage that starts in that moment reads the wrong
value, and after an interrupt the changes are in a stash.
"""

import json
import shutil
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from dvc.exceptions import InvalidArgumentError
from dvc.utils.hydra import apply_overrides
from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed
from pydantic import DirectoryPath, Field

from bakeoff.core.errors import BakeoffError
from bakeoff.core.subprocesses import Log, read_output, run_child
from bakeoff.core.yaml_reader import read_yaml
from bakeoff.params import parse_params
from checkout import DVC, copy_settings, git
from pipeline import Seconds, failed, run_command
from publish import difference_rows

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Differences = dict[str, tuple[float | None, float | None]]
"""Each metric's value in the workspace and in the experiment; None where there is none."""
MAX_OVERRIDE = 1_000
"""Characters of an override: Hydra's grammar takes its time over more, and Python reads no number of 5,000 digits."""

_APPLIED = "Experiment results have been applied to your workspace."
"""DVC's line about the clone, which would mislead a reader of the log."""


@flow
def experiment(
    overrides: Annotated[list[str], Field(min_length=1)],
    name: Name | None = None,
    workspace: DirectoryPath = Path(),
    timeout_seconds: Seconds = 7200,
) -> State[None]:
    """Run the pipeline with other parameters and publish each metric next to the workspace's.

    Args:
        overrides: Such as `softmax.dim=32`.
        name: Of the DVC experiment; the flow run's name if there is none.
        workspace: Directory of dvc.yaml.
        timeout_seconds: An experiment that takes longer is ended, and fails.
    """
    name = name or str(flow_run.name)
    try:
        check_overrides(overrides, workspace)
        differences = run_experiment(overrides, name, workspace, log=get_run_logger().info, timeout=timeout_seconds)
    except BakeoffError as error:
        return failed(error)
    description = f"Experiment {name} compared with the workspace"
    create_table_artifact(difference_rows(differences), key="experiment", description=description)
    return Completed(message=f"Experiment {name}: `dvc exp show` lists it, `dvc exp apply {name}` takes it over.")


def check_overrides(overrides: Sequence[str], workspace: Path) -> None:
    """See that params.yaml with these overrides is still valid, as DVC would apply them.

    Args:
        overrides: Such as `softmax.dim=32`, in Hydra's grammar.
        workspace: Directory of params.yaml.

    Raises:
        BakeoffError: an override names no parameter, or gives it a value that it cannot have.
    """
    path = workspace / "params.yaml"
    if not path.exists():
        raise BakeoffError(f"{path} does not exist: run this in the project's directory.")
    values = read_yaml(path.read_bytes(), str(path))
    for override in overrides:
        if "${" in override:  # OmegaConf would put the value of an environment variable there
            raise BakeoffError(f"{override!r} holds `${{`, which would be replaced: write the value itself.")
        if len(override) > MAX_OVERRIDE:
            raise BakeoffError(f"{override[:40]!r}… has more than {MAX_OVERRIDE:,} characters: edit params.yaml.")
        name, equals, _ = override.partition("=")
        if not equals:
            raise BakeoffError(f"{override!r} sets nothing: write NAME=VALUE, such as softmax.dim=32.")
        _check_name(name, values)
    with TemporaryDirectory() as scratch:
        copy = Path(scratch, "params.yaml")
        shutil.copyfile(path, copy)
        try:
            apply_overrides(copy, list(overrides))
        except InvalidArgumentError as error:
            raise BakeoffError(f"{' '.join(overrides)} cannot be read: {error.__cause__}") from None
        parse_params(read_yaml(copy.read_bytes(), "params.yaml"), f"params.yaml with {' '.join(overrides)}")


def run_experiment(overrides: Sequence[str], name: str, workspace: Path, *, log: Log, timeout: float) -> Differences:
    """Run the workspace's pipeline, uncommitted changes to tracked files included, with other parameters.

    Stages that the parameters do not touch come from the cache, which is shared. Afterwards the experiment is
    one of the workspace's: `dvc exp show` lists it and `dvc exp apply NAME` takes it over.

    Args:
        overrides: Checked by `check_overrides`.
        name: Of the experiment; must be new.
        workspace: Directory of dvc.yaml, and root of a Git repository with at least one commit.
        log: Gets every line that DVC and the stages print.
        timeout: Seconds after which all of it is ended.

    Returns:
        Metrics that differ and metrics that do not.

    Raises:
        BakeoffError: the name is taken, or there is no commit to start from.
        ChildError: DVC or a stage failed or took longer than `timeout`.
    """
    if any(
        ref.endswith(f"/{name}") for ref in git(workspace, "for-each-ref", "--format=%(refname)", "refs/exps").split()
    ):
        raise BakeoffError(f"An experiment {name} exists: choose another name or `dvc exp remove {name}`.")
    sets = [argument for override in overrides for argument in ("--set-param", override)]
    with _clone(workspace) as clone:
        command = [*DVC, "exp", "run", *sets, f"--name={name}"]
        run_child(command, clone, log=lambda line: None if line == _APPLIED else log(line), timeout=timeout)
        read_output([*DVC, "--wait-for-lock", "exp", "pull", "--no-cache", str(clone), name], workspace)
    return parse_differences(read_output([*DVC, "metrics", "diff", "--all", "--json", name], workspace))


def parse_differences(text: str) -> Differences:
    """Read the output of `dvc metrics diff --all --json EXPERIMENT`: `old` is the experiment's value."""
    files: Mapping[str, Mapping[str, Mapping[str, float]]] = json.loads(text)
    return {
        metric: (values.get("new"), values.get("old"))
        for metrics in files.values()
        for metric, values in metrics.items()
    }


@contextmanager
def _clone(workspace: Path) -> Iterator[Path]:
    """A clone with the workspace's uncommitted changes, DVC settings and cache; removed afterwards."""
    if not git(workspace, "rev-list", "--max-count=1", "--all"):
        raise BakeoffError("An experiment starts from a commit and there is none: commit the project first.")
    scratch = workspace / ".dvc/tmp"  # ignored by Git, and on the cache's file system, so that links work
    scratch.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=scratch, prefix="what-if-") as directory:
        clone, patch = Path(directory, "clone").resolve(), Path(directory, "patch").resolve()
        git(workspace, "clone", "--quiet", "--local", ".", str(clone))
        git(workspace, "diff", "HEAD", "--binary", f"--output={patch}")
        git(clone, "apply", "--allow-empty", str(patch))
        for key, fallback in (("user.name", "Bakeoff"), ("user.email", "bakeoff@localhost")):
            git(clone, "config", key, git(workspace, "config", "--default", fallback, key))
        copy_settings(workspace, clone, share_cache=True)
        read_output([*DVC, "checkout", "--quiet", "--allow-missing"], clone)
        yield clone


def _check_name(name: str, values: object) -> None:
    """BakeoffError, with the nearest name, unless `name` leads to a parameter."""
    below = values
    for depth, part in enumerate(name.split(".")):
        if not isinstance(below, Mapping) or part not in below:
            siblings = [str(key) for key in below] if isinstance(below, Mapping) else []
            prefix = "".join(f"{above}." for above in name.split(".")[:depth])
            near = get_close_matches(part, siblings, n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"it has {', '.join(siblings) or 'nothing'} there."
            raise BakeoffError(f"params.yaml has no parameter {name}: {hint}")
        below = below[part]


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
    run_command(experiment, **vars(arguments))


if __name__ == "__main__":
    main()
