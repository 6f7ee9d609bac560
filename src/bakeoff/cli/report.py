"""Commands that compare and report."""

from typing import Annotated

import typer

from bakeoff.cli.arguments import load, run_stage
from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace

app = typer.Typer()


@app.command()
def compare(
    before: Annotated[
        str | None, typer.Argument(metavar="REV_A", help="A Git revision; none: write the report.")
    ] = None,
    after: Annotated[str | None, typer.Argument(metavar="REV_B", help="Another one; none: the workspace.")] = None,
    last: Annotated[
        bool,
        typer.Option("--last", help="Compare the workspace with the version in production, or with the last commit."),
    ] = False,
) -> None:
    """Compare the evaluated retrievers and write the report; or two revisions, and write what changed."""
    if last and before is not None:
        raise BakeoffError(f"--last finds the version itself: leave out {before!r}, or leave out --last.")
    if not last and before is None:
        run_stage("compare")
        return
    from bakeoff.ops.revisions import compare as revisions

    workspace = Workspace()
    settings = load(workspace)
    revisions.run(settings.compare, settings.seed, workspace, before, after)


@app.command()
def verdict() -> None:
    """Print the verdict of the last comparison in a few lines, and where the report lies."""
    from bakeoff.report.render import terminal

    terminal.print_verdict(Workspace())


@app.command()
def explain(number: Annotated[str, typer.Argument(help="A check of the verdict, such as BK006.")]) -> None:
    """Print what a check of the verdict means, its state in this workspace, and what clears it."""
    from bakeoff.report.render import terminal

    terminal.print_check(Workspace(), number)


@app.command()
def params() -> None:
    """Print every parameter with its value, limits and meaning."""
    from bakeoff.cli import params_help as stage

    stage.run(load(Workspace()))
