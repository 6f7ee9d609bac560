"""Git is killed: its locks are removed where nobody can hold them, and kept where somebody may."""

import signal
import subprocess
from pathlib import Path

import pytest
from tiny_project import attempt, git, new_project, until

from recovery import clear_dead_locks, git_locks

IN_THE_COMMIT = "kill -9 $PPID"
IN_THE_REFERENCES = '[ "$1" = prepared ] && kill -9 $PPID; exit 0'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return new_project(tmp_path / "project")


def hook(project: Path, name: str, script: str) -> Path:
    path = project / ".git/hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("name", "script", "command", "locks"),
    [
        ("pre-commit", IN_THE_COMMIT, "commit --message second -- raw", {".git/index.lock", ".git/next-index-"}),
        (
            "reference-transaction",
            IN_THE_REFERENCES,
            "commit --message second",
            {".git/HEAD.lock", ".git/refs/heads/"},
        ),
        ("reference-transaction", IN_THE_REFERENCES, "tag mf#prod#1", {".git/refs/tags/mf#prod#1.lock"}),
    ],
)
def test_a_git_command_that_was_killed_can_be_repeated(
    project: Path, name: str, script: str, command: str, locks: set[str]
) -> None:
    head = git("rev-parse", "HEAD", cwd=project)
    (project / "raw").write_text("new")
    git("add", "raw", cwd=project)
    deadly = hook(project, name, script)
    assert attempt("git", *command.split(), cwd=project).returncode == -signal.SIGKILL
    deadly.unlink()
    assert git("rev-parse", "HEAD", cwd=project) == head  # never half a commit
    assert git("tag", cwd=project) == ""
    assert ".lock': File exists" in attempt("git", *command.split(), cwd=project).stdout

    left = [path.relative_to(project).as_posix() for path in git_locks(project)]
    assert all(any(path.startswith(lock) for path in left) for lock in locks)
    said: list[str] = []
    clear_dead_locks(project, said.append)
    assert said == [f"A Git command was killed: its locks are removed ({', '.join(left)})."]
    git(*command.split(), cwd=project)
    git("fsck", "--strict", cwd=project)
    assert git("status", "--porcelain", "--", "raw", cwd=project).strip() in ("", "M  raw")


def test_a_lock_of_a_git_that_is_at_work_stays(project: Path) -> None:
    hook(project, "pre-commit", "touch begun; while [ ! -e wait ]; do sleep 0.05; done")
    (project / "raw").write_text("new")
    slow = subprocess.Popen(["git", "commit", "--quiet", "--message", "slow", "--", "raw"], cwd=project)
    until((project / "begun").exists)
    locks = git_locks(project)
    said: list[str] = []
    clear_dead_locks(project, said.append)
    assert git_locks(project) == locks != []
    [line] = said
    assert f"(PID {slow.pid})" in line
    assert line.endswith(f"at work in {project}: the locks of Git stay (.git/index.lock, {_next(locks)}).")
    (project / "wait").touch()
    assert slow.wait() == 0


def test_locks_of_another_repository_do_not_matter(project: Path, tmp_path: Path) -> None:
    with subprocess.Popen(["git", "hash-object", "--stdin"], stdin=subprocess.PIPE, cwd=tmp_path):
        said: list[str] = []
        (project / ".git/index.lock").touch()
        clear_dead_locks(project, said.append)
        assert git_locks(project) == [], said


def test_without_a_repository_there_is_nothing_to_clear(tmp_path: Path) -> None:
    said: list[str] = []
    clear_dead_locks(tmp_path, said.append)
    assert said == []


def _next(locks: list[Path]) -> str:
    return ", ".join(f".git/{path.name}" for path in locks if path.name != "index.lock")
