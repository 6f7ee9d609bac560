"""`bakeoff fetch` and the return of what it moved away, which may kill themselves: a program of `forking`."""

import importlib
import os
import signal
from pathlib import Path
from typing import Any


def run(command: dict[str, Any]) -> None:
    """Fetch from `source` beside the workspace, or restore; killed at the call of `kill_at`: `module` and `name`.

    With `before`, in place of that call; else after it.
    """
    import fake_dvc

    from bakeoff.core.workspace import Workspace
    from bakeoff.data.fetch import command as fetch
    from bakeoff.data.fetch import data_directory, versioning
    from bakeoff.data.fetch.own_sources import Request
    from bakeoff.data.params import ColumnParams, DataParams
    from bakeoff.params import Params

    versioning.read_output = fake_dvc.read_output  # type: ignore[assignment]
    versioning.succeeds = fake_dvc.succeeds  # type: ignore[assignment]
    root = Path(command["workspace"])
    if command.get("restore"):
        versioning.succeeds = cut  # type: ignore[assignment]
        versioning.restore_data(root, data_directory.NEW)
        return
    module = importlib.import_module(command["module"])
    original = getattr(module, command["name"])

    def deadly(*arguments: Any, **options: Any) -> None:
        if not command["before"]:
            original(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(module, command["name"], deadly)
    params = Params(data=DataParams(dataset="shop", columns=ColumnParams(rating=None)))
    fetch.run(params.data, Workspace(root), Request(root.parent / "source"))


def cut(place: Path, *arguments: str) -> None:
    """What `dvc get` leaves when it is killed in the middle of its work."""
    if "get" in arguments:
        (place / arguments[-1]).mkdir()
        os.kill(os.getpid(), signal.SIGKILL)
