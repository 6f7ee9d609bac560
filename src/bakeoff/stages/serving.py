"""Stage `serving`: how fast the exported models answer."""

from collections.abc import Mapping
from typing import Any

from bakeoff.core.cost import measure
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_prepared
from bakeoff.experiments.latency import BATCHES, load_exported, measure_latency
from bakeoff.params import Params


def run(params: Params, workspace: Workspace) -> None:
    """Measure the latency of every exported model, by user id and by history; skipped models are left out.

    Reads artifacts/split and models/; writes artifacts/cost/serving.json.

    Raises:
        BakeoffError: there is no split, or a model is missing or does not fit the split.
    """
    with measure(workspace, "serving") as cost:
        prepared = load_prepared(workspace)
        exported = load_exported(workspace, prepared.items)
        models = measure_latency(exported, prepared, params.seed, params.evidence.serving_seconds)
        cost.note(models=models)
    _print(models)


def _print(models: Mapping[str, Any]) -> None:
    for name, figures in models.items():
        one, many = (figures["batches"][str(size)]["p50_seconds"] for size in BATCHES)
        print(
            f"{name}: one query {1000 * one:.2f} ms, {BATCHES[1]} together {1000 * many:.1f} ms (medians), "
            f"{figures['model_bytes'] / 2**20:.1f} MiB"
        )
