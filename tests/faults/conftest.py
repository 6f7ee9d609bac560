"""What tests of faults share."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def project(done: Path, tmp_path: Path) -> Path:
    """A copy of what the module's `done` made."""
    shutil.copytree(done, tmp_path / "project")
    return tmp_path / "project"
