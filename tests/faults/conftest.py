"""What tests of faults share."""

import shutil
from pathlib import Path

import pytest
import tiny_project


@pytest.fixture(scope="session", autouse=True)
def _programs(warm: str) -> None:
    tiny_project.set_up(warm)


@pytest.fixture
def project(done: Path, tmp_path: Path) -> Path:
    """A copy of what the module's `done` made."""
    shutil.copytree(done, tmp_path / "project")
    return tmp_path / "project"
