"""Stage `train_softmax`: split → models/softmax."""

from bakeoff.core.histories import Queries
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import Prepared
from bakeoff.experiments.training import train_contender
from bakeoff.models.neural.leading import of_team
from bakeoff.models.neural.team import Team
from bakeoff.models.neural.trainer import SoftmaxTrainer
from bakeoff.params import Params


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
