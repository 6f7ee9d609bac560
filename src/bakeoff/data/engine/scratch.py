"""A directory for what is in between: gone when it is done with; where a run was killed, with the next one."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import psutil

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import disk_full_as_error
from bakeoff.data.engine.params import EngineParams

NAME = "bakeoff-"
"""What such directories are called, then by machine and process."""


@contextmanager
def scratch_directory(params: EngineParams) -> Iterator[Path]:
    """An empty directory below `engine.scratch`, or the system's.

    Raises:
        BakeoffError: it can't be written, or the disk is full.
    """
    own = f"{NAME}{socket.gethostname()}-"
    _clear(Path(params.scratch or gettempdir()), own)
    try:
        scratch = TemporaryDirectory(dir=params.scratch, prefix=f"{own}{os.getpid()}-")
    except OSError as error:
        raise BakeoffError(
            f"engine.scratch {params.scratch} can't be written ({error.strerror}): name a directory that exists, or "
            "null for the system's."
        ) from None
    with scratch as folder, disk_full_as_error(Path(folder)):
        yield Path(folder)


def _clear(folder: Path, own: str) -> None:
    """Remove what killed runs of this machine left: as large as the tables, and of use to nobody."""
    for left in folder.glob(f"{own}*-*"):
        number = left.name.removeprefix(own).partition("-")[0]
        if number.isdigit() and not psutil.pid_exists(int(number)):
            shutil.rmtree(left, ignore_errors=True)
