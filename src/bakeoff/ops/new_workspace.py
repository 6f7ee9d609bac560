"""`bakeoff init`: a directory with data of a team, its DAG, and nothing of this project's code.

Its stages depend on `artifacts/version.json` instead of on code: what is installed, so that an upgrade runs them again.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from importlib.metadata import Distribution, distribution, entry_points, version
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import file_hash, replaced, write_text
from bakeoff.core.subprocesses import read_output
from bakeoff.core.workspace import Workspace
from bakeoff.models.base.specs import ENTRY_POINTS
from bakeoff.ops.git import ask, git

VERSION = "artifacts/version.json"
"""File that stages of a workspace without code depend on; the stage `version` writes it."""
FILES = Path(__file__).parent / "workspace_files"
DAG = FILES / "stages.yaml"
"""This project's dvc.yaml: a link, since DVC takes each file of that name for a part of the repository's DAG."""
TREE = FILES / "tree"
"""Files of every workspace at their places in it; a name that begins with `dot_` there begins with a dot."""


def create(directory: Path, values: Mapping[str, Any], fill: Callable[[Workspace], None]) -> None:
    """Make a workspace; all of it, or nothing.

    Args:
        directory: must not exist, or be empty.
        values: of params.yaml, those that differ from the defaults.
        fill: called with the workspace to bring data in, before it is at its place.

    Raises:
        BakeoffError: the directory holds something, Git or DVC fails, or `fill` does.
    """
    check_free(directory)
    with replaced(directory.resolve()) as new:  # `.` has no name
        is_within = ask(new, "rev-parse", "--is-inside-work-tree") is not None
        if not is_within:
            git(new, "init", "--quiet")
        elif ask(new, "check-ignore", "--quiet", ".dvc") is not None:  # DVC would refuse it
            raise BakeoffError(
                f"The Git repository around {directory} ignores {new.name}, where a workspace is made before it gets "
                f"its name: add the line `!{new.name}/` to the repository's .gitignore, or name a directory outside it."
            )
        read_output(["dvc", "init", "--quiet", *(["--subdir"] if is_within else [])], new)
        read_output(["dvc", "config", "core.analytics", "false"], new)
        for source in filter(Path.is_file, TREE.rglob("*")):
            place = source.relative_to(TREE).as_posix().replace("dot_", ".")
            write_text(new / place, source.read_text(encoding="utf-8").replace("@NAME@", directory.resolve().name))
        write_text(new / "requirements.txt", f"bakeoff=={version('bakeoff')}\n")
        write_text(new / "dvc.yaml", workspace_dag(DAG.read_text(encoding="utf-8")))
        write_text(new / "params.yaml", params_text(values))
        fill(Workspace(new))
        check_free(directory)  # still: nothing that came meanwhile is replaced


def check_free(directory: Path) -> None:
    """See that a workspace can be made there.

    Raises:
        BakeoffError: something is there.
    """
    if directory.is_symlink() or (directory.exists() and (not directory.is_dir() or any(directory.iterdir()))):
        raise BakeoffError(f"{directory} is there already and not an empty directory: name another one.")


def workspace_dag(text: str) -> str:
    """This project's dvc.yaml for a workspace without code: code dependencies give way to the installed version.

    Parts of a section of params.yaml give way to the whole, since DVC refuses a part that the file does not have.

    Args:
        text: of dvc.yaml in this project.
    """
    body = text[text.index("  validate:") :]
    body = re.sub(r"(?m)^( +)- src/bakeoff/.*\n(?:\1- src/bakeoff/.*\n)*", rf"\1- {VERSION}\n", body)
    body = re.sub(r"(?<![/\w])(evidence|evaluate)\.\w+", r"\1", body)
    body = re.sub(r"\{package: \w+, (.*?)\}", r"{\1}", body)
    body = body.replace("name → its package and what", "name → what")
    return (FILES / "dvc_header.yaml").read_text(encoding="utf-8") + re.sub(
        r"(params:\s+)\[(.*)\]", lambda found: f"{found[1]}[{_once(found[2])}]", body
    )


def _once(names: str) -> str:
    return ", ".join(dict.fromkeys(names.split(", ")))


def params_text(values: Mapping[str, Any]) -> str:
    """The text of params.yaml: values, and an empty section for each other that the DAG reads."""
    sections = re.findall(r"section: (\w+)", DAG.read_text(encoding="utf-8"))
    names = ("seed", "data", "validation", "split", *sections, "evaluate", "evidence", "warm_start")
    defaults: dict[str, Any] = {name: {} for name in names} | {"seed": 42}
    yaml = YAML(typ="safe", pure=True)  # writes `null`, where a round trip leaves the value empty
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.representer.sort_base_mapping_type_on_output = False
    stream = StringIO()
    yaml.dump(defaults | dict(values), stream)
    return (FILES / "params_header.yaml").read_text(encoding="utf-8") + stream.getvalue()


def write_version(workspace: Workspace) -> None:
    """Write what is installed, unless the file says so already."""
    path = workspace.root / VERSION
    text = json.dumps(installed(), indent=2, sort_keys=True) + "\n"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def refresh_version(workspace: Workspace) -> None:
    """Write what is installed before DVC is asked what is stale, where stages depend on it."""
    dag = workspace.root / "dvc.yaml"
    if dag.exists() and VERSION in dag.read_text(encoding="utf-8"):
        write_version(workspace)


def installed() -> dict[str, dict[str, str]]:
    """Version and SHA-256 of the code of this package, and of those that register models with it."""
    packages = [distribution("bakeoff"), *(point.dist for point in entry_points(group=ENTRY_POINTS) if point.dist)]
    return {each.name: {"version": each.version, "sha256": _code_hash(each)} for each in packages}


def _code_hash(package: Distribution) -> str:
    """SHA-256 of RECORD without what differs between environments; of the files themselves for an editable install."""
    lines = sorted((package.read_text("RECORD") or "").splitlines())
    code = [line for line in lines if not re.search(r"^\.\./|\.dist-info/|\.pyc,|^[^/]*\.pth,", line)]
    if package.name == "bakeoff" and not code:
        source = Path(__file__).parents[1]
        code = [f"{path.relative_to(source)},{file_hash(path, 'sha256')}" for path in sorted(source.rglob("*.py"))]
    return hashlib.sha256("\n".join(code).encode()).hexdigest()
