"""Commands that compare and report, and those that measure and judge what the textbook claims."""

from typing import Annotated, Any

import typer

from bakeoff.cli.arguments import STAGES, START, add_stage, load, run_stage
from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace

app = typer.Typer()


@app.command(rich_help_panel=START)
def run(
    evidence: Annotated[
        bool, typer.Option("--evidence", help="Every stage, those too that judge the textbook's claims.")
    ] = False,
    dry: Annotated[
        bool, typer.Option("--dry", help="Run nothing; fail if dvc.lock is not up to date. Needs no data: for CI.")
    ] = False,
) -> None:
    """Bring the comparison up to date, by Prefect on a server of its own, and print the verdict.

    Data that are missing are fetched or restored first. Stages that are up to date do not run. `PREFECT_API_URL` names
    another server, which then shows the run.
    """
    from bakeoff.cli import run as command

    params = load()
    if dry:
        command.check_lock(evidence)
        return
    epochs = max(params.softmax.max_epochs, params.two_tower.max_epochs)
    command.bring_up_to_date(evidence, params.data, epochs)


@app.command(rich_help_panel=START)
def version(
    write: Annotated[bool, typer.Option("--write", help="To artifacts/version.json, on which stages depend.")] = False,
) -> None:
    """Print the version and the hash of the code that is installed, with packages that register models."""
    from bakeoff.ops import new_workspace

    if write:
        new_workspace.write_version(Workspace())
    for name, found in new_workspace.installed().items():
        print(f"{name} {found['version']} ({found['sha256'][:12]})")


@app.command(rich_help_panel=START)
def doctor(as_json: Annotated[bool, typer.Option("--json", help="For programs: an array of objects.")] = False) -> None:
    """Check the environment, Git, DVC, Prefect, disk, memory and clock, and say how to fix what is not right.

    Exit status 1: there is a problem; a warning is none. Changes nothing, and contacts nothing but DVC's
    remote and Prefect's server.
    """
    from bakeoff.ops import doctor as stage

    params: Any
    try:
        params = load()
    except BakeoffError as error:
        params = error
    if not stage.run(stage.Subject(Workspace(), params), as_json=as_json):
        raise typer.Exit(1)


@app.command(rich_help_panel=START)
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
    from bakeoff.ops.revisions import command as revisions

    settings = load()
    revisions.run(settings.compare, settings.seed, Workspace(), before, after)


@app.command(rich_help_panel=START)
def verdict() -> None:
    """Print the verdict of the last comparison in a few lines, and where the report lies."""
    from bakeoff.report.render import terminal

    terminal.print_verdict(Workspace())


@app.command(rich_help_panel=START)
def explain(number: Annotated[str, typer.Argument(help="A check of the verdict, such as BK006.")]) -> None:
    """Print what a check of the verdict means, its state in this workspace, and what clears it."""
    from bakeoff.report.render import terminal

    terminal.print_check(Workspace(), number)


@app.command(rich_help_panel=START)
def params() -> None:
    """Print every parameter with its value, limits and meaning."""
    from bakeoff.cli import params_help as stage

    stage.run(load())


@app.command(rich_help_panel=STAGES)
def variants(group: Annotated[str, typer.Argument(help="features, new-items, folding, depth or sampling")]) -> None:
    """Train and evaluate variants that differ from the contenders in one setting each."""
    run_stage("variants", group)


add_stage(app, "planted", "Measure folding on a data set with known groups.")
add_stage(app, "growth", "Measure how the cost of training grows with the data and with the catalogue.")
add_stage(app, "serving", "Measure how fast the exported models answer.")
add_stage(app, "rerank", "Rank the candidates of MF again with the softmax DNN.")
add_stage(app, "unbiasedness", "Train with each sampler on a small catalogue; compare with the true distribution.")
add_stage(app, "evidence", "Judge the textbook's claims and write the page with the measurements behind them.")


@app.command(rich_help_panel=STAGES)
def study() -> None:
    """Write the page of the study of negative sampling."""
    from bakeoff.stages import study as stage

    stage.run(Workspace())
