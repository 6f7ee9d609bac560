"""Where every file of a workspace is (the paths of `dvc.yaml`), and whether its own code and packages run."""

import filecmp
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from bakeoff.core.errors import BakeoffError

REQUIREMENTS = "requirements.lock"
_MADE = {".pyc", ".nbi", ".nbc"}
"""Suffixes of files that Python and Numba write next to the code."""


class _Below:
    """An attribute that is a path below the root of its workspace."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __get__(self, workspace: "Workspace", _: type) -> Path:
        return workspace.root / self._path


@dataclass(frozen=True)
class Workspace:
    """Paths below the project's root. Only code in `stages` opens them."""

    root: Path = Path()

    params = _Below("params.yaml")
    """All knobs."""
    run_lock = _Below(".dvc/tmp/pipeline.lock")
    """Held, as by flock(1), while a run is at work."""
    data = _Below("data")
    """Canonical raw tables: interactions.csv, users.csv, items.csv. Belongs to `data.dvc`."""
    validated = _Below("artifacts/validated")
    """Rows that passed, as interactions.parquet, users.parquet, items.parquet."""
    quarantine = _Below("artifacts/quarantine")
    """Rows that did not pass, each with its reason; the same three names."""
    checks = _Below("artifacts/checks")
    """What stages found about their results, bad ones too; `compare` publishes it in reports."""
    validation_report = _Below("artifacts/checks/validation.json")
    """The verdict on the raw tables."""
    split_report = _Below("artifacts/checks/split.json")
    """What the split promises, and whether it is so."""
    split = _Below("artifacts/split")
    """train, valid, test and new_users.parquet; vocabulary/ with users, items and features.json."""
    vocabulary = _Below("artifacts/split/vocabulary")
    """users.parquet, items.parquet (index, id, features) and features.json (how features are encoded)."""
    parents = _Below("parents")
    """Models that training starts from, `<model>.npz`, as `bakeoff parents` copied them. Belongs to `parents.dvc`."""
    parents_record = _Below("parents.json")
    """Version, commit and MD5 of each of them."""
    forgotten = _Below("forgotten.json")
    """When `bakeoff forget` removed somebody from data/: no training starts from a model of a commit that lacks one."""
    planted = _Below("artifacts/planted")
    """Folding on planted groups: planted.json, items.parquet."""
    rerank = _Below("artifacts/rerank")
    """Candidates of MF ranked again by the softmax DNN: rerank.json, users.parquet."""
    study = _Below("studies")
    """Figures of the negative-sampling study; kept in Git."""
    reports = _Below("reports")
    """What people read."""
    drift = _Below("reports/drift")
    """How the data differ from those of the version in production: drift.json, drift.html."""
    decision = _Below("reports/decision")
    """Whether the challenger goes into production, and why: decision.json, decision.md, decision.html."""

    def model(self, name: str) -> Path:
        """Directory of one model: `trained` and `saved_model`."""
        return self.root / "models" / name

    def trained(self, name: str) -> Path:
        """Arrays and weights of a model, its catalogue and the users that it was trained on."""
        return self.model(name) / "trained"

    def start(self, name: str) -> Path:
        """What the next training of a model can start from; only with `warm_start.mode: auto`."""
        return self.trained(name) / "start.npz"

    def saved_model(self, name: str) -> Path:
        """The TensorFlow graph of a model, which `export` writes."""
        return self.model(name) / "saved_model"

    def training(self, name: str) -> Path:
        """How a model was trained: curves, chosen epoch, settings; or why it was skipped."""
        return self.root / "artifacts/training" / f"{name}.json"

    def evaluation(self, name: str) -> Path:
        """Lists and per-user metrics of one retriever."""
        return self.root / "artifacts/evaluation" / name

    def variants(self, group: str) -> Path:
        """A group of variants, contenders with some settings changed: variants.json, users and new_users.parquet."""
        return self.root / "artifacts/variants" / group

    def items(self, name: str) -> Path:
        """Nearest items and the map of one retriever's item embeddings."""
        return self.root / "artifacts/items" / name

    def tuning(self, name: str) -> Path:
        """Record of the search for a model's settings; kept in Git, pinned by DVC."""
        return self.root / "tuning" / f"{name}.json"

    def cost(self, stage: str) -> Path:
        """Measured cost of a stage such as `growth` or `train/mf`: its only file that differs from run to run."""
        return self.root / "artifacts/cost" / f"{stage}.json"


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
    lock = workspace / REQUIREMENTS
    if not lock.exists():
        return
    lines = [line.rstrip("\\ ") for line in lock.read_text(encoding="utf-8").splitlines() if line[:1].isalnum()]
    if wrong := wrong_packages(lines):
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise BakeoffError(
            f"The packages of {sys.prefix} are not those of {lock.resolve()}: {'; '.join(wrong[:3])}{more}. Where the "
            "worker runs: `git pull && make .venv/.ready` (in containers: build the image anew), start the worker "
            "again, then run again."
        )


def wrong_packages(requirements: Iterable[str]) -> list[str]:
    """Packages that are not installed as these lines require, each with its version and what it must be."""
    from packaging.requirements import Requirement  # not at each start of the command line

    pins = [pin for pin in map(Requirement, requirements) if pin.marker is None or pin.marker.evaluate({"extra": ""})]
    return [
        f"{pin.name} {version or 'missing'} instead of {pin.specifier}"
        for pin in pins
        for version in [next((each.version for each in distributions(name=pin.name)), None)]
        if version is None or not pin.specifier.contains(version, prereleases=True)
    ]


def _files(folder: Path) -> set[str]:
    found = (Path(directory, name) for directory, _, names in os.walk(folder, followlinks=True) for name in names)
    return {path.relative_to(folder).as_posix() for path in found if path.suffix not in _MADE}
