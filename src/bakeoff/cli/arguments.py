"""What the commands share: arguments that name a model, the parameters, and commands that run one stage."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff.core.workspace import Workspace
from bakeoff.models.base import specs

if TYPE_CHECKING:
    from bakeoff.params import Params

START, STAGES, PRODUCTION = "From data to a verdict", "Stages of the pipelines, one at a time", "In production"
"""Headings of `bakeoff --help`."""
MODEL_HELP = f"{', '.join(specs.names()[:-1])} or {specs.names()[-1]}"


LogFolder = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Log of `serve`; none: $BAKEOFF_ONLINE_LOG or .bakeoff/online.")
]
ModelName = Annotated[str, typer.Argument(parser=specs.check_model, help=MODEL_HELP)]


def load() -> "Params":
    """The parameters of this directory, imported here so that `--help` need not wait for pydantic."""
    from bakeoff import params

    return params.load_params(Workspace().params)


def run_stage(name: str, *arguments: str) -> None:
    """Run a module of `bakeoff.stages` with the parameters of this directory."""
    import_module(f"bakeoff.stages.{name}").run(load(), Workspace(), *arguments)


def add_stage(app: typer.Typer, name: str, text: str) -> None:
    """Add a command that runs the stage of this name; `text` is its help."""

    @app.command(name, help=text, rich_help_panel=STAGES)
    def command() -> None:
        run_stage(name)


def add_model_stage(app: typer.Typer, name: str, text: str) -> None:
    """Likewise for a stage that runs once per model."""

    @app.command(name, help=text, rich_help_panel=STAGES)
    def command(model: ModelName) -> None:
        run_stage(name, model)
