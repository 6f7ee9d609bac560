"""The command of the machines that help to train. No logic."""

from typing import Annotated

import typer

from bakeoff.core.workspace import Workspace
from bakeoff.models import specs
from bakeoff.params import load_params

app = typer.Typer()


@app.command()
def worker(
    model: Annotated[str, typer.Argument(help="softmax or two_tower")],
    index: Annotated[int, typer.Option(help="Which of the hosts this is, counted from 0; 0 writes the model.")],
    hosts: Annotated[
        str, typer.Option(help="host:port of each worker, separated by commas; none: as params.yaml says.")
    ] = "",
) -> None:
    """Be one of several machines that train a model together; docs/workers.md has all of it."""
    from bakeoff.experiments import workers as stage

    workspace = Workspace()
    specs.check_model(model)
    named = [host for host in hosts.split(",") if host]
    stage.run_one(load_params(workspace.params), workspace, model, index, named)
