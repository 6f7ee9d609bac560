"""Stage `train_ease`: split → models/ease, or a note that the catalogue is too large for it."""

from bakeoff.core.histories import Histories
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import Prepared
from bakeoff.experiments.baseline import Baseline, train_baseline
from bakeoff.models.base.encoder import in_order
from bakeoff.models.base.epochs import seed_everything
from bakeoff.models.ease import ease
from bakeoff.params import Params


def why_not(prepared: Prepared, params: Params) -> str | None:
    """Why the model can't be trained on this split, or None."""
    num_items, limit = prepared.num_items, params.ease.max_items
    if num_items <= limit:
        return None
    gigabytes = 14 * num_items**2 / 1e9  # see ease.fit
    return (
        f"EASE weighs every item against every other: {num_items:,} items would take {gigabytes:,.1f} GB. "
        f"They are more than ease.max_items = {limit:,} in params.yaml."
    )


def run(params: Params, workspace: Workspace) -> None:
    """Solve EASE on train and validation and export it; skip it above `ease.max_items`.

    Raises:
        BakeoffError: there is no split, it has no train event, or the regularisation is too small.
    """
    seed_everything(params.seed)
    settings = params.ease

    def solve(known: Histories, num_items: int) -> Baseline:
        encoder = ease.fit(known, num_items, settings)
        num_weights = num_items * (num_items - 1)  # an item says nothing about itself
        print(f"ease: {num_weights:,} weights between {num_items:,} items, of {len(known.items):,} events")
        return Baseline(
            encoder,
            num_parameters=num_weights,
            num_train_events=len(known.items),
            settings=in_order(settings, known).model_dump(mode="json"),
        )

    train_baseline(workspace, "ease", solve, lambda prepared: why_not(prepared, params))
