"""Stage `train_softmax`: split → models/softmax."""

from bakeoff.models.softmax.trainer import SoftmaxTrainer
from bakeoff.params import Params
from bakeoff.preparation.histories import Queries
from bakeoff.stages.prepared import Prepared
from bakeoff.stages.training import train_contender
from bakeoff.workspace import Workspace


def build(prepared: Prepared, queries: Queries, params: Params) -> SoftmaxTrainer:
    """A fresh trainer on the histories of these queries."""
    sizes = prepared.encoding.user.categorical_sizes
    return SoftmaxTrainer(queries, prepared.num_items, prepared.item_features, sizes, params.softmax, params.seed)


def run(params: Params, workspace: Workspace) -> None:
    """Train the softmax DNN.

    Raises:
        BakeoffError: see train_contender.
    """
    train_contender(params, workspace, "softmax", params.softmax.max_epochs, build)
