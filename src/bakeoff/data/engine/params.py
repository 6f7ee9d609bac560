"""What prepares the tables and ranks: this machine, or Spark."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from bakeoff.core.parameters import Frozen

Size = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)? ?([KMGT]i?)?B$")]
"""A size that people write, such as `4GB` or `512 MiB`."""


class EngineParams(Frozen):
    """The engine of validation, split and ranking. Either makes the same tables and lists: nothing is run again."""

    name: Literal["duckdb", "spark"] = "duckdb"
    """`duckdb` runs within the process; `spark` needs `make spark` and Java 17 or 21."""
    memory_limit: Size | None = None
    """Of DuckDB: memory that it may take before it spills to `scratch`, such as `4GB`; null: most of what there is."""
    threads: PositiveInt | None = None
    """Of DuckDB: threads; null: one per core. What Spark takes is said by `master`."""
    processes: PositiveInt | None = None
    """Without Spark: processes that rank in `evaluate`, which share the cores; each holds a model. null: one
    per core, but no more than 8 or than portions of 65,536 test users; 1: the stage's own, with a thread per core."""
    scratch: str | None = None
    """Directory for what is in between, which is gone afterwards; null: the system's. All executors of Spark must
    see it under the same path."""
    master: str = "local[*]"
    """Of Spark: URL of the cluster, `local[*]` for all cores of this machine."""
    conf: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Of Spark: further settings by their names, such as `spark.executor.memory: 8g`."""
