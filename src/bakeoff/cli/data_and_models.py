"""Commands from data to models: bring data in and prepare it, then train, export, tune, evaluate and ask one model."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bakeoff.cli.arguments import (
    MODEL_HELP,
    PRODUCTION,
    STAGES,
    START,
    LogFolder,
    ModelName,
    add_model_stage,
    add_stage,
    load,
)
from bakeoff.core.workspace import Workspace
from bakeoff.models.base.specs import check_model

app = typer.Typer()


@app.command(rich_help_panel=START)
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


@app.command(rich_help_panel=PRODUCTION)
def forget(
    user: Annotated[str, typer.Argument(help="Id of the user, as your data has it.")],
    log: LogFolder = None,
) -> None:
    """Remove a person from data/ and the log of `serve`, and list the versions that still hold them.

    data.dvc records the version without them. Models and reports hold them until the next `bakeoff run --evidence` has
    ended; nothing is deleted from DVC's cache or its remote, and nothing is committed.
    """
    from bakeoff.ops import forget as command

    command.run(user, Workspace(), log)


add_stage(app, "validate", "Check the raw tables; bad rows go to quarantine, structural faults stop the pipeline.")
add_stage(app, "split", "Divide events into train, validation, test and new users, and check what the split promises.")
add_model_stage(app, "train", "Train on train and validation, for as many epochs as validation says.")


@app.command(rich_help_panel=STAGES)
def export(model: ModelName) -> None:
    """Write the trained model as a TensorFlow SavedModel, from which `serve` and promotion take it."""
    from bakeoff.stages import export as stage

    stage.run(Workspace(), model)


@app.command(rich_help_panel=START)
def tune(
    model: Annotated[
        str | None,
        typer.Argument(parser=check_model, help=f"{MODEL_HELP}; both contenders if there is none."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.1, max=100_000, help="For both contenders, half each, in total; earlier runs count. Not with a model."
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="Settings to try, in total; earlier runs count. 20, or no limit with --timeout."),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(min=1, max=10_000_000, help="Seconds that it may take, in total; earlier runs count. 3600."),
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Write the best values into params.yaml.")] = False,
) -> None:
    """Search for settings on validation and propose the best as a diff of params.yaml; continue earlier runs.

    Further seeds decide between the three best. The split is brought up to date first, by DVC.
    """
    from bakeoff.core.errors import BakeoffError
    from bakeoff.experiments.tuning import tune as stage
    from bakeoff.report.models import CONTENDERS

    if (model is None) == (minutes is None) or (minutes and (trials or timeout)):
        raise BakeoffError("Name a model, or give --minutes alone: `bakeoff tune --minutes 30` tunes both contenders.")
    if minutes:
        timeout = minutes * 60 / len(CONTENDERS)
    for name in [model] if model else CONTENDERS:
        settings = load()
        stage.run(
            Workspace(),
            name,
            settings.section(name),
            seed=settings.seed,
            data=settings.data,
            split=settings.split,
            trials=20 if trials is None and timeout is None else trials,
            timeout=timeout or 3600,
            apply=apply,
        )


add_model_stage(app, "evaluate", "Rank the catalogue for every test and new user; write lists and per-user metrics.")
add_stage(app, "items", "Find each item's nearest items, and lay the item embeddings out in two dimensions.")


@app.command(rich_help_panel=START)
def recommend(
    model: Annotated[str, typer.Option(parser=check_model, help=MODEL_HELP)] = "softmax",
    user: Annotated[str | None, typer.Option(help="Id of a user that the model was trained on.")] = None,
    history: Annotated[
        str | None, typer.Option(help='Item ids of someone new, oldest first: "50,181". May be empty: "".')
    ] = None,
    feature: Annotated[
        list[str] | None, typer.Option(help="A user feature of someone new, as name=value; repeatable.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Number of items.")] = 10,
    why: Annotated[
        bool, typer.Option("--why", help="Say what the items of the history contribute to each score.")
    ] = False,
    allow: Annotated[str | None, typer.Option(help='Item ids that alone may be recommended: "50,181".')] = None,
    exclude_seen: Annotated[
        bool | None,
        typer.Option(
            "--exclude-seen/--include-seen",
            help="Leave out items of the history, or not. Default: leave them out, unless split.keep_repeats is true.",
        ),
    ] = None,
    filter: Annotated[
        list[str] | None,
        typer.Option(
            help="A condition on a feature of the items: genres=Comedy|Drama, genres!=Horror, year>=1990, year<=1999; "
            "repeatable."
        ),
    ] = None,
    diversity: Annotated[
        float,
        typer.Option(help="0 to 1: how much less alike the items of the list are than the best by score; k ≤ 100."),
    ] = 0.0,
    debias: Annotated[float, typer.Option(help="0 to 10: how much less popular they are.")] = 0.0,
) -> None:
    """Recommend items to a known user, or to someone new by history and features."""
    from bakeoff.ops import recommend as stage
    from bakeoff.ops.list_options import Filter, ListOptions

    options = ListOptions(None, [Filter.parse(each) for each in filter or ()], diversity, debias)
    who = partial(stage.run, Workspace(), model=model, user=user, history=history, features=feature or [])
    who(k=k, why=why, allow=allow, exclude_seen=exclude_seen, options=options)
