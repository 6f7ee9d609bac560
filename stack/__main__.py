"""`python -m stack up`, `down` and `status`: the local stack of this project."""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from . import database
from .layout import LOOPBACK, PROJECT, Layout, Options, StackError
from .lifecycle import down, status, up


def main() -> None:
    """Read the command line and do it; a failure says what can be done."""
    console = Console(highlight=False, soft_wrap=True)
    arguments = parse()
    layout = Layout(Path(arguments.home).resolve())
    try:
        if arguments.command == "up":
            up(layout, wanted(layout, arguments), console)
        elif arguments.command == "down":
            down(layout, console)
        else:
            sys.exit(status(layout, console))
    except StackError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m stack", description=__doc__)
    parser.add_argument("--home", default=PROJECT / ".stack", help="where it keeps its files (default: .stack)")
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", help="start all of it and wait until it is healthy; options are kept")
    start.add_argument("--host", help="address of the Prefect server (default: 127.0.0.1)")
    start.add_argument("--port", type=int, help="its port (default: 4200)")
    start.add_argument("--workers", type=int, choices=range(1, 17), metavar="N", help="how many (default: 1)")
    start.add_argument("--database", choices=("postgresql", "sqlite"), help="default: postgresql if it is installed")
    commands.add_parser("down", help="end all of it; data and history stay")
    commands.add_parser("status", help="each program, its health and its log; exit status 1 if something is wrong")
    return parser.parse_args()


def wanted(layout: Layout, arguments: argparse.Namespace) -> Options:
    """The options of this `up`: given now, or kept from the last, or the defaults.

    Raises:
        StackError: the server would be open to others without a password, or the database is not installed.
    """
    before = layout.load()
    given = {name: getattr(arguments, name) for name in ("host", "port", "workers", "database")}
    options = replace(before or Options(), **{name: value for name, value in given.items() if value is not None})
    installed = database.find_binaries(layout.data) is not None
    if before is None and arguments.database is None and not installed:
        options = replace(options, database="sqlite")
    if options.database == "postgresql" and not installed:
        raise StackError(
            "PostgreSQL is not installed (Debian: apt-get install postgresql). Without it: --database sqlite."
        )
    if options.host not in LOOPBACK and not os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        raise StackError(
            f"On {options.host} others could reach the Prefect server, and whoever does can run code here. Set "
            "PREFECT_SERVER_API_AUTH_STRING and PREFECT_API_AUTH_STRING to the same user:password first, or leave out "
            "--host."
        )
    return options


if __name__ == "__main__":
    main()
