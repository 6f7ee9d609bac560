"""The command line."""

from bakeoff.core.errors import BakeoffError


def main() -> None:
    """Entry point: the commands, or why they can't be listed: a package registers models that can't be loaded."""
    try:
        from bakeoff.cli.app import main as run
    except BakeoffError as error:
        raise SystemExit(f"error: {error}") from None
    run()
