"""Who trains: an order to machines, which changes no result beyond rounding."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator

from bakeoff.core.parameters import Frozen

_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\]):([0-9]{1,5})")


def _host(value: str) -> str:
    found = _HOST.fullmatch(value)
    if not found or not 0 < int(found[1]) < 2**16 - 1:  # the next port is taken as well
        raise ValueError("a worker's address must be host:port, such as 10.0.0.5:2222")
    return value


class WorkersParams(Frozen):
    """Processes that train the softmax DNN and the two-tower model together; see docs/workers.md."""

    processes: Annotated[PositiveInt, Field(le=256)] = 1
    """Processes on this machine, which share its cores."""
    hosts: tuple[Annotated[str, AfterValidator(_host)], ...] = ()
    """Addresses of workers on several machines, host:port, instead; the first is the one that runs the pipeline, the
    others run `bakeoff worker`. The two-tower model takes the next port."""
    divide_items_from: PositiveInt = 1_000_000
    """Items from which on each worker has its share of the items' vectors and of Adam's moments; below all have all."""
    start_seconds: PositiveFloat = 600.0
    """How long a worker waits for the others to be there."""

    @model_validator(mode="after")
    def _hosts_are_several(self) -> Self:
        if len(self.hosts) == 1:
            raise ValueError(f"hosts names {self.hosts[0]} alone: name two workers or more, or none")
        if twice := sorted({host for host in self.hosts if self.hosts.count(host) > 1}):
            raise ValueError(f"hosts names {twice[0]} twice: every worker has an address of its own")
        return self
