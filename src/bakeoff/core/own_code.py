"""The code that runs must be the code that DVC hashes, with the packages that its lock file pins."""

import filecmp
import sys
from importlib.metadata import distributions
from pathlib import Path

from bakeoff.core.errors import BakeoffError

REQUIREMENTS = "requirements.lock"
_MADE = {".pyc", ".nbi", ".nbc"}
"""Suffixes of files that Python and Numba write next to the code."""


def check_own_code(workspace: Path | str) -> None:
    """Refuse to run other code than that in the workspace's src/bakeoff; a workspace without code takes any.

    An editable install runs the code of the directory in which it was made, whatever the workspace holds, and DVC would
    record its results as those of the workspace's code. A copy with the same content is as good.

    The command line calls this, and so does each deployment before it loads a flow (`pull` in prefect.yaml).

    Args:
        workspace: Directory of dvc.yaml.

    Raises:
        BakeoffError: names both directories, a file that differs, and the fix.
    """
    own, running = Path(workspace).resolve() / "src/bakeoff", Path(__file__).resolve().parents[1]
    if not own.is_dir() or own == running:
        return
    ours, theirs = _files(own), _files(running)
    common = sorted(ours & theirs)
    _, differing, unread = filecmp.cmpfiles(own, running, common, shallow=False)
    if found := sorted([*(ours ^ theirs), *differing, *unread]):
        raise BakeoffError(
            f"The code that runs, {running}, is not that of this workspace, {own}: {found[0]} differs, so DVC would "
            f"record wrong results. Set PYTHONPATH={own.parent}, or run `uv pip install --python {sys.executable} -e "
            f"{own.parents[1]}`."
        )


def check_packages(workspace: Path) -> None:
    """Refuse to run with other packages than the workspace's requirements.lock pins; without a lock, any will do.

    Raises:
        BakeoffError: names some that differ, and the fix.
    """
    from packaging.requirements import Requirement  # not at each start of the command line

    lock = workspace / REQUIREMENTS
    if not lock.exists():
        return
    lines = [line.rstrip("\\ ") for line in lock.read_text(encoding="utf-8").splitlines() if line[:1].isalnum()]
    pins = [pin for pin in map(Requirement, lines) if pin.marker is None or pin.marker.evaluate()]
    wrong = [
        f"{pin.name} {version or 'missing'} instead of {pin.specifier}"
        for pin in pins
        for version in [next((each.version for each in distributions(name=pin.name)), None)]
        if version is None or not pin.specifier.contains(version, prereleases=True)
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise BakeoffError(
            f"The packages of {sys.prefix} are not those of {lock.resolve()}: {'; '.join(wrong[:3])}{more}. Where the "
            "worker runs: `git pull && make .venv/.ready` (in containers: build the image anew), start the worker "
            "again, then run again."
        )


def _files(folder: Path) -> set[str]:
    paths = (path for path in folder.rglob("*") if path.is_file() and path.suffix not in _MADE)
    return {path.relative_to(folder).as_posix() for path in paths}
