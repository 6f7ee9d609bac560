"""What holds for all tests: no time limits, the order in which files start, and a PostgreSQL for those that ask."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import small_split
from absl.logging import get_absl_handler
from forking import graphs_as_traced, keep
from hypothesis import settings
from services.postgres import Postgres, running_postgres
from warm_commands import warm_commands
from xdist.scheduler import LoadScopeScheduling

from bakeoff.core import subprocesses
from bakeoff.core.workspace import Workspace

# Whoever sets up logging anew (gto, Prefect) closes the handler of TensorFlow's logger, which closes what it writes to
# if that isn't the standard error of that moment: it must not be what pytest captures with.
get_absl_handler().python_handler.setStream(sys.__stderr__)

# Machines are shared: how long an example takes says nothing about the code.
settings.register_profile("project", deadline=None, max_examples=50)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("EXAMPLES", "project"))

SLOWEST_FIRST = (
    "tests/pipeline/test_end_to_end.py",
    "tests/pipeline/test_tutorial.py",
    "tests/pipeline/test_wheel.py",
    "tests/flows/",
    "tests/services/test_ray_cluster.py",
    "tests/services/test_local_stack.py",
    "tests/services/test_stack_access.py",
    "tests/faults/test_stages_under_fault.py",
    "tests/data/engine/",
    "tests/report/test_browser.py",
    "tests/stages/test_train.py",
    "tests/report/",
    "tests/experiments/",
    "tests/stages/",
)
"""A long file that starts last would keep one core waiting for the other."""

SYSTEM = (
    "tests/benchmarks/test_scale.py::test_a_killed_run",
    "tests/data/engine/test_engine.py::test_what_does_not_fit",
    "tests/data/engine/test_on_spark.py",
    "tests/data/fetch/test_publishers.py::test_over_the_network",
    "tests/data/fetch/test_publishers.py::test_without_pip",
    "tests/evaluation/test_parallel.py",
    "tests/experiments/test_growth.py",
    "tests/experiments/test_resume.py",
    "tests/experiments/test_serving_latency.py",
    "tests/faults/",
    "tests/flows/",
    "tests/hostile/test_hostile_pages.py",
    "tests/models/test_real_data.py",
    "tests/ops/test_doctor.py",
    "tests/ops/online/test_log.py::test_a_killed",
    "tests/ops/online/test_online_server.py",
    "tests/ops/server/test_serve.py",
    "tests/ops/test_catalogue.py::test_a_server",
    "tests/ops/test_forget.py",
    "tests/ops/test_kernels_cache.py",
    "tests/pipeline/test_end_to_end.py",
    "tests/pipeline/test_tutorial.py",
    "tests/pipeline/test_wheel.py",
    "tests/report/test_browser.py",
    "tests/services/",
    "tests/stages/test_validate.py::test_a_million",
)
"""Tests of the whole system: Prefect's server, Spark, a browser, `bakeoff serve`, killed processes, the whole DAG; and
those that train on real data, take a million rows or more than memory holds, make a virtual environment, or measure
what training and serving cost."""

WHOLE = tuple(start for start in SYSTEM if "::" not in start)

TOGETHER = ("tests/flows/", "tests/report/")
"""Tests of these directories run in one process: a Prefect server, or a report, for each file would cost more."""


class ByFile(LoadScopeScheduling):
    """A file's tests run in one process, and so do those of a directory in TOGETHER."""

    def _split_scope(self, nodeid: str) -> str:
        return next((start for start in TOGETHER if nodeid.startswith(start)), nodeid.partition("::")[0])


def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """The suite's processes are forks of the one that has loaded all libraries, which takes each ten seconds else."""
    base = config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    commands = warm_commands(base / "warm", os.getpid())
    for spec in specs:
        spec.python = f"{commands}/warm-python"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


def pytest_collection_finish() -> None:
    """Everything is imported."""
    if "tensorflow" in sys.modules:
        graphs_as_traced()
    keep()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return next((i for i, start in enumerate(SLOWEST_FIRST) if item.nodeid.startswith(start)), len(SLOWEST_FIRST))

    items.sort(key=place)
    for item in items:
        if item.nodeid.startswith(SYSTEM):
            item.add_marker(pytest.mark.system)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Files that hold tests of the system alone are not even read where these are left out."""
    path = collection_path.relative_to(config.rootpath).as_posix()
    left_out = config.option.markexpr == "not system" and path.startswith(WHOLE)
    return True if left_out else None  # None: others decide


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> str:
    """A directory of commands that start at once; see `warm_commands`. All processes of the suite share it."""
    base = tmp_path_factory.getbasetemp()
    if worker_id == "master":
        return warm_commands(base / "warm", os.getpid())
    return str(base.parent / "warm")  # of which this process is a fork


@pytest.fixture(scope="module")
def warm_children(warm: str) -> Iterator[None]:
    """`bakeoff` and `dvc` start at once where Bakeoff calls them."""
    usual = subprocesses.environment

    def environment(directory: Path) -> dict[str, str]:
        settings = usual(directory)
        return {**settings, "PATH": os.pathsep.join([warm, settings["PATH"]])}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocesses, "environment", environment)
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL for the session; a test that stops it starts it again."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def database(postgres: Postgres) -> str:
    """The connection string of an empty database."""
    return postgres.url(database=postgres.new_database())


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A small split on which nothing is trained yet; files that need another workspace have one of their own."""
    made = Workspace(tmp_path)
    small_split.write_split(made)
    return made
