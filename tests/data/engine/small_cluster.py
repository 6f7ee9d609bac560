"""A cluster of two executors on this machine, and how what it wrote is read."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bakeoff.data.engine.settings import EngineSettings, variable

# Queries of a few rows: what is compiled for speed, on either side, costs more than it saves. Classes of Spark's
# release need no verification, which takes a twentieth of the time.
QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
SPARK = EngineSettings(
    engine="spark",
    spark_master="local-cluster[2,1,1024]",
    spark_conf={
        "spark.driver.extraJavaOptions": QUICK,
        "spark.executor.extraJavaOptions": QUICK,
        "spark.executor.memory": "512m",
        "spark.sql.shuffle.partitions": 2,
        "spark.sql.adaptive.enabled": False,
    },
)


def use(monkeypatch: pytest.MonkeyPatch, settings: EngineSettings) -> None:
    """Set the environment to these settings."""
    for name, value in settings.model_dump(exclude_none=True).items():
        monkeypatch.setenv(variable(name), json.dumps(value) if isinstance(value, dict) else str(value))


def files(folder: Path) -> dict[str, pa.Table]:
    """Tables by name, be they files or directories of parts."""
    return {path.relative_to(folder).as_posix(): pq.read_table(path) for path in sorted(folder.rglob("[!p]*.parquet"))}
