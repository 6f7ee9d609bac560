"""The flow of a what-if: other parameters as a DVC experiment, run in a private clone; the workspace stays as it is.

`dvc exp run --temp` does not leave it alone: to prepare its directory it stashes the workspace's changes, writes the
parameters into the workspace's params.yaml for a moment, and resets. A stage that starts in that moment reads the wrong
value, and after an interrupt the changes are in a stash.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from dvc.exceptions import InvalidArgumentError
from dvc.utils.hydra import apply_overrides
from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed
from pydantic import DirectoryPath, Field

from bakeoff.core.errors import BakeoffError
from bakeoff.core.parameters import read_yaml
from bakeoff.core.subprocesses import Log, read_output, run_child
from bakeoff.flows.dvc_stages import copy_settings
from bakeoff.flows.pipeline import Seconds, failed, run_command
from bakeoff.flows.publish import Row
from bakeoff.ops.git import git
from bakeoff.params import load_params, parse_params
from bakeoff.report.params import flat

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
MAX_OVERRIDE = 1_000
"""Characters of an override: Hydra's grammar takes its time over more, and Python reads no number of 5,000 digits."""

SET = "++"
"""Of Hydra's grammar: set it, whether the file has the name or not."""

_APPLIED = "Experiment results have been applied to your workspace."
"""DVC's line about the clone, which would mislead a reader of the log."""


def check_before_start(overrides: list[str]) -> list[str]:
    """Refuse wrong overrides of the command line before a server starts."""
    check_overrides(overrides, Path())
    return overrides


OPTION: Any = typer.Option("--set", metavar="NAME=VALUE", callback=check_before_start, help="Repeatable.")
Overrides = Annotated[list[str], Field(min_length=1), OPTION]


@flow
def experiment(
    overrides: Overrides,
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
        rows = run_experiment(overrides, name, workspace, log=get_run_logger().info, timeout=timeout_seconds)
    except BakeoffError as error:
        return failed(error)
    description = f"Experiment {name} compared with the workspace"
    create_table_artifact(rows, key="experiment", description=description)
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
    names = flat(load_params(path).model_dump(mode="json"))  # those too that the file leaves at their defaults
    for override in overrides:
        if "${" in override:  # OmegaConf would put the value of an environment variable there
            raise BakeoffError(f"{override!r} holds `${{`, which would be replaced: write the value itself.")
        if len(override) > MAX_OVERRIDE:
            raise BakeoffError(f"{override[:40]!r}… has more than {MAX_OVERRIDE:,} characters: edit params.yaml.")
        name, equals, _ = override.partition("=")
        if not equals:
            raise BakeoffError(f"{override!r} sets nothing: write NAME=VALUE, such as softmax.dim=32.")
        if not any(f"{known}.".startswith(f"{name}.") for known in names):  # a section has a value, too
            near = get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]}?" if near else "`bakeoff params` lists all."
            raise BakeoffError(f"params.yaml has no parameter {name}: {hint}")
    with TemporaryDirectory() as scratch:
        copy = Path(scratch, "params.yaml")
        shutil.copyfile(path, copy)
        try:
            apply_overrides(copy, [SET + override for override in overrides])
        except InvalidArgumentError as error:
            raise BakeoffError(f"{' '.join(overrides)} cannot be read: {error.__cause__}") from None
        parse_params(read_yaml(copy.read_bytes(), "params.yaml"), f"params.yaml with {' '.join(overrides)}")


def run_experiment(overrides: Sequence[str], name: str, workspace: Path, *, log: Log, timeout: float) -> list[Row]:
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
        A row for each metric: its value in the workspace and in the experiment, None where there is none, and the
        difference.

    Raises:
        BakeoffError: the name is taken, or there is no commit to start from.
        ChildError: DVC or a stage failed or took longer than `timeout`.
    """
    if git(workspace, "for-each-ref", f"refs/exps/*/*/{name}"):
        raise BakeoffError(f"An experiment {name} exists: choose another name or `dvc exp remove {name}`.")
    sets = [argument for override in overrides for argument in ("--set-param", SET + override)]
    with _clone(workspace) as clone:
        command = ["dvc", "exp", "run", *sets, f"--name={name}"]
        run_child(command, clone, log=lambda line: None if line == _APPLIED else log(line), timeout=timeout)
        read_output(["dvc", "--wait-for-lock", "exp", "pull", "--no-cache", str(clone), name], workspace)
    found = read_output(["dvc", "metrics", "diff", "--all", "--json", "workspace", name], workspace)
    return [
        {"metric": metric, "workspace": each.get("old"), "experiment": each.get("new"), "difference": each.get("diff")}
        for metrics in json.loads(found).values()
        for metric, each in sorted(metrics.items())  # DVC's order differs between two calls
    ]


_PLAIN = ["--binary", "--no-ext-diff", "--no-textconv", "--no-color", "--src-prefix=a/", "--dst-prefix=b/"]
"""Options with which `git diff` makes a patch that `git apply` takes, whatever the user's Git settings are."""


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
        git(workspace, "diff", "HEAD", *_PLAIN, f"--output={patch}")
        git(clone, "apply", "--allow-empty", str(patch))
        for key, fallback in (("user.name", "Bakeoff"), ("user.email", "bakeoff@localhost")):
            git(clone, "config", key, git(workspace, "config", "--default", fallback, key))
        copy_settings(workspace, clone, share_cache=True)
        read_output(["dvc", "checkout", "--quiet", "--allow-missing"], clone)
        yield clone


if __name__ == "__main__":
    run_command(experiment)
