"""Git is killed in the middle of a night's commit: nothing half is committed, and the next night goes on."""

from pathlib import Path

import pytest
from tiny_project import git, new_project

from bakeoff.core.subprocesses import ChildError
from bakeoff.flows.nightly_clone import check_nightly, commit

IN_THE_COMMIT = "kill -9 $PPID"
IN_THE_REFERENCES = '[ "$1" = prepared ] && kill -9 $PPID; exit 0'


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What a night works in, with results that are not committed yet."""
    root = new_project(tmp_path / "project")
    git("init", "--quiet", "--bare", str(tmp_path / "remote.git"), cwd=root)
    git("remote", "add", "origin", str(tmp_path / "remote.git"), cwd=root)
    git("push", "--quiet", "--set-upstream", "origin", "HEAD", cwd=root)  # as in every clone
    (root / ".dvc/tmp").mkdir()
    check_nightly(root, print)
    (root / "data.dvc").write_text("outs: []\n")
    return root


def hook(clone: Path, name: str, script: str) -> Path:
    path = clone / ".git/hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("name", "script", "lock"),
    [
        ("pre-commit", IN_THE_COMMIT, None),
        ("reference-transaction", IN_THE_REFERENCES, ".git/HEAD.lock"),
    ],
)
def test_a_commit_that_was_killed_is_repeated_by_the_next_night(
    clone: Path, name: str, script: str, lock: str | None
) -> None:
    head = git("rev-parse", "HEAD", cwd=clone)
    deadly = hook(clone, name, script)
    with pytest.raises(ChildError):
        commit(clone, "results", "run")
    deadly.unlink()
    assert git("rev-parse", "HEAD", cwd=clone) == head  # never half a commit
    if lock is not None:
        with pytest.raises(ChildError, match="File exists"):
            commit(clone, "results", "run")
    said: list[str] = []
    check_nightly(clone, said.append)
    assert lock is None or f"A Git command was killed: its lock {lock} is removed." in said
    assert commit(clone, "results", "run") is not None
    git("fsck", "--strict", cwd=clone)
    assert git("status", "--porcelain", "--untracked-files=no", cwd=clone) == ""
