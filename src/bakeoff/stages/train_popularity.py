"""Stage `train_popularity`: split → models/popularity, the reference."""

from bakeoff.core.histories import Histories
from bakeoff.core.workspace import Workspace
from bakeoff.experiments.baseline import Baseline, train_baseline
from bakeoff.models.base.epochs import seed_everything
from bakeoff.models.popularity.popularity import PopularityEncoder
from bakeoff.params import Params


def run(params: Params, workspace: Workspace) -> None:
    """Count events and export; there is no setting to choose.

    Raises:
        BakeoffError: there is no split, or it has no train event.
    """
    seed_everything(params.seed)

    def count(known: Histories, num_items: int) -> Baseline:
        frequencies = known.item_counts(num_items)
        print(f"popularity: {num_items:,} items counted over {len(known.items):,} events")
        return Baseline(PopularityEncoder(frequencies), num_items, len(known.items))

    train_baseline(workspace, "popularity", count)
