"""What the commands share: the argument that names a model, and the parameters."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff.models.base import specs

if TYPE_CHECKING:
    from bakeoff.params import Params

MODEL_HELP = f"{', '.join(specs.names()[:-1])} or {specs.names()[-1]}"
ModelName = Annotated[str, typer.Argument(help=MODEL_HELP)]


def load_params(path: Path) -> "Params":
    """See `bakeoff.params.load_params`, which is imported here so that `--help` need not wait for pydantic."""
    from bakeoff import params

    return params.load_params(path)
