"""A cluster of two executors on this machine, and how what it wrote is read."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bakeoff.data.engine.params import EngineParams

# Queries of a few rows: what is compiled for speed, on either side, costs more than it saves. Classes of Spark's
# release need no verification, which takes a twentieth of the time.
QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
SPARK = EngineParams(
    name="spark",
    master="local-cluster[2,1,1024]",
    conf={
        "spark.driver.extraJavaOptions": QUICK,
        "spark.executor.extraJavaOptions": QUICK,
        "spark.executor.memory": "512m",
        "spark.sql.shuffle.partitions": 2,
        "spark.sql.adaptive.enabled": False,
    },
)


def files(folder: Path) -> dict[str, pa.Table]:
    """Tables by name, be they files or directories of parts."""
    return {path.relative_to(folder).as_posix(): pq.read_table(path) for path in sorted(folder.rglob("[!p]*.parquet"))}
