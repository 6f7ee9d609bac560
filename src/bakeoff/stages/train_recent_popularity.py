"""Stage `train_recent_popularity`: split → models/recent_popularity, the popularity of a window before now."""

import numpy as np

from bakeoff.core.histories import Histories
from bakeoff.core.workspace import Workspace
from bakeoff.experiments.baseline import Baseline, train_baseline
from bakeoff.models.base.epochs import seed_everything
from bakeoff.models.popularity.popularity import PopularityEncoder, recent_frequencies
from bakeoff.params import Params


def run(params: Params, workspace: Workspace) -> None:
    """Count the events of the window and export; where events have no time, those of all time.

    Raises:
        BakeoffError: there is no split, or it has no train event.
    """
    seed_everything(params.seed)
    days = params.recent_popularity.window_days

    def count(known: Histories, num_items: int) -> Baseline:
        has_times = bool(known.timestamps.any())
        frequencies = recent_frequencies(known, num_items, days)
        counted = int(np.floor(frequencies).sum())
        window = f"the last {days:g} days" if has_times else "all time, since no event has a time"
        print(f"recent_popularity: {num_items:,} items counted over {counted:,} events of {window}")
        return Baseline(
            PopularityEncoder(frequencies),
            num_parameters=num_items,
            num_train_events=len(known.items),
            settings={"window_days": days if has_times else None},
            notes={"events_in_window": counted, "events_without_time": 0 if has_times else counted},
        )

    train_baseline(workspace, "recent_popularity", count)
