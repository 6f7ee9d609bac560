"""Damage in DVC's cache: found, and mended or taken out of the way.

DVC never reads again what its cache holds: it takes a file that is write-protected for what its name says, puts a
damaged one into the workspace, calls that up to date, and pushes it.
"""

import hashlib
import os
import re
import shutil
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ruamel.yaml import YAML

from child import ChildError, Log, read_output
from dvc_stages import DVC, only_run

DAMAGED = Path(".dvc/tmp/damaged")
"""Where damaged files of the cache are kept, for whoever wants to look at them."""

_OBJECT = re.compile(r"[0-9a-f]{2}/[0-9a-f]{30}(\.dir)?")


def mend_cache(workspace: Path, log: Log) -> list[str]:
    """Hash every file of DVC's cache again; afterwards, none of them is anything else than its name says.

    A damaged one is replaced by a whole copy in the workspace, if there is one. Otherwise it is taken out, and so is
    what DVC copied from it into the workspace: stages make their outputs again, and data that a .dvc file records come
    from the remote. Called by whoever holds `only_run`. Reads all of the cache once.

    Returns:
        the hashes of the damaged files.

    Raises:
        ChildError: data are damaged, and no remote has them.
    """
    cache = Path(workspace, read_output([*DVC, "cache", "dir"], workspace)) / "files/md5"
    damaged = dict(find_damaged(cache))
    if not damaged:
        return []
    outputs = [path for path in tracked_files(workspace) if path.is_file()]
    hashes = dict(zip(outputs, _hash_all(outputs), strict=True))
    (workspace / DAMAGED).mkdir(parents=True, exist_ok=True)
    gone: list[Path] = []
    for path, actual in damaged.items():
        oid = _oid(path)
        os.replace(path, workspace / DAMAGED / oid)
        copies = [copy for copy, found in hashes.items() if found == actual]  # what DVC made of it
        for copy in copies:
            copy.unlink()
        whole = next((copy for copy, found in hashes.items() if found == oid), None)
        if whole is None:
            gone += copies
            log(f"DVC's cache: {oid} was damaged and is now in {DAMAGED}; {_named(workspace, copies)} is gone with it.")
        else:
            for target in (path, *copies):
                _put(whole, target)
            path.chmod(0o444)  # as DVC protects what it holds
            log(f"DVC's cache: {oid} was damaged and is replaced by its copy, {_named(workspace, [whole])}.")
    _restore_data(workspace, gone, log)
    return [_oid(path) for path in damaged]


def find_damaged(cache: Path) -> Iterator[tuple[Path, str]]:
    """Files that are not what their names say, each with the hash that it really has."""
    objects = sorted(path for path in cache.glob("??/*") if _OBJECT.fullmatch(f"{path.parent.name}/{path.name}"))
    for path, actual in zip(objects, _hash_all(objects), strict=True):
        if actual != _oid(path).removesuffix(".dir"):
            yield path, actual


def tracked_files(workspace: Path) -> Iterator[Path]:
    """Files of the workspace that DVC keeps: outputs in dvc.lock files and in .dvc files."""
    yaml = YAML(typ="safe")
    for lock in [*workspace.glob("dvc.lock"), *workspace.glob("*/dvc.lock")]:
        for stage in (yaml.load(lock) or {}).get("stages", {}).values():
            for out in stage.get("outs", []):
                yield from _files(workspace / out["path"])
    for _, out in _data(workspace):
        yield from _files(out)


def _restore_data(workspace: Path, gone: Sequence[Path], log: Log) -> None:
    """Bring back data that no stage can make, where they are gone from the workspace or from the cache."""
    for record, out in _data(workspace):
        name = record.relative_to(workspace).as_posix()
        lost = any(path.is_relative_to(out) for path in gone)
        if not lost and "not in cache" not in read_output([*DVC, "status", "--json", name], workspace):
            continue
        try:
            read_output([*DVC, "--wait-for-lock", "pull", "--force", name], workspace)
        except ChildError as error:
            raise ChildError(
                f"{out.relative_to(workspace)} is damaged, and no remote has what {name} records. Bring the data again "
                f"(`bakeoff fetch --force`), or go back to a version that there is: `git log -- {name}`",
                error.tail,
            ) from None
        log(f"{out.relative_to(workspace)} was restored from the remote.")


def _data(workspace: Path) -> Iterator[tuple[Path, Path]]:
    """Each .dvc file with what it records."""
    yaml = YAML(typ="safe")
    for record in sorted([*workspace.glob("*.dvc"), *workspace.glob("*/*.dvc")]):
        if record.is_file():
            for out in (yaml.load(record) or {}).get("outs", []):
                yield record, record.parent / out["path"]


def _files(path: Path) -> list[Path]:
    return [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]


def _hash_all(paths: Sequence[Path]) -> list[str]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(_hash, paths))


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _oid(path: Path) -> str:
    return path.parent.name + path.name


def _named(workspace: Path, paths: Sequence[Path]) -> str:
    return ", ".join(path.relative_to(workspace).as_posix() for path in paths) or "nothing in the workspace"


def _put(whole: Path, path: Path) -> None:
    beside = path.with_name(f".{path.name}.part")
    shutil.copyfile(whole, beside)
    beside.replace(path)


def main() -> None:
    """Look through the cache of a workspace, and mend it."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path, default=Path(), help="directory of dvc.yaml (default: this one)")
    workspace = parser.parse_args().workspace
    try:
        with only_run(workspace, print):
            damaged = mend_cache(workspace, print)
    except ChildError as error:
        sys.exit(f"error: {error}")
    print(f"Damaged files in DVC's cache: {len(damaged) or 'none'}.")


if __name__ == "__main__":
    main()
