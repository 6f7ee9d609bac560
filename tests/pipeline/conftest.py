"""A workspace with a small data set, brought through the whole DAG by DVC, once for all tests."""

from pathlib import Path

import pytest
from small_project import call, new_workspace


@pytest.fixture(scope="session")
def finished(warm: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace after `dvc repro` and a commit."""
    root = new_workspace(tmp_path_factory.mktemp("first") / "workspace")
    call("dvc", "repro", cwd=root, commands=warm)
    call("git", "add", "-A", cwd=root)
    call("git", "commit", "--quiet", "-m", "first run", cwd=root)
    return root
