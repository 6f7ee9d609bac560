"""Stage `rerank`: the softmax DNN as a scorer of the candidates that MF retrieves."""

import pyarrow.parquet as pq

from bakeoff.core.cost import measure
from bakeoff.core.files import replaced, write_json
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_held_out, load_prepared
from bakeoff.experiments.rerank import RETRIEVER, SCORER, measure_reranking
from bakeoff.experiments.training.runner import REFERENCES
from bakeoff.models.base.storage import load_fitting, why_skipped
from bakeoff.params import Params


def run(params: Params, workspace: Workspace) -> None:
    """Rank MF's candidates by the softmax DNN's scores, and compare with the lists of both and of reference models.

    Reads artifacts/split, both models and the reference models; writes artifacts/rerank and artifacts/cost/rerank.json.
    If training skipped one of the two, rerank.json gives the reason and is the only file.

    Args:
        params: of the project.
        workspace: that holds the files.

    Raises:
        BakeoffError: a model or the split is missing, they do not belong together, no warm user has a test item, or
            the embeddings are not finite.
    """
    with measure(workspace, "rerank"):
        reasons = {model: why_skipped(workspace, model) for model in (RETRIEVER, SCORER)}
        skipped = " ".join(f"{model} was skipped: {why}" for model, why in reasons.items() if why is not None)
        if skipped:
            with replaced(workspace.rerank) as folder:
                write_json(folder / "rerank.json", {"skipped": skipped})
            print(f"Nothing is reranked. {skipped}")
            return
        prepared = load_prepared(workspace)
        test = load_held_out(workspace, prepared).test
        others = [m for m in REFERENCES if workspace.trained(m).exists() and why_skipped(workspace, m) is None]
        models = {model: load_fitting(workspace, model, prepared.items) for model in (*reasons, *others)}
        content, users = measure_reranking(params.experiments, prepared, test, models)
        with replaced(workspace.rerank) as folder:
            pq.write_table(users, folder / "users.parquet")
            write_json(folder / "rerank.json", content)
