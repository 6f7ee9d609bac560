"""Two versions of the project compared: what differs in data, parameters and figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from bakeoff.evaluation.metrics.table import ACCURACY_LABELS
from bakeoff.models.base import specs
from bakeoff.report.accuracy import Difference, Statistics
from bakeoff.report.params import flat

T = TypeVar("T")
Pair = tuple[str, T | None, T | None]
"""Name of a parameter or a size, and its value in both versions; None where a version does not have it."""

SIZE_LABELS = {
    "train": "events to train on",
    "valid": "events for validation",
    "test": "events for test",
    "new_users": "new users",
    "warm_users": "warm users",
    "items": "items of the catalogue",
    "new_user_events": "events of new users",
}
"""Sizes of the split, for people."""


@dataclass(frozen=True)
class ProjectVersion:
    """What one version left.

    Attributes:
        name: how people call it: a revision as it was typed, or `workspace`.
        commit: abbreviated hash of the commit; empty for the workspace.
        metrics: reports/metrics.json.
        params: params.yaml.
        data_hash: MD5 of data/ as recorded in data.dvc; None where data is not under version control.
        split: reports/split.json; empty where it is not in Git.
        validation: reports/validation.json; likewise.
        headline: of reports/verdict.json; likewise.
        users: per-user metrics by model: `user_id`, `num_test` and a column per metric; of those that could be read.
    """

    name: str
    commit: str
    metrics: Mapping[str, Any]
    params: Mapping[str, Any]
    data_hash: str | None
    split: Mapping[str, Any] = field(default_factory=dict)
    validation: Mapping[str, Any] = field(default_factory=dict)
    headline: str = ""
    users: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """`HEAD (1a2b3c4)`; a hash that was typed as such is not repeated."""
        if not self.commit or self.commit.startswith(self.name) or self.name.startswith(self.commit):
            return self.name
        return f"{self.name} ({self.commit})"

    @property
    def models(self) -> list[str]:
        """The models that were compared in this version, in the order of the reports."""
        return [name for name in specs.names() if name in self.metrics]

    def mean(self, model: str, metric: str) -> float:
        """A figure of reports/metrics.json; NaN where there is none."""
        value = self.metrics.get(model, {}).get(metric)
        return float("nan") if value is None else float(value)


@dataclass(frozen=True)
class Change:
    """One metric of one model in both versions.

    Attributes:
        model: its name.
        metric: its name.
        before: mean in the first version; NaN where it has no such figure.
        after: the same in the second.
        difference: second − first on the same users, p adjusted for its table; None where it could not be paired.
    """

    model: str
    metric: str
    before: float
    after: float
    difference: Difference | None = None

    @property
    def is_same(self) -> bool:
        """Whether every user has the same value in both."""
        found = self.difference
        return found is not None and found.num_users > 0 and found.wins == found.losses == 0

    @property
    def has_moved(self) -> bool:
        """Whether a user has another value or, where nothing could be paired, the mean is another one."""
        return self.before != self.after if self.difference is None else not self.is_same


@dataclass(frozen=True)
class Revisions:
    """Everything that differs between two versions.

    Attributes:
        before: the first version.
        after: the second.
        metric: the primary metric.
        confidence: level of the intervals.
        primary: the primary metric, a row per model of either version.
        others: the other accuracy metrics at the same cutoff.
        settings: parameters that differ.
        sizes: numbers of the data and the split, those that stayed too.
        other_truth: models whose users have other numbers of test events in the two versions.
    """

    before: ProjectVersion
    after: ProjectVersion
    metric: str
    confidence: float
    primary: Sequence[Change]
    others: Sequence[Change]
    settings: Sequence[Pair[str]]
    sizes: Sequence[Pair[int]]
    other_truth: Sequence[str]

    @property
    def versions(self) -> tuple[ProjectVersion, ProjectVersion]:
        """Both of them."""
        return self.before, self.after

    @property
    def num_paired(self) -> int | None:
        """Users whom both versions have, of the model with the fewest; None where each has all users of the other."""
        pairs = [(change.difference.num_users, change.model) for change in self.primary if change.difference]
        fewer = [number for number, model in pairs if any(len(each.users[model]) > number for each in self.versions)]
        return min(fewer, default=None)

    @property
    def same_data(self) -> bool:
        """Whether both versions were made from the same data; unknown hashes are not the same."""
        return self.before.data_hash is not None and self.before.data_hash == self.after.data_hash


def compare(before: ProjectVersion, after: ProjectVersion, metric: str, statistics: Statistics) -> Revisions:
    """Compare two versions.

    Args:
        before: the first.
        after: the second; differences are second − first.
        metric: the primary metric, such as `ndcg@10`.
        statistics: how intervals and tests are made.
    """
    models = [name for name in specs.names() if name in {*before.models, *after.models}]
    cutoff = metric.partition("@")[2]
    others = [name for label in ACCURACY_LABELS if (name := f"{label}@{cutoff}") != metric]
    differences = _differences(before, after, ["num_test", metric, *others])

    def changes(names: Sequence[str]) -> list[Change]:
        """A change per model and metric; those that can be paired are judged together."""
        keys = [*product(models, names)]
        paired = [key for key in keys if key in differences]
        values = np.ascontiguousarray(differences[paired].to_numpy())
        judged = statistics.differences(values, [name for _, name in paired]) if paired else []
        found = dict(zip(paired, judged, strict=True))
        return [Change(*key, before.mean(*key), after.mean(*key), found.get(key)) for key in keys]

    return Revisions(
        before=before,
        after=after,
        metric=metric,
        confidence=statistics.confidence,
        primary=changes([metric]),
        others=changes(others),
        settings=differing_settings(before.params, after.params),
        sizes=_pairs(_numbers(before), _numbers(after)),
        other_truth=[
            model for model, name in differences if name == "num_test" and differences[model, name].fillna(0).any()
        ],
    )


def differing_settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Pair[str]]:
    """Parameters whose value differs, by dotted name: those of `after` in its order, then those that are gone."""
    return [(name, old, new) for name, old, new in _pairs(flat(before), flat(after)) if old != new]


def _pairs(before: Mapping[str, T], after: Mapping[str, T]) -> list[Pair[T]]:
    """Both values of every name."""
    return [(name, before.get(name), after.get(name)) for name in dict.fromkeys([*after, *before])]


def _differences(before: ProjectVersion, after: ProjectVersion, names: Sequence[str]) -> pd.DataFrame:
    """Second − first of each user: a column per model and name that some user has in both; NaN for users of one."""
    old, new = ({model: table.set_index("user_id") for model, table in each.users.items()} for each in (before, after))
    both = [(model, name) for model, name in product(old, names) if name in old[model] and name in new.get(model, ())]
    columns = {(model, name): new[model][name] - old[model][name] for model, name in both}
    return pd.DataFrame(columns, dtype=np.float64).dropna(axis=1, how="all").sort_index()


def _numbers(version: ProjectVersion) -> dict[str, int]:
    """Rows of the raw tables, rows in quarantine, and the sizes of the split."""
    found: dict[str, int] = {}
    for name, table in version.validation.get("tables", {}).items():
        found[f"{name}, rows"] = int(table["rows"])
        found[f"{name}, in quarantine"] = int(table["quarantined"])
    for name, number in version.split.get("sizes", {}).items():
        found[SIZE_LABELS.get(name, name)] = int(number)
    return found
