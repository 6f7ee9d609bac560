"""Tiny DVC projects, and one Prefect server for all tests, all of it in temporary directories."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from flow_project import Project, call, dvc

# Prefect reads these when it is first imported, which fixtures would be too late for.
for _name in [name for name in os.environ if name.startswith("PREFECT_")]:
    del os.environ[_name]
os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="prefect-home-")
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
os.environ["PREFECT_LOGGING_TO_API_BATCH_INTERVAL"] = "0.2"
atexit.register(shutil.rmtree, os.environ["PREFECT_HOME"], ignore_errors=True)


@pytest.fixture(scope="module", autouse=True)
def _starts_at_once(warm_children: None) -> None:
    """What flows start."""


@pytest.fixture(scope="session")
def empty_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Git and DVC, and nothing else yet."""
    root = tmp_path_factory.mktemp("empty")
    call("git", "init", "--quiet", ".", cwd=root)
    call("git", "config", "user.name", "Test", cwd=root)
    call("git", "config", "user.email", "test@localhost", cwd=root)
    dvc("init", "--quiet", cwd=root)
    dvc("config", "core.analytics", "false", cwd=root)
    return root


@pytest.fixture(scope="session")
def project(empty_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Make a project of a dvc.yaml; Python code of a stage goes into files, where nothing needs quoting."""

    def make(stages: str, **scripts: str) -> Path:
        root = tmp_path_factory.mktemp("project") / "workspace"
        shutil.copytree(empty_project, root)
        (root / "dvc.yaml").write_text(stages)
        for name, code in scripts.items():
            (root / f"{name}.py").write_text(code)
        return root

    return make


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[str]:
    """The address of a server that lives as long as the tests."""
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=600):
        yield PREFECT_API_URL.value()
