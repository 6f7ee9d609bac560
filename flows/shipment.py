"""What a stage needs on another machine, and how it gets there: the revision by Git, its inputs by DVC's remote."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path, PurePosixPath
from threading import Event
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from ruamel.yaml import YAML

from bakeoff.core.errors import BakeoffError
from bakeoff.ops.registry.git import ask, head, order
from child import ChildError, Log, run_child
from deliver import REMOTE, RESULTS
from dvc_stages import DVC

MAX_BYTES = 400_000
"""Of the files that travel with the request itself: Prefect's server takes parameters of 512 KiB."""
GIT_SECONDS = 600.0
"""After which a remote of Git that does not answer is given up."""

_NOT_KEPT = "DVC's run cache, by which results come back, does not take a stage "
_FIX = "Take it out of `placement` in params.yaml: it runs here then"


@dataclass(frozen=True)
class Parts:
    """The inputs of a stage; paths from the workspace's root.

    Attributes:
        inputs: all of them.
        kept: outputs of other stages, or data, that DVC's cache has: they go through DVC's remote.
        loose: outputs of other stages that it has not (`cache: false`): they travel with the request.
        records: .dvc files that record data among the inputs.
        upstream: stages that make the inputs.
    """

    inputs: tuple[str, ...]
    kept: tuple[str, ...]
    loose: tuple[str, ...]
    records: tuple[str, ...]
    upstream: tuple[str, ...]


@dataclass(frozen=True)
class Shipment:
    """What a worker is told: where the revision lies, and files that are not in it."""

    repository: str
    ref: str
    revision: str
    files: Mapping[str, str]


def read_parts(workspace: Path, stages: Iterable[str]) -> dict[str, Parts]:
    """The inputs of stages of the root's dvc.yaml.

    Raises:
        ChildError: there is no remote that another machine could use, or a stage is none whose results DVC would find.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo  # takes a second to load

    try:
        with Repo(str(workspace)) as repo:
            _check_remote(repo.config)
            root = Path(repo.root_dir)
            known = {_name(stage): stage for stage in repo.index.stages}
            made = [(name, out) for name, stage in known.items() for out in stage.outs]
            return {name: _parts(name, known[name], made, root) for name in stages}
    except DvcException as error:
        raise ChildError(f"DVC can't read {workspace.resolve()}: {error}") from None


@contextmanager
def shipped(
    workspace: Path, repository: str, parts: Parts, *, log: Log, timeout: float, stop: Event
) -> Iterator[Shipment]:
    """Send what the stage needs, and take the revision's reference out of the Git remote again afterwards.

    The reference is no branch and no tag, so nobody sees it, and it is this stage's and run's own, so that runs at the
    same time do not meet. Called by whoever holds `only_run`.

    Raises:
        ChildError: a clone would not be this workspace, or a remote can't be reached.
    """
    try:
        revision = head(workspace)
        check_tree(workspace, parts)
        files = read_files(workspace, parts)
    except BakeoffError as error:
        raise ChildError(str(error)) from None
    ref = f"refs/bakeoff/placed/{uuid4()}"
    limits: dict[str, Any] = {"log": log, "timeout": timeout, "stop": stop}
    if parts.kept:
        try:
            run_child([*DVC, "--wait-for-lock", "push", *parts.kept], workspace, **limits)
        except ChildError as error:
            raise explained(error, "can't be placed: the inputs could not be sent to DVC's remote") from None
    _push(workspace, repository, f"{revision}:{ref}", stop)
    try:
        yield Shipment(repository, ref, revision, files)
    finally:
        with suppress(ChildError):
            _push(workspace, repository, f":{ref}", Event())


def check_tree(workspace: Path, parts: Parts) -> None:
    """Refuse what a clone of the revision would lack, but for results, which are sent or do not matter.

    Raises:
        ChildError: names such files.
    """
    entries = order(workspace, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=normal").split("\0")
    sent = (*parts.kept, *parts.loose, *parts.records)
    lacking = []
    for entry in filter(None, entries):
        kind, path = entry[:2], entry[3:].rstrip("/")
        if _touches(path, sent) or path.endswith(".dvc"):  # other data than the inputs
            continue
        work = kind != "??" and PurePosixPath(path).parts[0] not in RESULTS
        if work or _touches(path, parts.inputs):
            lacking.append(path)
    if lacking:
        raise ChildError(
            f"can't be placed: its worker would not see what is not committed ({', '.join(lacking[:5])}), since it "
            "takes the revision from Git. Commit it, or `git stash` it, and run again"
        )


def read_files(workspace: Path, parts: Parts) -> dict[str, str]:
    """Files that the revision lacks or has in an older state: what DVC knows of the inputs, and loose ones.

    Returns:
        texts by path. dvc.lock has the stages right before this one alone: all of it would be 200 KB.

    Raises:
        ChildError: a loose input is no text, or they are too large.
    """
    files = {"dvc.lock": _lock(workspace / "dvc.lock", parts.upstream)}
    for name in (*parts.records, *parts.loose):
        for path in _below(workspace / name):
            try:
                files[path.relative_to(workspace).as_posix()] = path.read_text(encoding="utf-8")
            except (UnicodeDecodeError, OSError) as error:
                raise ChildError(
                    f"can't be placed: {name}, an input that is not in DVC's cache, can't be sent ({error})"
                ) from None
    size = sum(len(text.encode()) for text in files.values())
    if size > MAX_BYTES:
        raise ChildError(
            f"can't be placed: inputs that are not in DVC's cache ({', '.join(parts.loose)}) have {size:,} bytes, more "
            f"than the {MAX_BYTES:,} that can be sent. Let DVC's cache have them (without `cache: false`). {_FIX}"
        )
    return files


def repository_url(workspace: Path, setting: str | None) -> str:
    """Where workers fetch from, as they can use it.

    Raises:
        ChildError: there is no such remote, or it holds a password, which Prefect would show.
    """
    url = setting or (ask(workspace, "remote", "get-url", REMOTE) or "").strip()
    if not url:
        raise ChildError(
            f"{workspace.resolve()} has no Git remote `{REMOTE}` that workers could fetch from: add one, or set "
            "placed.git_remote in params.yaml"
        )
    if "://" in url:
        parts = urlsplit(url)
        if parts.password or (parts.username and parts.scheme in ("http", "https")):
            raise ChildError(
                f"the URL of `{REMOTE}` holds a password, and what workers are told can be read in Prefect: set "
                "placed.git_remote in params.yaml to the URL without it; workers use their own"
            )
        return url
    is_remote = ":" in url.partition("/")[0]  # user@host:path
    return url if is_remote else str((workspace / url).resolve())


def explained(error: ChildError, what: str) -> ChildError:
    """A failure of a transfer, with what to do."""
    if error.reason == "was stopped":
        return error
    return ChildError(
        f"{what}: `dvc remote list` says where that is, the last lines what is wrong with it. Mend it and run again: "
        "stages that are done are not repeated",
        error.tail,
        error.status,
    )


def _push(workspace: Path, repository: str, what: str, stop: Event) -> None:
    # Nobody is there to be asked for a password.
    command = ["env", "GIT_TERMINAL_PROMPT=0", "git", "push", "--quiet", "--no-verify", "--", repository, what]
    said: list[str] = []
    try:
        run_child(command, workspace, log=said.append, timeout=GIT_SECONDS, stop=stop)
    except ChildError as error:
        if error.reason == "was stopped":
            raise
        raise ChildError(
            f"can't be placed: the revision could not be sent to {repository}, from where a worker fetches it: see "
            "that it can be reached and that `git push` to it is allowed, and run again: stages that are done are not "
            "repeated",
            error.tail,
        ) from None


def _check_remote(config: Mapping[str, Any]) -> None:
    from dvc.config_schema import RelPath

    name = config.get("core", {}).get("remote")
    url = config.get("remote", {}).get(name, {}).get("url")
    if not url:
        raise ChildError(
            "`placement` needs a DVC remote, by which inputs and results travel, and there is none: "
            "`dvc remote add --default store ssh://USER@HOST/PATH`, and commit .dvc/config"
        )
    if isinstance(url, RelPath):
        raise ChildError(
            f"DVC's remote {name!r} is a relative path, which is another place on a worker: `placement` needs one that "
            "all machines reach, `dvc remote add --default store ssh://USER@HOST/PATH` or the absolute path of a "
            "shared disk; commit .dvc/config"
        )


def _name(stage: Any) -> str:
    """As in the DAG: stages of the root's dvc.yaml by their names, data by the names of their .dvc files."""
    path, name = str(stage.path_in_repo), getattr(stage, "name", None)
    return path if name is None else str(name) if path == "dvc.yaml" else f"{path}:{name}"


