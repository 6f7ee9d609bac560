"""Commands of those who run Bakeoff every night: drift, decide, promote, rollback, status. No logic."""

from typing import Annotated

import typer

from bakeoff.params import load_params
from bakeoff.workspace import Workspace

app = typer.Typer()


@app.command()
def drift(
    since: Annotated[
        str | None, typer.Option(metavar="REV", help="A Git revision; none: the version in production, or the last.")
    ] = None,
) -> None:
    """Set the validated data beside those of the version in production; write reports/drift."""
    from bakeoff.stages import drift as stage

    workspace = Workspace()
    stage.run(load_params(workspace.params), workspace, since)


@app.command()
def decide(
    model: Annotated[str | None, typer.Option(help="Who challenges; none: as params.yaml says.")] = None,
) -> None:
    """Set the challenger beside the model in production and decide; write reports/decision. Changes nothing else."""
    from bakeoff.stages import decide as stage

    workspace = Workspace()
    stage.run(load_params(workspace.params), workspace, model)


@app.command()
def promote(
    despite: Annotated[
        str | None, typer.Option(metavar="REASON", help="Promote although the decision says no; the tag says why.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="With --despite: this model instead of the challenger.")] = None,
    push: Annotated[bool, typer.Option("--push", help="Push the tags to the remote `origin` as well.")] = False,
) -> None:
    """Put the challenger of the last decision into production, if it says so: tags of GTO on the commit HEAD.

    All tags or none; a second call says that it is done. If the decision says hold, prints why and changes nothing.
    """
    from bakeoff.stages import promote as stage

    workspace = Workspace()
    stage.run(load_params(workspace.params), workspace, model, despite=despite, push=push)


@app.command()
def rollback(
    to: Annotated[
        str | None, typer.Option(metavar="VERSION", help="Such as softmax@v2.0.0; none: what was there before.")
    ] = None,
    push: Annotated[bool, typer.Option("--push", help="Push the tags to the remote `origin` as well.")] = False,
) -> None:
    """Put back what was in production before, at once: tags only, nothing is trained.

    Run again, it goes further back and never returns to what was just left; `--to VERSION` names one, and takes a
    rollback back. Refuses if the files of that version are in neither cache nor remote. If you don't know whether the
    last call went through, look at `bakeoff status` and use `--to`.
    """
    from bakeoff.stages import rollback as stage

    stage.run(Workspace(), to, push=push)


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what is in production, since when, from which data, and how the workspace compares."""
    from bakeoff.stages import status as stage

    stage.run(Workspace(), as_json=as_json)
