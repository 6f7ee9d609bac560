"""The command line: one subcommand per stage, plus fetch, tune, recommend, verdict and params. No logic.

Those who run it every night find their commands in cli_operations.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from bakeoff.cli.operations import app as operations
from bakeoff.core.errors import BakeoffError
from bakeoff.core.sanitize import visible
from bakeoff.core.workspace import Workspace
from bakeoff.models import specs
from bakeoff.params import load_params

app = typer.Typer(
    help="Matrix factorisation or a softmax DNN? Measured on your own interaction data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

_NAMES = f"{', '.join(specs.names()[:-1])} or {specs.names()[-1]}"
ModelName = Annotated[str, typer.Argument(help=_NAMES)]


# Stages are imported inside the commands: TensorFlow alone takes seconds that `--help` need not pay.


@app.command()
def fetch(
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="Your own CSV or Parquet files; columns as in params.yaml."),
    ] = None,
    query: Annotated[
        Path | None,
        typer.Option(
            "--query",
            metavar="DIR",
            help="interactions.sql and, if you like, users.sql and items.sql: a SELECT each, for the PostgreSQL whose "
            "connection string is in BAKEOFF_DATABASE_URL.",
        ),
    ] = None,
    inbox: Annotated[
        Path | None,
        typer.Option(
            "--inbox",
            metavar="DIR",
            help="Add the deliveries that were not taken yet: subdirectories with files as for --from and, once they "
            "are complete, a file _SUCCESS. Nothing in DIR is changed.",
        ),
    ] = None,
    append: Annotated[
        bool,
        typer.Option(
            "--append",
            help="Add what --from or --query brings: events that are not there yet; users and items replace those of "
            "the same id.",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Fetch although data/ is up to date or not what DVC records.")
    ] = False,
) -> None:
    """Fill data/ with the canonical tables and record their version in data.dvc.

    Without options: the data set that params.yaml names, from its publisher. Times without a zone are UTC. If anything
    fails, data/ and data.dvc are as they were. Exit status 75: the database can't be reached now; try again later.
    """
    from bakeoff.data.fetch import command as stage
    from bakeoff.data.fetch.database import UnreachableError

    workspace = Workspace()
    try:
        settings = load_params(workspace.params)
        stage.run(settings, workspace, source=source, force=force, query=query, inbox=inbox, append=append)
    except UnreachableError as error:
        _end(error, os.EX_TEMPFAIL)


@app.command()
def validate() -> None:
    """Check the raw tables; bad rows go to quarantine, structural faults stop the pipeline."""
    from bakeoff.stages import validate as stage

    workspace = Workspace()
    stage.run(load_params(workspace.params), workspace)


@app.command()
def split() -> None:
    """Divide events into train, validation, test and new users, and check what the split promises."""
    from bakeoff.stages import split as stage

    workspace = Workspace()
    stage.run(load_params(workspace.params), workspace)


@app.command()
def train(model: ModelName) -> None:
    """Train on train and validation, for as many epochs as validation says, and export the retriever."""
    from bakeoff.experiments import workers

    workspace = Workspace()
    settings = load_params(workspace.params)
    specs.check_model(model)
    workers.run(settings, workspace, model)


@app.command()
def tune(
    model: ModelName,
    trials: Annotated[int, typer.Option(min=1, help="Settings that are tried, in total; earlier runs count.")] = 20,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that it may take, in total.")] = 3600,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that try settings at the same time.")] = 1,
    apply: Annotated[bool, typer.Option("--apply", help="Write the best values into params.yaml.")] = False,
) -> None:
    """Search for settings on validation and propose the best as a diff of params.yaml; go on if interrupted."""
    from bakeoff.experiments.tuning import command as stage

    workspace = Workspace()
    settings = load_params(workspace.params)
    stage.run(settings, workspace, model, trials=trials, timeout=timeout, jobs=jobs, apply=apply)


@app.command()
def evaluate(model: ModelName) -> None:
    """Rank the whole catalogue for every test user and every new user; write lists and per-user metrics."""
    from bakeoff.stages import evaluate as stage

    workspace = Workspace()
    specs.check_model(model)
    stage.run(load_params(workspace.params), workspace, model)


@app.command()
def variants(group: Annotated[str, typer.Argument(help="features, new-items, folding, depth or sampling")]) -> None:
    """Train and evaluate variants of the contenders, of which each differs in one setting: what the claims rest on."""
    from bakeoff.stages import variants as stage

    workspace = Workspace()
    stage.run(load_params(workspace.params), workspace, group)


@app.command()
def planted() -> None:
    """Measure folding on a data set with known groups."""
    from bakeoff.stages import planted as stage

    workspace = Workspace()
    stage.run(load_params(workspace.params), workspace)


@app.command()
def growth() -> None:
    """Measure how the cost of training grows with the data and with the catalogue."""
    from bakeoff.stages import growth as stage

    workspace = Workspace()
    stage.run(load_params(workspace.params), workspace)


@app.command()
def serving() -> None:
    """Measure how fast the exported models answer."""
    from bakeoff.stages import serving as stage

    workspace = Workspace()
    stage.run(load_params(workspace.params), workspace)


@app.command()
def rerank() -> None:
    """Let the softmax DNN rank the candidates of MF again."""
    from bakeoff.stages import rerank as stage

    workspace = Workspace()
    stage.run(load_params(workspace.params), workspace)


@app.command()
def items(model: ModelName) -> None:
    """Find the nearest items of each item, and lay the item embeddings out in two dimensions."""
    from bakeoff.stages import items as stage

    workspace = Workspace()
    specs.check_model(model)
    stage.run(load_params(workspace.params), workspace, model)


@app.command()
def compare(
    before: Annotated[
        str | None, typer.Argument(metavar="REV_A", help="A Git revision; none: write the report.")
    ] = None,
    after: Annotated[str | None, typer.Argument(metavar="REV_B", help="Another one; none: the workspace.")] = None,
    last: Annotated[
        bool, typer.Option("--last", help="The workspace beside the version in production, or the last commit.")
    ] = False,
) -> None:
    """Compare the evaluated retrievers and write the report; or two revisions, and write what changed."""
    workspace = Workspace()
    settings = load_params(workspace.params)
    if last and before is not None:
        raise BakeoffError(f"--last finds the version itself: leave out {before!r}, or leave out --last.")
    if last or before is not None:
        from bakeoff.ops.revisions import compare as revisions

        revisions.run(settings, workspace, before, after)
        return
    from bakeoff.stages import compare as stage

    stage.run(settings, workspace)


@app.command()
def unbiasedness() -> None:
    """Train against each sampler on a small catalogue, and see where that ends."""
    from bakeoff.stages import unbiasedness as stage

    workspace = Workspace()
    stage.run(load_params(workspace.params), workspace)


@app.command()
def study() -> None:
    """Write the page of the study of negative sampling."""
    from bakeoff.stages import study as stage

    stage.run(Workspace())


@app.command()
def verdict() -> None:
    """Print the verdict of the last comparison in a few lines, and where the report lies."""
    from bakeoff.report.render import terminal

    terminal.print_verdict(Workspace())


@app.command()
def recommend(
    model: Annotated[str, typer.Option(help=_NAMES)] = "softmax",
    user: Annotated[str | None, typer.Option(help="Id of a user that the model was trained on.")] = None,
    history: Annotated[
        str | None, typer.Option(help='Item ids of someone new, oldest first: "50,181". May be empty: "".')
    ] = None,
    feature: Annotated[
        list[str] | None, typer.Option(help="A user feature of someone new, as name=value; repeatable.")
    ] = None,
    age: Annotated[str | None, typer.Option(help="Short for --feature age=…")] = None,
    k: Annotated[int, typer.Option("-k", help="Number of items.")] = 10,
) -> None:
    """Recommend items to a known user, or to someone new by history and features."""
    from bakeoff.ops import recommend as stage

    features = [*(feature or []), *([f"age={age}"] if age is not None else [])]
    stage.run(Workspace(), model=model, user=user, history=history, features=features, k=k)


@app.command()
def params() -> None:
    """Print every parameter with its value, limits and meaning."""
    from bakeoff.cli import params_help as stage

    stage.run(load_params(Workspace().params))


app.add_typer(operations)


def main() -> None:
    """Entry point: a BakeoffError is printed for a person, without a trace, and so is a full disk."""
    try:
        app()
    except BakeoffError as error:
        _end(error)
    except OSError as error:
        from bakeoff.core.files import full_disk

        told = full_disk(error, Path())
        if told is None:
            raise
        _end(told)


def _end(error: BakeoffError, status: int = 1) -> NoReturn:
    told = "\n".join(map(visible, str(error).split("\n")))  # it may quote a file
    print(f"error: {told}", file=sys.stderr)
    raise SystemExit(status) from None


if __name__ == "__main__":
    main()
