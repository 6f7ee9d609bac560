"""A training step of which this process computes a part, as dropout has to know it."""

from typing import Any, NamedTuple


class PartStep(NamedTuple):
    """What stands in the place of a step's number: a part drops what the whole batch would drop there."""

    number: Any
    """Of the step."""
    places: Any
    """int32, places of the part's rows in the batch."""
    total: Any
    """int32, rows of the batch."""


def number_and_part(drop_at: Any) -> tuple[Any, PartStep | None]:
    """The number of a step, and the part that it is if it is one."""
    return (drop_at.number, drop_at) if isinstance(drop_at, PartStep) else (drop_at, None)
