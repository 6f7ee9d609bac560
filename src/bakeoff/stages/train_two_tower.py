"""Stage `train_two_tower`: split → models/two_tower, or a note that items have no features to be told by."""

from bakeoff.models.softmax.trainer import SoftmaxTrainer
from bakeoff.params import Params
from bakeoff.preparation.histories import Queries
from bakeoff.stages.cost import measure
from bakeoff.stages.prepared import Prepared, load_prepared
from bakeoff.stages.skipped import skip_training
from bakeoff.stages.training import train_contender
from bakeoff.workspace import Workspace

NAME = "two_tower"

NO_FEATURES = (
    "Items have no features, and without them the two-tower model is the softmax DNN: "
    "name some under data.item_features in params.yaml."
)


def build(prepared: Prepared, queries: Queries, params: Params) -> SoftmaxTrainer:
    """A fresh trainer on the histories of these queries."""
    sizes = {name: len(values) for name, values in prepared.encoding.user.categorical.items()}
    return SoftmaxTrainer(queries, prepared.num_items, prepared.item_features, sizes, params.two_tower, params.seed)


def run(params: Params, workspace: Workspace) -> None:
    """Train the two-tower model; skip it where items have no features.

    Raises:
        BakeoffError: see train_contender.
    """
    if load_prepared(workspace).item_features.num_features > 0:
        train_contender(params, workspace, NAME, params.two_tower.max_epochs, build)
        return
    with measure(workspace, f"train_{NAME}") as cost:
        cost.note(selection_seconds=0.0, refit_seconds=0.0, seconds_per_epoch=0.0)
        skip_training(workspace, NAME, NO_FEATURES)
