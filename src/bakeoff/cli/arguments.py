"""What the commands share: the argument that names a model, and the parameters."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bakeoff.params import Params

MODEL_HELP = "A model, such as mf or softmax; for an unknown name, the error lists all."
ModelName = Annotated[str, typer.Argument(help=MODEL_HELP)]


def load_params(path: Path) -> "Params":
    """See `bakeoff.params.load_params`, which is imported here so that `--help` need not wait for pydantic."""
    from bakeoff import params

    return params.load_params(path)


def check_model(name: str) -> None:
    """See `bakeoff.models.specs.check_model`, which is imported here for the same reason."""
    from bakeoff.models import specs

    specs.check_model(name)
