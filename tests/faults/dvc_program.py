"""DVC's commands, perhaps sabotaged: a program of `forking`."""

import sys
from typing import Any


def run(command: dict[str, Any]) -> None:
    """`dvc` with these arguments, perhaps sabotaged."""
    import dvc.cli
    import saboteur

    sys.argv = ["dvc", *command["arguments"]]
    saboteur.install(command)
    sys.exit(dvc.cli.main(command["arguments"]))
