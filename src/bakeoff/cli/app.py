"""The command line: commands by subject, and how errors are printed.

Each command imports what it calls when it is called: TensorFlow alone takes seconds that `--help` must not cost.
"""

import gc
import sys
from pathlib import Path
from typing import NoReturn

import typer

from bakeoff.cli import data, init, models, operations, report
from bakeoff.core.errors import BakeoffError, denied_access, visible
from bakeoff.core.workspace import check_own_code

app = typer.Typer(
    help="Matrix factorisation or a softmax DNN? Measured on your own interaction data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for each in (init, data, models, report, operations):
    app.add_typer(each.app)


def main() -> None:
    """Entry point: a BakeoffError is printed for a person, without a trace; so is a full or read-only disk."""
    # Importing TensorFlow or Great Expectations makes a million objects that stay; Python would look for garbage among
    # them a thousand times, which is a tenth of the time of a short stage.
    gc.set_threshold(50_000)
    try:
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
    text = "\n".join(map(visible, str(error).split("\n")))  # it may quote a file
    print(f"error: {text}", file=sys.stderr)
    raise SystemExit(error.status or 1) from None
