"""Stage `train_two_tower`: split → models/two_tower, or a note that items have no features to be told by."""

from functools import partial

from bakeoff.core.histories import Queries
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import Prepared
from bakeoff.experiments.training import train_contender
from bakeoff.models.neural.trainer import SoftmaxTrainer
from bakeoff.params import Params

NAME = "two_tower"

NO_FEATURES = (
    "Items have no features, and without them the two-tower model is the softmax DNN: "
    "name some under data.item_features in params.yaml."
)


def build(prepared: Prepared, queries: Queries, params: Params) -> SoftmaxTrainer:
    """A fresh trainer on the histories of these queries."""
    sizes = prepared.encoding.user.categorical_sizes
    return SoftmaxTrainer(queries, prepared.num_items, prepared.item_features, sizes, params.two_tower, params.seed)


def why_not(prepared: Prepared, params: Params) -> str | None:
    """Why the model can't be trained on this split, or None."""
    return None if prepared.item_features.num_features > 0 else NO_FEATURES


def run(params: Params, workspace: Workspace) -> None:
    """Train the two-tower model; skip it where items have no features.

    Raises:
        BakeoffError: see train_contender.
    """
    epochs = params.two_tower.max_epochs
    reason = partial(why_not, params=params)
    train_contender(params, workspace, NAME, epochs, build, reason)
