"""Commands that measure and judge what the textbook claims."""

from typing import Annotated

import typer

from bakeoff.cli.arguments import add_stage, run_stage
from bakeoff.core.workspace import Workspace

app = typer.Typer()


@app.command()
def variants(group: Annotated[str, typer.Argument(help="features, new-items, folding, depth or sampling")]) -> None:
    """Train and evaluate variants that differ from the contenders in one setting each."""
    run_stage("variants", group)


add_stage(app, "planted", "Measure folding on a data set with known groups.")
add_stage(app, "growth", "Measure how the cost of training grows with the data and with the catalogue.")
add_stage(app, "serving", "Measure how fast the exported models answer.")
add_stage(app, "rerank", "Rank the candidates of MF again with the softmax DNN.")
add_stage(app, "unbiasedness", "Train with each sampler on a small catalogue; compare with the true distribution.")
add_stage(app, "evidence", "Judge the textbook's claims and write the page with the measurements behind them.")


@app.command()
def study() -> None:
    """Write the page of the study of negative sampling."""
    from bakeoff.stages import study as stage

    stage.run(Workspace())
