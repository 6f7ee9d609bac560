"""Stage `planted`: a generated data set with known groups → folding of contenders and reference models."""

import pyarrow.parquet as pq

from bakeoff.core.cost import measure
from bakeoff.core.files import replaced, write_json
from bakeoff.core.workspace import Workspace
from bakeoff.experiments.planted.measure import measure_planted
from bakeoff.params import Params


def run(params: Params, workspace: Workspace) -> None:
    """Train contenders and reference models on planted groups and write what is measured to artifacts/planted.

    Raises:
        BakeoffError: no such data set can be generated.
    """
    with measure(workspace, "planted"):
        content, tables = measure_planted(params.experiments)
        with replaced(workspace.planted) as folder:
            write_json(folder / "planted.json", content)
            for name, table in tables.items():
                pq.write_table(table, folder / f"{name}.parquet")
