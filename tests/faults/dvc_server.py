"""DVC's commands, without its start of a second each."""

import sys
from typing import Any

from forking import load_dvc, serve


def run(command: dict[str, Any]) -> None:
    """`dvc` with these arguments, perhaps sabotaged."""
    import dvc.cli
    import saboteur

    sys.argv = ["dvc", *command["arguments"]]
    saboteur.install(command)
    sys.exit(dvc.cli.main(command["arguments"]))


if __name__ == "__main__":
    serve(load_dvc, run)
