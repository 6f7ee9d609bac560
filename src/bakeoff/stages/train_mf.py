"""Stage `train_mf`: split → models/mf."""

from bakeoff.models.mf.trainer import MFTrainer
from bakeoff.params import Params
from bakeoff.preparation.histories import Queries
from bakeoff.stages.prepared import Prepared
from bakeoff.stages.training import train_contender
from bakeoff.workspace import Workspace


def build(prepared: Prepared, queries: Queries, params: Params) -> MFTrainer:
    """A fresh trainer on the histories of these queries."""
    return MFTrainer(queries.histories, prepared.num_items, params.mf, params.seed)


def run(params: Params, workspace: Workspace) -> None:
    """Train matrix factorisation.

    Raises:
        BakeoffError: see train_contender.
    """
    train_contender(params, workspace, "mf", params.mf.max_epochs, build)
