"""Secrets: from the worker's environment, or from a Secret block of the Prefect server. Never from a file in Git."""

import os
from typing import Any

from prefect.blocks.system import Secret


def read_secret(variable: str, block: str) -> str | None:
    """The secret, if there is one; the environment goes first.

    Args:
        variable: name of an environment variable.
        block: name of a Secret block on the Prefect server.
    """
    value = os.environ.get(variable)
    if value:
        return value
    try:
        stored: Any = Secret.load(block)
    except ValueError:  # there is no such block
        return None
    return str(stored.get())
