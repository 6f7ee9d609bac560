"""Commands that measure and judge what the textbook claims."""

from typing import Annotated

import typer

from bakeoff.cli.arguments import load_params
from bakeoff.core.workspace import Workspace

app = typer.Typer()


@app.command()
def variants(group: Annotated[str, typer.Argument(help="features, new-items, folding, depth or sampling")]) -> None:
    """Train and evaluate variants that differ from the contenders in one setting each."""
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
    """Rank the candidates of MF again with the softmax DNN."""
    from bakeoff.stages import rerank as stage

    workspace = Workspace()
    stage.run(load_params(workspace.params), workspace)


@app.command()
def evidence() -> None:
    """Judge the textbook's claims and write the page with the measurements behind them."""
    from bakeoff.stages import evidence as stage

    workspace = Workspace()
    stage.run(load_params(workspace.params), workspace)


@app.command()
def unbiasedness() -> None:
    """Train with each sampler on a small catalogue, and compare the result with the true distribution."""
    from bakeoff.stages import unbiasedness as stage

    workspace = Workspace()
    stage.run(load_params(workspace.params), workspace)


@app.command()
def study() -> None:
    """Write the page of the study of negative sampling."""
    from bakeoff.stages import study as stage

    stage.run(Workspace())
