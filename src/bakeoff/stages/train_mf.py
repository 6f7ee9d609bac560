"""Stage `train_mf`: split → models/mf."""

from bakeoff.models.mf.trainer import MFTrainer
from bakeoff.models.training import seed_everything
from bakeoff.params import Params
from bakeoff.preparation.histories import Queries
from bakeoff.stages.prepared import Prepared
from bakeoff.stages.training import MakeTrainer, train_contender
from bakeoff.workspace import Workspace


def run(params: Params, workspace: Workspace) -> None:
    """Train matrix factorisation.

    Raises:
        BakeoffError: see train_contender.
    """
    seed_everything(params.seed)

    def make(prepared: Prepared) -> MakeTrainer:
        def trainer(queries: Queries) -> MFTrainer:
            return MFTrainer(queries.histories, prepared.num_items, params.mf, params.seed)

        return trainer

    train_contender(workspace, "mf", params.mf.max_epochs, make)
