"""Damage in DVC's cache or at its remote: what DVC makes of it, and that a night finds and repairs it."""

import hashlib
import shutil
from pathlib import Path

import pytest
from tiny_project import STAGES, dvc, new_project

from bakeoff.flows.dvc_stages import only_run, run_stage
from bakeoff.flows.nightly_clone import restore

FETCHED = STAGES.replace("deps: [raw, slow.py]", "deps: [data, slow.py]").replace("slow.py raw", "slow.py data/raw")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data that `data.dvc` records, and two stages that ran on them."""
    root = new_project(tmp_path_factory.mktemp("done") / "project", FETCHED, commit=False)
    (root / "data").mkdir()
    (root / "raw").rename(root / "data/raw")
    dvc("add", "--quiet", "data", cwd=root)
    (root / "slow.py").write_text((root / "slow.py").read_text() + "    file.write(target)")  # all differ
    dvc("repro", cwd=root)
    return root


def damage(path: Path) -> None:
    """Flip bits where they lie, as a disk does: the file keeps its size and its mode."""
    mode = path.stat().st_mode
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    path.chmod(mode)


def in_cache(project: Path, name: str) -> Path:
    """Where the cache holds what a file of the workspace holds."""
    content = (project / name).read_bytes()
    return next(path for path in objects(project) if path.read_bytes() == content)


def objects(project: Path) -> list[Path]:
    return sorted(path for path in (project / ".dvc/cache/files/md5").rglob("*") if path.is_file())


def repair(project: Path) -> list[str]:
    said: list[str] = []
    restore(project, said.append, 60)
    assert all(md5(path) == path.parent.name + path.stem for path in objects(project))
    return said


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def test_a_whole_cache_is_left_alone(project: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in objects(project)}
    assert repair(project) == ["Everything is up to date."]  # DVC's own line
    assert {path: path.stat().st_mtime_ns for path in objects(project)} == before


def test_a_damaged_object_is_replaced_by_its_whole_copy_in_the_clone(project: Path) -> None:
    whole, path = (project / "first").read_bytes(), in_cache(project, "first")
    damage(path)
    said = repair(project)
    assert said[0] == f"DVC's cache: {path.parent.name}{path.name} was damaged; replaced by a whole copy."
    assert path.read_bytes() == (project / "first").read_bytes() == whole
    assert "up to date" in dvc("status", cwd=project)


def test_what_dvc_took_from_a_damaged_object_for_whole_is_made_again(project: Path) -> None:
    whole, path = (project / "first").read_bytes(), in_cache(project, "first")
    damage(path)
    (project / "first").unlink()
    dvc("checkout", cwd=project)
    assert (project / "first").read_bytes() != whole
    assert "up to date" in dvc("status", cwd=project)  # which is what DVC alone says

    assert repair(project)[0] == f"DVC's cache: {path.parent.name}{path.name} was damaged; removed."
    with only_run(project, print):
        run_stage("first", project, log=print, timeout=60)
    assert (project / "first").read_bytes() == whole
    assert "up to date" in dvc("status", cwd=project)


def test_damaged_data_come_back_from_the_remote(project: Path) -> None:
    dvc("push", cwd=project)
    whole = (project / "data/raw").read_bytes()
    damage(in_cache(project, "data/raw"))
    shutil.rmtree(project / "data")
    dvc("checkout", cwd=project)
    assert (project / "data/raw").read_bytes() != whole
    repair(project)
    assert (project / "data/raw").read_bytes() == whole
    assert "up to date" in dvc("status", cwd=project)


def test_a_damaged_file_at_a_remote_that_is_verified_is_not_taken(project: Path) -> None:
    remote = project.parent / "remote"
    dvc("push", cwd=project)
    path = in_cache(project, "first")
    damage(remote / "files/md5" / path.parent.name / path.name)
    path.unlink()
    (project / "first").unlink()
    with pytest.raises(AssertionError, match="Checkout failed for following targets:\nfirst"):
        dvc("pull", "first", cwd=project)
    assert not (project / "first").exists()
    assert not path.exists()
