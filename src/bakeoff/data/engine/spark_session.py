"""A session of Spark on the cluster that BAKEOFF_SPARK_MASTER names."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bakeoff.core.errors import BakeoffError, first_line
from bakeoff.data.engine.settings import EngineSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SETTINGS = {
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
    builder = builder.config(map={**own, **SETTINGS, **settings.spark_conf})
    try:
        return builder.getOrCreate()
    except Exception as error:  # noqa: BLE001  # of the JVM, of sockets, of Spark: all mean that it does not run
        raise BakeoffError(
            f"Spark can't be started at BAKEOFF_SPARK_MASTER={settings.spark_master} ({first_line(error)}): "
            "is the cluster up, and are Java 17 or 21 and the settings of BAKEOFF_SPARK_CONF right?"
        ) from None
