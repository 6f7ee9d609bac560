"""What a version consists of: small files in Git; and its models, in DVC's cache or its remote."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from bakeoff.core.errors import BakeoffError, first_line, reading
from bakeoff.core.files import file_hash, full_disk, replaced, write_json
from bakeoff.core.subprocesses import read_output
from bakeoff.core.workspace import Workspace
from bakeoff.data.fetch.versioning import read_data_hash
from bakeoff.models.base import specs
from bakeoff.ops.git import ask
from bakeoff.ops.registry.history import Event, Version, production, read_events, way_back

LOCK = "dvc.lock"

Part = Literal["saved_model", "trained"]
"""Directory of a model: what `export` writes, or what training does."""


def text_at(root: Path, commit: str | None, path: str) -> str | None:
    """A file as a commit has it or, without one, as the workspace does; None where there is none.

    What is not UTF-8 comes as U+FFFD.
    """
    if commit is not None:
        text = ask(root, "show", f"{commit}:./{path}")
        return None if text is None else os.fsencode(text).decode("utf-8", "replace")
    return (root / path).read_text(encoding="utf-8", errors="replace") if (root / path).exists() else None


def json_at(root: Path, commit: str | None, path: str) -> Mapping[str, Any]:
    """The same, read as a JSON object; empty where there is none, or it can't be read."""
    try:
        found: Mapping[str, Any] = json.loads(text_at(root, commit, path) or "{}")
    except ValueError:
        return {}
    return found


def model_md5(root: Path, commit: str | None, model: str, part: Part = "saved_model") -> str | None:
    """MD5 of a part of a model, as the dvc.lock of a commit, or of the workspace, has it; None where it has none.

    Raises:
        BakeoffError: it is no dvc.lock.
    """
    outs = (out for stage in _stages(root, commit).values() for out in stage.get("outs", []))
    return next((out["md5"] for out in outs if out["path"] == f"models/{model}/{part}" and out.get("md5")), None)


def data_at(root: Path, commit: str | None) -> tuple[str | None, int | None]:
    """MD5 of the data of a commit, or of the workspace, and its number of interactions; None where it does not say.

    A commit does not say how many there are where other data were compared last.
    """
    data = read_data_hash(text_at(root, commit, "data.dvc") or "")
    deps = _stages(root, commit).get("compare", {}).get("deps", []) if commit else []
    is_current = all(dep.get("md5") == data for dep in deps if dep["path"] == "data")
    report = "reports/validation.json" if commit else Workspace().validation_report.as_posix()
    rows = json_at(root, commit, report).get("tables", {}).get("interactions", {}).get("rows")
    return data, rows if is_current else None


def taken_back(root: Path, events: Sequence[Event], model: str, md5: str | None) -> str | None:
    """The version with these bytes that a rollback took out of production, where nobody has put it back since."""
    left = [version for version in way_back(events)[1] if version.model == model]
    return next((version.name for version in reversed(left) if model_md5(root, version.commit, model) == md5), None)


def directory_md5(folder: Path) -> str:
    """What DVC records for a directory: MD5 of the list of its files, each with its own."""
    files = sorted((file.relative_to(folder).as_posix(), file) for file in folder.rglob("*") if file.is_file())
    entries = [{"md5": file_hash(file, "md5"), "relpath": name} for name, file in files]
    return f"{hashlib.md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest()}.dir"


@contextmanager
def dvc_files(root: Path, commit: str | None, path: str, whose: str) -> Iterator[Any]:
    """The DVCFileSystem of a commit, whose files come from DVC's cache or else its remote; None: of the workspace.

    Args:
        root: of the project.
        commit: any revision.
        path: of what is read, for the message.
        whose: files these are, likewise.

    Raises:
        BakeoffError: a file that the block asks for is in neither.
    """
    from dvc.api import DVCFileSystem  # takes a second to load
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexDirError

    try:
        yield DVCFileSystem(str(root), rev=commit)
    except (DvcException, DataIndexDirError, OSError) as error:
        if full := full_disk(error, Path(gettempdir())):
            raise full from None
        raise BakeoffError(
            f"{path} of {whose} is in neither DVC's cache nor its remote: {first_line(error)}. `dvc fetch --all-tags "
            f"{path}` brings it where the remote has it; where it has not, run `dvc push --all-tags {path}` on the "
            "machine that made it. `dvc remote list` shows the remote."
        ) from None


