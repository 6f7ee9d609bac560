"""Stage `train_popularity`: split → models/popularity, the reference."""

from bakeoff.models.popularity import PopularityEncoder
from bakeoff.models.training import seed_everything
from bakeoff.params import Params
from bakeoff.stages.cost import measure
from bakeoff.stages.prepared import load_prepared
from bakeoff.stages.training import warm_users, write_model
from bakeoff.workspace import Workspace


def run(params: Params, workspace: Workspace) -> None:
    """Count events and export; there is no setting to choose.

    Raises:
        BakeoffError: there is no split, or it has no train event.
    """
    seed_everything(params.seed)
    with measure(workspace, "train_popularity") as cost:
        prepared = load_prepared(workspace)
        warm_users(prepared)
        frequencies = prepared.items["fit_count"].to_numpy()
        description = {
            "model": "popularity",
            "dim": 1,
            "selected_epoch": None,
            "selection_metric": None,
            "num_parameters": len(frequencies),
            "num_train_events": int(frequencies.sum()),
            "fallback": None,
            "curve": [],
            "refit_curve": [],
            "settings": {},
            "notes": {},
        }
        write_model(workspace, "popularity", PopularityEncoder(frequencies), prepared, description)
        cost.note(selection_seconds=0.0, refit_seconds=0.0, seconds_per_epoch=0.0)
    print(f"popularity: {len(frequencies):,} items counted over {int(frequencies.sum()):,} events")
