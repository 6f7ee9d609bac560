"""Commands that bring data in and prepare it."""

from pathlib import Path
from typing import Annotated

import typer

from bakeoff.cli.arguments import LogFolder, add_stage, load
from bakeoff.core.workspace import Workspace

app = typer.Typer()


@app.command()
def fetch(
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="Your own interactions, users and items: .csv, .tsv or .parquet."),
    ] = None,
    interactions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="In place of --from: a file of any name; .csv, .tsv, .txt, .parquet or .pq."),
    ] = None,
    users: Annotated[Path | None, typer.Option(metavar="FILE", help="Likewise, with a row for each user.")] = None,
    items: Annotated[Path | None, typer.Option(metavar="FILE", help="Likewise, with a row for each item.")] = None,
    query: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="interactions.sql and, if you like, users.sql and items.sql: a SELECT each, for the database whose "
            "URL is in BAKEOFF_DATABASE_URL.",
        ),
    ] = None,
    inbox: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Add the deliveries that were not taken yet: subdirectories with files as for --from and, once they "
            "are complete, a file _SUCCESS. Nothing in DIR is changed.",
        ),
    ] = None,
    append: Annotated[
        bool,
        typer.Option(
            "--append",
            help="Add what --from, --query or the files bring: events that are not there yet; users and items replace "
            "those of the same id.",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Fetch although data/ is up to date or not what DVC records.")
    ] = False,
) -> None:
    """Fill data/ with the canonical tables and record their version in data.dvc.

    Without options: the data set that params.yaml names, from its publisher. Of your own data, `data.columns` in
    params.yaml names the columns and `data.encoding` the encoding; the fields of a text file are separated by commas,
    tabs, semicolons or vertical bars. Times without a zone are UTC.

    If anything fails, data/ and data.dvc are as they were. Exit status 75: the database can't be reached now; try again
    later.
    """
    from bakeoff.data.fetch import command as stage
    from bakeoff.data.fetch.own_sources import Request

    named = {"interactions": interactions, "users": users, "items": items}
    files = {table: path for table, path in named.items() if path is not None}
    stage.run(load().data, Workspace(), Request(source, query, inbox, append, files), force)


@app.command()
def forget(
    user: Annotated[str, typer.Argument(help="Id of the user, as your data has it.")],
    log: LogFolder = None,
) -> None:
    """Remove a person from data/ and the log of `serve`, and list the versions that still hold them.

    data.dvc records the version without them. Models and reports hold them until the next `bakeoff run` has ended;
    nothing is deleted from DVC's cache or its remote, and nothing is committed.
    """
    from bakeoff.ops import forget as command

    command.run(user, Workspace(), log)


add_stage(app, "validate", "Check the raw tables; bad rows go to quarantine, structural faults stop the pipeline.")
add_stage(app, "split", "Divide events into train, validation, test and new users, and check what the split promises.")
