"""The command line, and how errors are printed."""

import gc
import sys
import time
from pathlib import Path
from typing import NoReturn

from bakeoff.core.errors import BakeoffError, denied_access, visible
from bakeoff.core.workspace import check_own_code


def main() -> None:
    """Entry point: a BakeoffError is printed for a person, without a trace; so is a full or read-only disk."""
    # Importing TensorFlow or Great Expectations makes a million objects that stay; Python would look for garbage among
    # them a thousand times, which is a tenth of the time of a short stage.
    gc.set_threshold(50_000)
    try:
        from bakeoff.cli.app import app  # raises where a package registers models that can't be loaded

        if sys.argv[1:2] != ["doctor"]:  # which says so itself, with all else that is wrong
            check_own_code(Path())
        app()
    except BakeoffError as error:
        fail(error)
    except OSError as error:
        from bakeoff.core.files import full_disk

        known = full_disk(error, Path()) or denied_access(error)
        if known is None:
            raise
        fail(known)


def fail(error: BakeoffError) -> NoReturn:
    """Print an error without a trace, and exit."""
    text = "\n".join(map(visible, str(error).expandtabs().split("\n")))  # it may quote a file
    print(f"error: {text}", file=sys.stderr)
    # Arrow's threads let go of a file some time after its last row; while Python ends, that would abort the process.
    time.sleep(0.1)
    raise SystemExit(error.status or 1) from None
