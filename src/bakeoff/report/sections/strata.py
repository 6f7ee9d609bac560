"""Quality by how popular the item is, and by how active the user was."""

from dataclasses import dataclass

import altair as alt
import numpy as np
import pandas as pd

from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Statistics
from bakeoff.report.evidence import Evidence
from bakeoff.report.exposure import NUM_GROUPS, popularity_group
from bakeoff.report.models import MF, SOFTMAX, model_label, model_noun
from bakeoff.report.render.figure import Figure
from bakeoff.report.sections.parts import Named, estimate_table, estimates
from bakeoff.report.series import model_styles
from bakeoff.report.slices import top_lists, values_on

ACTIVITY = {"1–5": 5, "6–20": 20, "21–50": 50, "51–100": 100, "> 100": None}
"""Known interactions of a user → the last number of the bucket."""


@dataclass(frozen=True)
class Strata:
    """Two ways to cut the test.

    Attributes:
        recall: name of the metric by item.
        metric: name of the metric by user.
        models: in order.
        by_item: group (tenth of the catalogue, from 1), series (a model's label), mean, low, high; tenths with events.
        by_user: group (a bucket with its number of users), series, mean, low, high.
    """

    recall: str
    metric: str
    models: list[str]
    by_item: pd.DataFrame
    by_user: pd.DataFrame


def strata(evidence: Evidence, metric: str, cutoff: int, statistics: Statistics) -> Strata:
    """Recall per tenth of the catalogue, the primary metric per bucket of activity."""
    return Strata(
        recall=f"recall@{cutoff}",
        metric=metric,
        models=list(evidence.models),
        by_item=_by_item(evidence, f"recall@{cutoff}", statistics),
        by_user=_by_user(evidence, metric, statistics),
    )


def _by_item(evidence: Evidence, metric: str, statistics: Statistics) -> pd.DataFrame:
    lists = top_lists(evidence, {name: model.lists for name, model in evidence.models.items()})
    test = evidence.events[evidence.events.part == "test"]
    tenth = test.item_id.map(popularity_group(evidence.items))
    columns: list[Named] = [
        (str(group), model_label(name), values)
        for group in range(1, NUM_GROUPS + 1)
        if (tenth == group).any()
        for name, values in values_on(evidence, lists, test[tenth == group], metric).items()
    ]
    return estimates(columns, statistics)


def _by_user(evidence: Evidence, metric: str, statistics: Statistics) -> pd.DataFrame:
    history = evidence.models[MF].users.num_history.to_numpy()
    ends = [0, *(end for end in ACTIVITY.values() if end is not None), np.inf]
    bucket = pd.cut(history, ends, labels=list(ACTIVITY))
    columns: list[Named] = []
    for name in ACTIVITY:
        users = np.asarray(bucket == name)
        if users.any():
            label = f"{name}\n{formats.count(users.sum())} users"
            columns += [
                (label, model_label(model), np.where(users, found.users[metric].to_numpy(np.float64), np.nan))
                for model, found in evidence.models.items()
            ]
    return estimates(columns, statistics)


def figures(found: Strata) -> list[Figure]:
    """Recall by tenth of the catalogue, and the primary metric by activity."""
    recall, label = formats.metric_label(found.recall), formats.metric_label(found.metric)
    looks = model_styles(found.models)
    items = found.by_item.rename(columns={"group": "x", "mean": "y"}).drop(columns=["low", "high"])
    order = [str(place) for place in range(1, NUM_GROUPS + 1)]
    return [
        Figure(
            key="by-item",
            title=f"{recall} by the popularity of what came next",
            alt="Line chart: recall by tenth of the catalogue, most popular tenth first, a line per model.",
            sentence=_item_sentence(found),
            spec=series_charts.lines(
                items,
                looks,
                alt.X(
                    "x:N", sort=order, title="tenth of the catalogue, most popular first", axis=alt.Axis(labelAngle=0)
                ),
                alt.Y("y:Q", title=f"{recall}, mean over users"),
            ),
            table=estimate_table(f"{recall} of the test items in each tenth of the catalogue", "Tenth", found.by_item),
            section="popularity",
        ),
        Figure(
            key="by-user",
            title=f"{label} by how much is known of the user",
            alt="Dot chart: a group per number of known interactions, a mark with its interval per model.",
            sentence=_user_sentence(found),
            spec=series_charts.dots(found.by_user, looks, f"{label}, mean over users"),
            table=estimate_table(f"{label} by known interactions", "Known interactions", found.by_user),
            section="accuracy",
        ),
    ]


def _item_sentence(found: Strata) -> str:
    means = {(row.group, row.series): row.mean for row in found.by_item.itertuples()}
    groups = list(dict.fromkeys(found.by_item.group))
    head, tail = groups[0], groups[1:]
    softmax, mf = model_label(SOFTMAX), model_label(MF)
    below = [group for group in tail if means[group, softmax] != means[group, mf]]
    ahead = sum(means[group, softmax] > means[group, mf] for group in below)
    return (
        f"Of what lies in the most popular tenth the softmax DNN finds {formats.percent(means[head, softmax], 0)} and "
        f"MF {formats.percent(means[head, mf], 0)}. Of the {len(tail)} other tenths the softmax DNN has the higher "
        f"mean in {ahead}, MF in {len(below) - ahead}: what is rare is found rarely by all of them."
    )


def _user_sentence(found: Strata) -> str:
    parts, clear, groups = [], 0, dict.fromkeys(found.by_user.group)
    for group in groups:
        rows = found.by_user[found.by_user.group == group].sort_values("mean", ascending=False, kind="stable")
        leader = next(name for name in found.models if model_label(name) == rows.series.iloc[0])
        parts.append(f"{model_noun(leader)} with {group.partition(chr(10))[0]}")
        clear += bool((rows.low.iloc[0] > rows.high.iloc[1:]).all())
    return (
        f"By known interactions the highest mean is that of {formats.listing(parts)}; its interval lies above those of "
        f"all others in {clear} of {len(groups)} groups."
    )
