"""New raw data: deliveries dropped into an inbox, or queries against a database, become a new version of data/."""

import os
from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from prefect.tasks import exponential_backoff
from pydantic import DirectoryPath

from child import ChildError, Log, run_child
from dvc_stages import only_run
from logs import structured_log
from pipeline import end_command, private_server
from secret import read_secret

URL_VARIABLE = "BAKEOFF_DATABASE_URL"
BLOCK = "bakeoff-database"
"""Environment variable, or Prefect Secret block, with the connection string of the database that queries ask."""
TIMEOUT_SECONDS = 3600.0
NEW_DATA = "data/ holds "
UNCHANGED = "data/ is unchanged"
RESUMED = "An earlier fetch was cut off"
"""How the sentences begin by which `bakeoff fetch` says what has become of data/."""


@dataclass(frozen=True)
class Source:
    """Where new data come from; neither of the two: the data set's publisher.

    Attributes:
        inbox: Directory into which deliveries are dropped.
        queries: Directory with interactions.sql, and perhaps users.sql and items.sql.
        append: Whether the queries bring new rows only, or all.
        database: Name of the Secret block with the connection string, where the environment has none.
    """

    inbox: Path | None = None
    queries: Path | None = None
    append: bool = False
    database: str = BLOCK

    def command(self) -> list[str]:
        """The call of `bakeoff fetch`."""
        options = []
        if self.inbox is not None:
            options += ["--inbox", str(self.inbox.resolve())]
        if self.queries is not None:
            options += ["--query", str(self.queries.resolve())]
        return ["bakeoff", "fetch", *options, *(["--append"] if self.append and self.queries is not None else [])]

    def secrets(self) -> Mapping[str, str]:
        """What only the child may know."""
        url = read_secret(URL_VARIABLE, self.database) if self.queries is not None else None
        return {} if url is None else {URL_VARIABLE: url}


@dataclass(frozen=True)
class Ingested:
    """What has become of data/; true if it is a new version.

    Attributes:
        new: Whether rows are new or have changed.
        message: The sentence that says so, with the numbers of rows.
    """

    new: bool
    message: str

    def __bool__(self) -> bool:
        """Whether it is a new version."""
        return self.new


def fetch(workspace: Path, source: Source, log: Log) -> Ingested:
    """Run `bakeoff fetch` to its end.

    Args:
        workspace: Directory of dvc.yaml.
        source: Where new data come from.
        log: Gets every line that is printed.

    Raises:
        ChildError: it failed; data/ and data.dvc are as they were. Its status is 75 where the database can't be
            reached now.
    """
    told, resumed = "", False

    def watch(line: str) -> None:
        nonlocal told, resumed
        resumed = resumed or line.startswith(RESUMED)
        if line.startswith((NEW_DATA, UNCHANGED)):
            told = line
        log(line)

    run_child(source.command(), workspace, log=watch, timeout=TIMEOUT_SECONDS, secrets=source.secrets())
    return Ingested(resumed or told.startswith(NEW_DATA), told or f"{UNCHANGED}.")


def may_pass(task: Any, run: Any, state: State[Any]) -> bool:
    """Whether another try may help: only where the database could not be reached."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, ChildError) and error.status == os.EX_TEMPFAIL


@task(
    name="take-in",
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=exponential_backoff(15),  # 15, 30 and 60 s
    retry_condition_fn=may_pass,
)
def take_in(workspace: Path, source: Source) -> Ingested:
    """Bring data/ up to date with its source. Called within a run that has the workspace for itself."""
    return fetch(workspace, source, get_run_logger().info)


@flow
def ingest(
    workspace: DirectoryPath = Path(),
    inbox: DirectoryPath | None = None,
    queries: DirectoryPath | None = None,
    append: bool = False,
    database: str = BLOCK,
) -> State[Any]:
    """Take in new data, and record it as a new version of data/.

    Args:
        workspace: Directory of dvc.yaml.
        inbox: Directory into which deliveries are dropped.
        queries: Directory with interactions.sql, and perhaps users.sql and items.sql, for a database whose connection
            string is in BAKEOFF_DATABASE_URL or in a Secret block.
        append: Whether the queries bring new rows only, or all.
        database: Name of the Secret block.
    """
    with structured_log(workspace, str(flow_run.name)), only_run(workspace, get_run_logger().info):
        try:
            ingested = take_in(workspace, Source(inbox, queries, append, database))
        except ChildError as error:
            return Failed(message=error.told, data=error)
    return Completed(name="New data" if ingested else "Unchanged", message=ingested.message)


def main() -> None:
    """Read the command line and run the flow, on the server of PREFECT_API_URL or on a temporary one."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", default=".", help="directory of dvc.yaml (default: this one)")
    parser.add_argument("--inbox", help="directory into which deliveries are dropped")
    parser.add_argument("--queries", help=f"directory with interactions.sql, for the database in {URL_VARIABLE}")
    parser.add_argument("--append", action="store_true", help="the queries bring new rows only")
    parser.add_argument("--database", default=BLOCK, help=f"Secret block to look into where {URL_VARIABLE} is not set")
    with private_server():
        final = ingest(**vars(parser.parse_args()), return_state=True)
    end_command(final)


if __name__ == "__main__":
    main()
