"""Where stages run. No stage depends on it: where a result was made says nothing about the result."""

from typing import Annotated

from pydantic import Field, PositiveFloat

from bakeoff.core.parameters import Frozen

StageName = Annotated[str, Field(min_length=1)]
"""A stage of `dvc.yaml` as DVC calls it: `train_softmax`, `evaluate@mf`."""
PoolName = Annotated[str, Field(pattern=r"^[^/%&><\s]+$")]
"""A work pool of the Prefect server."""
Placement = dict[StageName, PoolName]


class PlacedParams(Frozen):
    """How a run deals with stages that it gives to other machines (docs/placement.md)."""

    git_remote: Annotated[str, Field(pattern=r"^[^-\s]\S*$")] | None = None
    """URL or absolute path of the Git repository that workers fetch the revision from; null: `origin`, the workspace's
    own remote."""
    worker_seconds: Annotated[PositiveFloat, Field(le=24 * 3600)] = 60
    """Seconds without a sign of a worker of the pool after which a stage that waits for one is given up. A worker asks
    for work every 5 to 15 s."""
