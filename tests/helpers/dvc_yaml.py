"""The stages of a dvc.yaml as DVC resolves them: each entry of `foreach` by itself."""

from collections.abc import Iterator
from pathlib import Path

from dvc.dependency import ParamsDependency
from dvc.repo import Repo


def stages_of(root: Path, file: str) -> Iterator[tuple[str, str, list[str], list[str]]]:
    """Name, such as `train@mf`, command, dependencies and outputs of each stage; paths as the file has them.

    Args:
        root: of the DVC repository.
        file: its dvc.yaml, or one in a directory below.
    """
    with Repo(str(root)) as repo:
        for stage in repo.index.stages:
            if stage.path_in_repo == file:
                deps = [dep.def_path for dep in stage.deps if not isinstance(dep, ParamsDependency)]
                yield stage.name, stage.cmd, deps, [out.def_path for out in stage.outs]