@contextmanager
def fetched(root: Path, version: Version, part: Part = "saved_model") -> Iterator[Path]:
    """The export of a version, or what training wrote, from DVC's cache or else its remote, for as long as the block.

    Raises:
        BakeoffError: the version has no such model, or its files are in neither.
    """
    path, md5 = f"models/{version.model}/{part}", model_md5(root, version.commit, version.model, part)
    if md5 is None:
        raise BakeoffError(f"{version.name} ({version.commit[:7]}) records no models/{version.model} in its {LOCK}.")
    with TemporaryDirectory(prefix="bakeoff-version-") as folder:
        into = Path(folder, version.model, part)
        into.parent.mkdir()
        with dvc_files(root, version.commit, path, f"{version.name} (commit {version.commit[:7]})") as stored:
            stored.get(path, str(into), recursive=True)
        if directory_md5(into) != md5:
            raise BakeoffError(
                f"{path} of {version.name} (commit {version.commit[:7]}) is damaged: it is not what {LOCK} records. "
                f"Remove the files of DVC's cache (`dvc cache dir`) whose MD5 is not their name, then `dvc fetch "
                f"--all-tags {path}`."
            )
        yield into


def copy_parents(workspace: Workspace) -> None:
    """Copy what each model of the version in production left to `parents/`, have DVC keep it, and write parents.json.

    A model that the version did not keep a start of is fitted in full; so are all where nothing is in production, or
    where it was made before somebody was forgotten.

    Raises:
        BakeoffError: the version's files are in neither DVC's cache nor its remote, or DVC refuses.
    """
    standing = production(read_events(workspace.root))
    if standing is None:
        drop_parents(workspace)
        print("All models are fitted in full: nothing is in production.")
        return
    version, found = standing.version, dict[str, dict[str, str]]()
    if later := removals(workspace.root) - removals(workspace.root, version.commit):
        drop_parents(workspace)
        print(
            f"All models are fitted in full: {version.name} was made before `bakeoff forget` removed somebody from "
            f"data/ ({min(later)}), and may have learned from them."
        )
        return
    whose = f"{version.name}, from which training starts unless warm_start.mode is off,"
    with replaced(workspace.parents) as folder:
        for name in [name for name, spec in specs.specs().items() if spec.starts_warm]:
            source, copy = Workspace().start(name).as_posix(), folder / f"{name}.npz"
            with dvc_files(workspace.root, version.commit, source, whose) as stored:
                if stored.exists(source):
                    stored.get_file(source, str(copy))
                    md5 = file_hash(copy, "md5")
                    found[name] = {"version": version.name, "commit": version.commit, "md5": md5}
    if found:
        read_output(["dvc", "--wait-for-lock", "add", "--quiet", workspace.parents.name], workspace.root)
    write_json(workspace.parents_record, found)
    print(f"Training starts from {version.name}: {', '.join(found) or 'no model, all are fitted in full'}.")


def drop_parents(workspace: Workspace) -> None:
    """Have all models fitted in full, and keep no copy of what they started from but in DVC's cache."""
    write_json(workspace.parents_record, {})
    (workspace.root / f"{workspace.parents.name}.dvc").unlink(missing_ok=True)
    if workspace.parents.exists():
        shutil.rmtree(workspace.parents)


def removals(root: Path, commit: str | None = None) -> frozenset[str]:
    """When somebody was removed from data/, in UTC, as far as a commit, or the workspace, knows.

    Raises:
        BakeoffError: forgotten.json is damaged.
    """
    path = Workspace().forgotten.name
    with reading(
        path, "take it from Git; where branches differ, keep the lines of both", ValueError, LookupError, TypeError
    ):
        text = text_at(root, commit, path)
        return frozenset() if text is None else frozenset(map(str, json.loads(text)["removals"]))


def _stages(root: Path, commit: str | None) -> Mapping[str, Mapping[str, Any]]:
    lock = text_at(root, commit, LOCK)
    with reading(LOCK, "take it from Git", YAMLError, AttributeError):
        stages: Mapping[str, Mapping[str, Any]] = (YAML(typ="safe").load(lock or "{}") or {}).get("stages", {})
    return stages
