"""Everything that the comparison rests on, as read from the earlier stages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from bakeoff.core.errors import BakeoffError
from bakeoff.report.accuracy import PerUser, per_user_of
from bakeoff.report.measured import NOTHING_MEASURED, MeasuredEvidence


@dataclass(frozen=True)
class ModelEvidence:
    """What is known of one evaluated model.

    Attributes:
        users: one row per warm test user: user_id, num_history, num_test and one column per metric.
        new_users: one row per new user and number of first interactions, with `fallback`.
        lists: the first places of the lists of warm users: user_id, rank (1-based), item_id.
        new_lists: the same for new users, with first_interactions.
        metrics: metrics.json of the evaluation: means over users, and figures of all lists together.
        training: training.json of the model.
        training_cost: measured cost of training; empty if it was not measured.
        evaluation_cost: measured cost of ranking the catalogue for all test users; empty likewise.
        shuffled_users: like `users`, with the order of each history shuffled.
        shuffled_lists: like `lists`, with shuffled histories.
        sampled: metrics of ranking each test item among a few random ones: user_id, num_test, one column per metric.
        neighbours: nearest items by cosine: item_id, rank (1-based), neighbour_id, similarity; empty for a model
            that has one number per item, and where `compare` needs no items.
        positions: item embeddings in two dimensions: item_id, x, y; empty likewise.
    """

    users: pd.DataFrame
    new_users: pd.DataFrame
    lists: pd.DataFrame
    new_lists: pd.DataFrame
    metrics: Mapping[str, Any]
    training: Mapping[str, Any]
    training_cost: Mapping[str, Any]
    evaluation_cost: Mapping[str, float]
    shuffled_users: pd.DataFrame
    shuffled_lists: pd.DataFrame
    sampled: pd.DataFrame
    neighbours: pd.DataFrame = field(default_factory=pd.DataFrame)
    positions: pd.DataFrame = field(default_factory=pd.DataFrame)


@dataclass(frozen=True)
class Evidence:
    """All inputs of the report.

    Attributes:
        models: by name, in the order in which they are shown.
        events: train, valid and test events of warm users, with `part` and `position`.
        new_events: all events of new users, part "history" or "test".
        users: user_id of every user, and the features that the parameters name.
        items: the catalogue: item_id, title, train_count, fit_count.
        validation: verdict of the data validation.
        split: sizes, promises and the known weakness of the split.
        dataset: title, terms, citation, url of the data set.
        data_hash: content hash of data/ as recorded in data.dvc; None if there is no data.dvc.
        measured: variants, planted groups, costs as they grow, the DNN as a scorer; nothing for the comparison.
        skipped: model → why it could not be trained on this data; not among `models`.
        tuning: model → record of the search for its settings, if there was one.
        everyone: metrics of all test users if the tables of `models` hold a sample of them; None if they hold all.
    """

    models: Mapping[str, ModelEvidence]
    events: pd.DataFrame
    new_events: pd.DataFrame
    users: pd.DataFrame
    items: pd.DataFrame
    validation: Mapping[str, Any]
    split: Mapping[str, Any]
    dataset: Mapping[str, str]
    data_hash: str | None
    measured: MeasuredEvidence = NOTHING_MEASURED
    skipped: Mapping[str, str] = field(default_factory=dict)
    tuning: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    everyone: PerUser | None = None

    @property
    def per_user(self) -> PerUser:
        """Metrics of all test users."""
        return self.everyone or per_user_of({name: model.users for name, model in self.models.items()})


def check_same_users(evidence: Evidence) -> None:
    """Check that all models were evaluated on the same users: a paired comparison needs it.

    Raises:
        BakeoffError: two models differ in their test users or new users.
    """
    for table, keys in (("users", ["user_id"]), ("new_users", ["user_id", "first_interactions"])):
        rows = {name: getattr(model, table)[keys].reset_index(drop=True) for name, model in evidence.models.items()}
        (reference, expected), *others = rows.items()
        for name, found in others:
            if not expected.equals(found):
                raise BakeoffError(
                    f"{name} was evaluated on other {table.replace('_', ' ')} than {reference} "
                    f"({len(found)} against {len(expected)} rows): their figures can't be compared. "
                    "Run `dvc repro` so that every model is evaluated on the present split."
                )
