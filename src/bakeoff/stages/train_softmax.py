"""Stage `train_softmax`: split → models/softmax."""

from bakeoff.models.softmax.trainer import SoftmaxTrainer
from bakeoff.models.training import seed_everything
from bakeoff.params import Params
from bakeoff.preparation.histories import Queries
from bakeoff.stages.prepared import Prepared
from bakeoff.stages.training import MakeTrainer, train_contender
from bakeoff.workspace import Workspace


def run(params: Params, workspace: Workspace) -> None:
    """Train the softmax DNN.

    Raises:
        BakeoffError: see train_contender.
    """
    seed_everything(params.seed)
    settings = params.softmax

    def make(prepared: Prepared) -> MakeTrainer:
        sizes = prepared.user_features.categorical_sizes

        def trainer(queries: Queries) -> SoftmaxTrainer:
            return SoftmaxTrainer(queries, prepared.num_items, prepared.item_features, sizes, settings, params.seed)

        return trainer

    train_contender(workspace, "softmax", settings.max_epochs, make)
