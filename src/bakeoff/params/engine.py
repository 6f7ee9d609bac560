"""What prepares the tables: a database within the process, or Spark."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from bakeoff.params.base import Frozen

Size = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)? ?([KMGT]i?)?B$")]
"""A size that people write, such as `4GB` or `512 MiB`."""


class EngineParams(Frozen):
    """The engine of validation and of the split. Either makes the same tables, so nothing is run again for it."""

    name: Literal["duckdb", "spark"] = "duckdb"
    """`duckdb` runs within the process; `spark` needs `make spark` and Java 17 or 21."""
    memory_limit: Size | None = None
    """Of DuckDB: memory that it may take before it spills to `scratch`, such as `4GB`; null: most of what there is."""
    threads: PositiveInt | None = None
    """Of DuckDB: threads; null: one per core. What Spark takes is said by `master`."""
    scratch: str | None = None
    """Directory for what is in between, which is gone afterwards; null: the system's. All executors of Spark must
    see it under the same path."""
    master: str = "local[*]"
    """Of Spark: URL of the cluster, `local[*]` for all cores of this machine."""
    conf: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Of Spark: further settings by their names, such as `spark.executor.memory: 8g`."""
