"""What holds for all tests: no time limits, the order in which files start, and a PostgreSQL for those that ask."""

from collections.abc import Iterator

import pytest
from hypothesis import settings
from services.postgres import Postgres, running_postgres

# Machines are shared: how long an example takes says nothing about the code.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

SLOWEST_FIRST = (
    "tests/pipeline/test_end_to_end.py",
    "tests/faults/test_stages_under_fault.py",
    "tests/services/test_local_stack.py",
    "tests/engines/",
    "tests/models/test_several_workers.py",
    "tests/flows/",
    "tests/stages/test_train.py",
    "tests/stages/",
)
"""A long file that starts last would keep one core waiting for the other."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return next((i for i, start in enumerate(SLOWEST_FIRST) if item.nodeid.startswith(start)), len(SLOWEST_FIRST))

    items.sort(key=place)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL for the session; a test that stops it starts it again."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def database(postgres: Postgres) -> str:
    """The connection string of an empty database."""
    return postgres.url(database=postgres.new_database())
