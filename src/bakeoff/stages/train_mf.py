"""Stage `train_mf`: split → models/mf."""

from functools import partial

from bakeoff.core.histories import Queries
from bakeoff.core.workspace import Workspace
from bakeoff.data.engine.scratch import scratch_directory
from bakeoff.data.engine.settings import engine_settings
from bakeoff.data.engine.spark_session import spark_session
from bakeoff.data.prepared.tables import Prepared
from bakeoff.experiments.training import train_contender
from bakeoff.models.mf.mllib import MLlibALS
from bakeoff.models.mf.spark_exchange import observed_pairs
from bakeoff.models.mf.trainer import MFTrainer
from bakeoff.params import Params


def build(prepared: Prepared, queries: Queries, params: Params) -> MFTrainer:
    """A fresh trainer on the histories of these queries, in this process whatever `mf.solver` says."""
    return MFTrainer(queries.histories, prepared.num_items, params.mf, params.seed)


def run(params: Params, workspace: Workspace) -> None:
    """Train matrix factorisation.

    Raises:
        BakeoffError: see train_contender; with `mf.solver: mllib`, Spark can't be had.
    """
    if params.mf.solver == "mllib":
        _run_on_spark(params, workspace)
    else:
        train_contender(params, workspace, "mf", params.mf.max_epochs, build)


def _run_on_spark(params: Params, workspace: Workspace) -> None:
    """All iterations count as one epoch, so that validation still measures what is kept."""
    with (
        scratch_directory(engine_settings()) as scratch,
        spark_session(engine_settings(), scratch, "mf.solver", "auto") as session,
    ):
        # Each iteration rests on those before it: without a place to cut this chain, some tens overflow the stack.
        session.sparkContext.setCheckpointDir(scratch.resolve().as_uri())

        def build_there(prepared: Prepared, queries: Queries, params: Params) -> MFTrainer:
            factorise = partial(MLlibALS, pairs=partial(observed_pairs, session=session, scratch=scratch))
            return MFTrainer(queries.histories, prepared.num_items, params.mf, params.seed, factorise)

        train_contender(params, workspace, "mf", 1, build_there)
