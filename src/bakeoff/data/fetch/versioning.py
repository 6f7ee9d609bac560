"""What DVC knows of data/: the hash in data.dvc, and what its command line says."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from bakeoff.core.parameters import read_yaml
from bakeoff.core.subprocesses import read_output, succeeds

DVC = "dvc"
"""The command; tests give the path of one that starts at once."""

State = Literal["absent", "clean", "changed", "unversioned"]
"""data/ is not there; is what data.dvc records; is something else; or no data.dvc says what it should be."""


def is_versioned(root: Path) -> bool:
    """Whether the workspace is a DVC repository."""
    return (root / ".dvc").is_dir()


def is_recorded(root: Path) -> bool:
    """Whether data.dvc records any data."""
    record = root / "data.dvc"
    return record.exists() and "md5:" in record.read_text(encoding="utf-8")


def data_state(root: Path) -> State:
    """Compare data/ with data.dvc.

    Raises:
        BakeoffError: DVC cannot read its own files.
    """
    if not (root / "data").exists():
        return "absent"
    record = root / "data.dvc"
    if not is_versioned(root) or not record.exists():
        return "unversioned"
    status = json.loads(read_output([DVC, "status", "data.dvc", "--json"], root) or "{}")
    if not status:
        return "clean"
    if "not in cache" not in json.dumps(status):
        return "changed"
    # With an empty cache DVC does not say whether the files differ: adding them tells, and fills the cache.
    recorded = record.read_bytes()
    add_data(root)
    if record.read_bytes() == recorded:
        return "clean"
    record.write_bytes(recorded)
    return "changed"


def restore_data(root: Path, temporary: str) -> bool:
    """Bring back the recorded data/ from DVC's cache or remote, whole or not at all; whether one of them had it.

    Args:
        root: the workspace; it has no data/.
        temporary: name of a directory below it that is not there; data/ is made under it, then renamed.
    """
    if not is_versioned(root) or not is_recorded(root):
        return False
    # `dvc pull` would make the files one by one where they belong: cut off, it leaves half of them there. `dvc get`
    # alone would not fill the cache.
    succeeds(root, DVC, "--wait-for-lock", "fetch", "--quiet", "data.dvc")
    found = succeeds(root, DVC, "get", "--quiet", "--force", ".", "data", "--out", temporary)
    if not found or not (root / temporary).is_dir():
        return False
    (root / temporary).rename(root / "data")
    return True


def add_data(root: Path) -> None:
    """Record data/ in the cache and in data.dvc; data.dvc stays as it is if data/ is what it records.

    Raises:
        BakeoffError: DVC refuses.
    """
    read_output([DVC, "--wait-for-lock", "add", "--quiet", "data"], root)


def read_data_hash(data_dvc: str) -> str | None:
    """MD5 of data/ from the text of `data.dvc`; None if it holds none, as before the first fetch.

    Raises:
        BakeoffError: it is not YAML.
    """
    content = read_yaml(data_dvc.encode("utf-8", "replace"), "data.dvc")
    outs = content.get("outs") if isinstance(content, Mapping) else None
    hashes = [out["md5"] for out in outs if isinstance(out, Mapping) and "md5" in out] if isinstance(outs, list) else []
    return str(hashes[0]) if hashes else None