def _parts(name: str, stage: Any, made: list[tuple[str, Any]], root: Path) -> Parts:
    if reason := _not_placeable(stage):
        raise ChildError(f"{name} can't be placed. {_NOT_KEPT}{reason}. {_FIX}")
    inputs = tuple(sorted({_relative(dep, root) for dep in stage.deps}))
    owners = [(owner, out, _relative(out, root)) for owner, out in made if _touches(_relative(out, root), inputs)]
    loose = {path for _, out, path in owners if not out.use_cache}
    return Parts(
        inputs=inputs,
        kept=tuple(sorted({path for _, _, path in owners} - loose)),
        loose=tuple(sorted(loose)),
        records=tuple(sorted({owner for owner, _, _ in owners if owner.endswith(".dvc")})),
        upstream=tuple(sorted({owner for owner, _, _ in owners if not owner.endswith(".dvc")})),
    )


def _not_placeable(stage: Any) -> str | None:
    """Why DVC's run cache would not take what such a stage gives."""
    if stage.frozen:
        return "that is frozen"
    if stage.always_changed or not stage.deps or not stage.outs:
        return "that always runs, or has no deps or no outs"
    loose = [str(out) for out in stage.outs if not out.use_cache]
    if loose:
        return f"with outputs for Git ({', '.join(loose)}: `cache: false`), written where the repository is"
    lasting = [str(out) for out in stage.outs if out.persist]
    if lasting:
        return f"that goes on from its earlier outputs ({', '.join(lasting)}: `persist: true`)"
    outside = [str(each) for each in (*stage.deps, *stage.outs) if each.protocol != "local" or not each.is_in_repo]
    return f"with files outside of the workspace ({', '.join(outside)})" if outside else None


def _relative(entry: Any, root: Path) -> str:
    return Path(entry.fs_path).relative_to(root).as_posix()


def _touches(path: str, others: Iterable[str]) -> bool:
    """Whether a path is one of these, lies below one, or has one below it."""
    mine = PurePosixPath(path)
    return any(mine.is_relative_to(other) or PurePosixPath(other).is_relative_to(mine) for other in others)


def _below(path: Path) -> list[Path]:
    return sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]


def _lock(path: Path, stages: tuple[str, ...]) -> str:
    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    known = yaml.load(path)["stages"] if path.exists() else {}
    text = StringIO()
    yaml.dump({"schema": "2.0", "stages": {name: known[name] for name in stages if name in known}}, text)
    return text.getvalue()
