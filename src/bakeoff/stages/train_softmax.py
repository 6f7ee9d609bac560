"""Stage `train_softmax`: split → models/softmax."""

from bakeoff.core.histories import Queries
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import Prepared
from bakeoff.experiments.training import train_contender
from bakeoff.models.neural.trainer import SoftmaxTrainer
from bakeoff.params import Params


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
