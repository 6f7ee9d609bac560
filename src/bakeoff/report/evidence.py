"""Everything that the comparison rests on, as read from the earlier stages.

And what was measured for the claims in addition to the evaluation of the shipped models.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.evaluation.metrics.formulas import FloatArray
from bakeoff.report.accuracy import PerUser, per_user_of
from bakeoff.report.models import SOFTMAX, not_asked
from bakeoff.report.params import ReportParams

Variant = Mapping[str, Any]


@dataclass(frozen=True)
class NotMeasured:
    """Something that could not be measured on this data, and the sentence that says why."""

    reason: str


@dataclass(frozen=True)
class VariantGroup:
    """Models trained with different settings, or systems of two models, and their metrics per user.

    Attributes:
        notes: what the file of the stage says: what was done, for people, and figures of the whole.
        variants: one entry each, with name, model, label, base and figures, such as settings, metrics, new_users and
            folding; on planted groups unobserved_weight, folding, off_group@10 and recall@10; of MF's candidates that
            the softmax DNN ranked again system, candidates, metrics, candidate_recall and spurious@10.
        users: variant, user_id, num_test and accuracy metrics of warm test users; where folding is measured, `folding`
            and `spurious@10` of a sample of them, NaN of the others. On planted groups recall@10, folding, off_group@10
            and, of the softmax DNN as a scorer of what MF retrieved, off_group_filtered@10, NaN of others.
        new_users: variant, first_interactions, user_id, fallback, num_test and metrics; without rows in most groups.
        items: of planted groups: variant, item_id, group, x, y: item embeddings in two dimensions.
        cost: variant → training_seconds, seconds_per_epoch (the fastest), seconds_per_step, and, with the ends of their
            intervals, epoch_cpu_seconds and queries_per_cpu_second (medians); as measured.
    """

    notes: Mapping[str, Any]
    variants: Sequence[Variant]
    users: pd.DataFrame
    new_users: pd.DataFrame = field(default_factory=pd.DataFrame)
    items: pd.DataFrame = field(default_factory=pd.DataFrame)
    cost: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)

    def of(self, model: str) -> list[Variant]:
        """The variants of one model."""
        return [variant for variant in self.variants if variant["model"] == model]

    def base(self, model: str) -> Variant | None:
        """The variant with the shipped settings; None where the group has none of this model."""
        return next((variant for variant in self.of(model) if variant["base"]), None)

    def own_group_only(self) -> Variant | None:
        """The softmax DNN whose negatives are all from the user's own group; None where no groups are known."""
        return next((variant for variant in self.of(SOFTMAX) if "own-group" in str(variant["name"])), None)

    def values(self, name: str, metric: str) -> pd.Series:
        """The metric of one variant, by user id."""
        return self.users[self.users.variant == name].set_index("user_id")[metric]

    def new_values(self, name: str, first: str, metric: str) -> pd.Series:
        """The same for new users with test items; the model is given their first `first` interactions."""
        return asked(self.new_users[self.new_users.variant == name], first).set_index("user_id")[metric]


def paired(first: pd.Series, second: pd.Series) -> tuple[FloatArray, FloatArray]:
    """Values of the users that both have, in the order of `first`: float64 [num_users] each."""
    shared = first.index[first.index.isin(second.index)]
    return first.loc[shared].to_numpy(np.float64), second.loc[shared].to_numpy(np.float64)


def asked(new_users: pd.DataFrame, first: str) -> pd.DataFrame:
    """Rows of new users with at least one test item, given `first` interactions."""
    return new_users[(new_users.first_interactions == first) & (new_users.num_test > 0)]


def figure(values: Mapping[str, Any] | None, name: str) -> float:
    """A number that may be absent or null: NaN then."""
    value = (values or {}).get(name)
    return float("nan") if value is None else float(value)


def notes_on(measured: Any) -> list[str]:
    """What was done and how scores are calibrated, or why it was skipped; then why each model was left out."""
    if isinstance(measured, NotMeasured):
        return [measured.reason]
    if not isinstance(measured, VariantGroup):
        return []
    notes = measured.notes
    return [notes["sentence"], notes.get("calibration", ""), *not_asked(notes.get("left_out", {}))]


def resolved(variant: Variant, name: str, params: ReportParams) -> Any:
    """The value of a setting such as `softmax.hidden`: the variant's own, else the shipped one."""
    settings = variant["settings"]
    return settings[name] if name in settings else reduce(getattr, name.split("."), params)


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
    sampled: pd.DataFrame
    neighbours: pd.DataFrame = field(default_factory=pd.DataFrame)
    positions: pd.DataFrame = field(default_factory=pd.DataFrame)

    def top(self, k: int) -> pd.DataFrame:
        """The first k places of the lists of warm users."""
        return self.lists[self.lists["rank"] <= k]


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
        measured: what was measured for the claims, or why it was not, by its name: groups of variants (features,
            new-items, folding, depth), planted (groups), growth and serving (content of their cost files), rerank (the
            DNN as a scorer); empty for the comparison, which rests on the evaluated models alone.
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
    measured: Mapping[str, Any] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    tuning: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    everyone: PerUser | None = None

    def part(self, name: str) -> Any:
        """What was measured under this name, or a `NotMeasured`."""
        return self.measured.get(name, NotMeasured("`bakeoff run --evidence` measures it."))

    def values(self, name: str, metric: str) -> pd.Series:
        """A metric of one model, by the id of the warm user."""
        return self.models[name].users.set_index("user_id")[metric]

    @property
    def per_user(self) -> PerUser:
        """Metrics of all test users."""
        return self.everyone or per_user_of({name: model.users for name, model in self.models.items()})
