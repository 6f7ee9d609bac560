"""DVC's commands, without its start of a second each."""

import importlib
import sys
from typing import Any

from forking import serve

MODULES = (
    "dvc.cli dvc.repo dvc.repo.reproduce dvc.repo.checkout dvc.repo.status dvc.repo.add dvc.repo.push dvc.repo.pull "
    "dvc.commands.repro dvc.commands.checkout dvc.commands.status dvc.commands.data_sync dvc.stage.run dvc.output "
    "dvc_data.index dvc_data.hashfile.db dvc.cachemgr dvc.data_cloud dvc.scm dvc.ignore dvc.lock dvc.rwlock"
)


def load() -> None:
    """Import what commands import."""
    for name in MODULES.split():
        importlib.import_module(name)


def run(command: dict[str, Any]) -> None:
    """`dvc` with these arguments, perhaps sabotaged."""
    import dvc.cli
    import saboteur

    sys.argv = ["dvc", *command["arguments"]]
    saboteur.install(command)
    sys.exit(dvc.cli.main(command["arguments"]))


if __name__ == "__main__":
    serve(load, run)
