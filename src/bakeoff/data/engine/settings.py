"""Settings of the engine, its scratch directory and a session of Spark: the environment decides, not params.yaml.

Both engines make the same tables and lists, so that no stage depends on these settings. This is the one place that
reads them; docs/settings.md lists them.
"""

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING, Annotated, Literal

import psutil
from pydantic import Field, PositiveInt, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from bakeoff.core.errors import BakeoffError, first_line
from bakeoff.core.files import disk_full_as_error

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PREFIX = "BAKEOFF_"
SCRATCH_NAME = "bakeoff-"
"""Beginning of the names of scratch directories, then come machine and process."""

Size = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)? ?([KMGT]i?)?B$")]
"""A size that people write, such as `4GB` or `512 MiB`."""


class EngineSettings(BaseSettings):
    """The engine of validation, split and ranking, and what it may use."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    engine: Literal["duckdb", "spark"] = "duckdb"
    """`duckdb` runs within the process; `spark` needs `make spark` and Java 17 or 21."""
    memory_limit: Size | None = None
    """Memory that DuckDB takes before it spills to disk, such as `4GB`. Unset: most of what there is."""
    threads: PositiveInt | None = None
    """Threads of DuckDB. Unset: one per core."""
    processes: PositiveInt | None = None
    """Processes that rank in `evaluate` without Spark; each holds a model. 1: the stage's own, with a thread per core.
    Unset: one per core, up to 8 and up to one per 65,536 test users."""
    scratch: str | None = None
    """Directory for intermediate files, which are removed afterwards. Executors of Spark must see it under the same
    path. Unset: the system's."""
    spark_master: str = "local[*]"
    """URL of the Spark cluster; `local[*]` uses all cores of this machine."""
    spark_conf: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Further settings of Spark as JSON, such as `{"spark.executor.memory": "8g"}`."""


def engine_settings() -> EngineSettings:
    """Read the settings from the environment.

    Raises:
        BakeoffError: a variable has a value that is not allowed.
    """
    try:
        return EngineSettings()
    except ValidationError as error:
        faults = [f"  {variable(str(e['loc'][0]))}={e['input']!r}: {e['msg']}" for e in error.errors()]
    except SettingsError:
        faults = [f"  {variable('spark_conf')}: it must be a JSON object, such as {{}}"]
    raise BakeoffError("\n".join(["The environment is not valid (docs/settings.md):", *faults]))


def variable(field: str) -> str:
    """Name of the environment variable of a field, such as `BAKEOFF_MEMORY_LIMIT`."""
    return f"{PREFIX}{field.upper()}"


@contextmanager
def scratch_directory(settings: EngineSettings) -> Iterator[Path]:
    """An empty directory below BAKEOFF_SCRATCH, or the system's.

    Raises:
        BakeoffError: it can't be written, or the disk is full.
    """
    own = f"{SCRATCH_NAME}{socket.gethostname()}-"
    try:
        # What killed runs of this machine left is as large as the tables, and of use to nobody.
        for left in Path(settings.scratch or gettempdir()).glob(f"{own}*-*"):
            number, _, rest = left.name.removeprefix(own).partition("-")
            # The name of another machine may begin with this one's and a number: it has one part more.
            if number.isdigit() and "-" not in rest and not psutil.pid_exists(int(number)):
                shutil.rmtree(left, ignore_errors=True)
        scratch = TemporaryDirectory(dir=settings.scratch, prefix=f"{own}{os.getpid()}-")
    except OSError as error:
        where = (
            f"BAKEOFF_SCRATCH={settings.scratch}" if settings.scratch else "The directory for temporary files (TMPDIR)"
        )
        raise BakeoffError(
            f"{where} can't be written ({error.strerror}): set BAKEOFF_SCRATCH to a directory that exists, on a disk "
            "with room for the tables."
        ) from None
    with scratch as folder, disk_full_as_error(Path(folder)):
        yield Path(folder)


SPARK = {
    "spark.sql.session.timeZone": "UTC",
    # Columns of a team's file may differ in case alone.
    "spark.sql.caseSensitive": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.driver.maxResultSize": "0",  # distinct values of features come to this process, however many there are
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
}
"""Defaults, which BAKEOFF_SPARK_CONF may override."""


@contextmanager
def spark_session(settings: EngineSettings, scratch: Path, setting: str, other: str) -> Iterator["SparkSession"]:
    """A session of its own, or the one that this process has already, which is then left running.

    Args:
        settings: `spark_master` and `spark_conf` are used.
        scratch: directory for what is in between.
        setting: that asks for Spark, for messages, such as `BAKEOFF_ENGINE`.
        other: value of it that needs no Spark.

    Raises:
        BakeoffError: Spark or Java is missing, or the cluster does not answer.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise BakeoffError(
            f"{setting} asks for Spark, which is not installed: run `make spark`, or set {setting} to {other}."
        ) from None
    if (running := SparkSession.getActiveSession()) is not None:
        yield running
        return
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        raise BakeoffError(
            f"{setting} asks for Spark, and there is no Java: install a runtime of version 17 or 21 (on Debian "
            f"`default-jre-headless`) or set JAVA_HOME; or set {setting} to {other}."
        )
    session = _started(SparkSession.builder, settings, scratch)
    try:
        yield session
    finally:
        session.stop()


def _started(builder: "SparkSession.Builder", settings: EngineSettings, scratch: Path) -> "SparkSession":
    own = {"spark.local.dir": str(scratch), "spark.pyspark.python": sys.executable}
    if path := os.environ.get("PYTHONPATH"):
        own["spark.executorEnv.PYTHONPATH"] = path  # executors run the code that this process runs
    builder = builder.master(settings.spark_master).appName("bakeoff")
    builder = builder.config(map={**own, **SPARK, **settings.spark_conf})
    try:
        return builder.getOrCreate()
    except Exception as error:  # noqa: BLE001  # of the JVM, of sockets, of Spark: all mean that it does not run
        raise BakeoffError(
            f"Spark can't be started at BAKEOFF_SPARK_MASTER={settings.spark_master} ({first_line(error)}): "
            "is the cluster up, and are Java 17 or 21 and the settings of BAKEOFF_SPARK_CONF right?"
        ) from None
