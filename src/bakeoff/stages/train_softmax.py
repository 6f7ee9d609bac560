"""Stage `train_softmax`: split → models/softmax."""

from bakeoff.models.softmax.trainer import SoftmaxTrainer
from bakeoff.models.training.leading import of_team
from bakeoff.models.training.team import Team
from bakeoff.params import Params
from bakeoff.preparation.histories import Queries
from bakeoff.stages.prepared import Prepared
from bakeoff.stages.training import train_contender
from bakeoff.workspace import Workspace


def build(prepared: Prepared, queries: Queries, params: Params, team: Team | None = None) -> SoftmaxTrainer:
    """A fresh trainer on the histories of these queries; with a team, one of its workers."""
    sizes = prepared.encoding.user.categorical_sizes
    divide = prepared.num_items >= params.workers.divide_items_from
    return SoftmaxTrainer(
        queries, prepared.num_items, prepared.item_features, sizes, params.softmax, params.seed, team, divide
    )


def run(params: Params, workspace: Workspace, team: Team | None = None) -> None:
    """Train the softmax DNN; with a team, as one of its workers.

    Raises:
        BakeoffError: see train_contender.
    """
    train_contender(params, workspace, "softmax", params.softmax.max_epochs, of_team(build, team), team=team)
