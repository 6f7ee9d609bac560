"""DVC's remote over SSH when the server goes away in the middle of a push."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from services.projects import dvc, new_repository
from services.sshd import Sshd, running_sshd
from waiting import until

NUM_FILES = 4
BYTES = 24 << 20  # large enough that a server killed at the first sight of a file has not got it whole


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A push under which the server was killed: what it said, and what lay there; the server is back."""
    workspace = new_repository(tmp_path_factory.mktemp("push") / "workspace")
    (workspace / "tables").mkdir()
    for number in range(NUM_FILES):
        (workspace / f"tables/{number}").write_bytes(os.urandom(BYTES))
    dvc("add", "--quiet", "tables", cwd=workspace)
    with running_sshd() as server:
        server.remote(dvc, workspace)
        command = [sys.executable, "-m", "dvc", "push", "--jobs", "1"]
        push = subprocess.Popen(command, cwd=workspace, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        until(lambda: files(server) or push.poll() is not None, "nothing arrives")
        server.stop()
        printed, _ = push.communicate()
        left = files(server)
        whole = [path for path in left if is_whole(path)]
        server.start()
        yield SimpleNamespace(
            workspace=workspace, server=server, status=push.returncode, printed=printed, left=left, whole=whole
        )


def files(server: Sshd) -> list[Path]:
    return [path for path in server.storage.rglob("*") if path.is_file()]


def is_named_by_content(path: Path) -> bool:
    """Whether DVC takes it for an object: files/md5/ab/cdef…; what is on its way has another name."""
    name = (path.parent.name + path.name).removesuffix(".dir")
    return len(name) == 32 and set(name) <= set("0123456789abcdef")


def is_whole(path: Path) -> bool:
    return hashlib.md5(path.read_bytes()).hexdigest() == (path.parent.name + path.name).removesuffix(".dir")


def test_a_push_without_its_server_fails_and_says_so(interrupted: SimpleNamespace) -> None:
    assert interrupted.status != 0
    assert "failed to push data to the cloud" in interrupted.printed or "Connect" in interrupted.printed


def test_nothing_half_written_is_taken_for_an_object(interrupted: SimpleNamespace) -> None:
    assert len(interrupted.whole) < NUM_FILES + 1
    assert [path for path in interrupted.left if is_named_by_content(path)] == interrupted.whole


def test_the_next_push_completes(interrupted: SimpleNamespace) -> None:
    dvc("push", "--quiet", cwd=interrupted.workspace)
    objects = [path for path in files(interrupted.server) if is_named_by_content(path)]
    assert len(objects) == NUM_FILES + 1  # and the list of the directory
    assert all(is_whole(path) for path in objects)


def test_the_key_of_this_machine_is_not_in_git(interrupted: SimpleNamespace) -> None:
    assert "keyfile" not in (interrupted.workspace / ".dvc/config").read_text()
