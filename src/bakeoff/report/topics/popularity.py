"""Popularity: the claim that the DNN is less drawn to popular items, recall by the popularity of the item, exposure."""

from collections.abc import Iterator, Sequence

import altair as alt
import numpy as np
import pandas as pd

from bakeoff.evaluation.metrics.formulas import coverage, gini
from bakeoff.evaluation.stats.intervals import jackknife_half_width
from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Statistics
from bakeoff.report.evidence import Evidence, ModelEvidence, figure
from bakeoff.report.models import EASE, MF, SOFTMAX, model_label, model_styles
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Figure, caption
from bakeoff.report.slices import codes, top_lists, values_on
from bakeoff.report.topics.base.claims import CLAIMS, Expected, Form, Question
from bakeoff.report.topics.base.judge import on_all_lists, on_users, unknown
from bakeoff.report.topics.base.topic import Named, Page, Topic, estimate_table, estimates

CLAIM = CLAIMS["popularity"]

ALL_LISTS = (("coverage", coverage, Expected.LARGER, Form.SHARE), ("gini", gini, Expected.SMALLER, Form.NUMBER))
"""Figures of all lists together: key, function of the counts of items, how it is judged."""


def _ask(evidence: Evidence, params: ReportParams) -> list[Question]:
    """How popular the items in the lists are, how much of the catalogue they reach, and whether MF's product is why."""
    k, both = int(params.compare.primary_metric.partition("@")[2]), (SOFTMAX, MF)
    return [
        on_users(evidence, CLAIM.wording("arp", k=k), both, f"arp@{k}", Expected.SMALLER, Form.COUNT),
        on_users(evidence, CLAIM.wording("long_tail", k=k), both, f"long_tail_share@{k}", form=Form.SHARE),
        *_all_lists(evidence, k, params),
        _dot_product(evidence, k),
    ]


def _dot_product(evidence: Evidence, k: int) -> Question:
    """MF against EASE, which learns from the same events and whose scores are no product of two vectors."""
    words = CLAIM.wording("dot_product", k=k)
    if EASE not in evidence.models:
        return unknown(words, evidence.skipped.get(EASE, "EASE was not evaluated."))
    return on_users(evidence, words, (MF, EASE), f"arp@{k}", form=Form.COUNT)


def _all_lists(evidence: Evidence, k: int, params: ReportParams) -> list[Question]:
    """Coverage and Gini coefficient of the lists of all users that the report looks at."""
    num_users, num_items = len(evidence.models[MF].users), len(evidence.items)
    softmax, mf = (codes(evidence.models[name].top(k), evidence) for name in (SOFTMAX, MF))
    questions: list[Question] = []
    for key, of, expected, form in ALL_LISTS:
        first, second = (of(np.bincount(item, minlength=num_items)) for _, item in (softmax, mf))
        half = jackknife_half_width(softmax, mf, num_users, num_items, of, params.seed, params.compare.confidence)
        questions.append(on_all_lists(CLAIM.wording(key, k=k), (first, second), half, num_users, expected, form))
    return questions


def by_item(evidence: Evidence, metric: str, statistics: Statistics) -> pd.DataFrame:
    """`estimates` of every model on the test items in each tenth of the catalogue."""
    lists = top_lists(evidence)
    test = evidence.events[evidence.events.part == "test"]
    tenth = test.item_id.map(popularity_group(evidence.items))
    columns: list[Named] = [
        (str(group), model_label(name), values)
        for group in range(1, NUM_GROUPS + 1)
        if (tenth == group).any()
        for name, values in values_on(evidence, lists, test[tenth == group], metric).items()
    ]
    return estimates(columns, statistics)


def _charts(evidence: Evidence, params: ReportParams, statistics: Statistics) -> Iterator[Figure]:
    metric = f"recall@{params.evaluate.cutoffs[:2][-1]}"
    recall, frame = formats.metric_label(metric), by_item(evidence, metric, statistics)
    order = [str(place) for place in range(1, NUM_GROUPS + 1)]
    title = "tenth of the catalogue, most popular first"
    x = alt.X("x:N", sort=order, title=title, axis=alt.Axis(labelAngle=0))
    y = alt.Y("y:Q", title=f"{recall}, mean over users")
    drawn = frame.rename(columns={"group": "x", "mean": "y"}).drop(columns=["low", "high"])
    means = frame.pivot_table(index="group", columns="series", values="mean", sort=False).reindex(order)
    softmax, mf = (means[model_label(name)] for name in (SOFTMAX, MF))
    yield Figure(
        "by-item",
        *caption(
            "by-item", recall=recall, softmax=softmax.iloc[0], mf=mf.iloc[0], gain=(softmax - mf).iloc[1:].dropna()
        ),
        spec=series_charts.series_lines(drawn, model_styles(evidence.models), x, y),
        table=estimate_table(f"{recall} of the test items in each tenth of the catalogue", "Tenth", frame),
        folded=True,
    )


TOPIC = Topic("popularity", 130, Page.REPORT, "popularity", _charts, "Quality", "Popularity", CLAIM, _ask)


WATCHED = "what came next"
"""Name of the line that shows the test items themselves."""
NUM_GROUPS = 10
PER_LIST = ("novelty", "diversity", "debiased_ndcg")
"""Metrics of a user's list that the cards show, under their names in the table of metrics."""
EXPOSURES = ("arp", "popularity_lift", "coverage", "gini", "long_tail_share", *PER_LIST)


def exposures(evidence: Evidence, cutoffs: Sequence[int]) -> pd.DataFrame:
    """Popularity and coverage of the lists: one row per cutoff and model.

    Returns:
        model;
        k: length of the lists;
        arp: mean number of training interactions of the recommended items;
        popularity_lift: ARP divided by that of the users' own histories, minus 1;
        coverage: share of the catalogue in at least one list;
        gini: inequality of the shares of list places, in [0, 1];
        long_tail_share: mean share of a list outside the head of the catalogue;
        novelty: mean self-information of the recommended items, in bits;
        diversity: mean distance of the items of a list by their features, in [0, 1];
        debiased_ndcg: NDCG with a smaller gain for popular items.
    """
    rows = [
        {"model": name, "k": k} | {metric: _of_lists(model, f"{metric}@{k}") for metric in EXPOSURES}
        for k in cutoffs
        for name, model in evidence.models.items()
    ]
    return pd.DataFrame(rows)


def exposure_profile(evidence: Evidence, k: int) -> pd.DataFrame:
    """Where the places in the first k go, from the most popular tenth of the catalogue to the least.

    Returns:
        group (1 = most popular tenth), source (a model's name or WATCHED), share in [0, 1]; a source's shares
        sum to 1.
    """
    group = popularity_group(evidence.items)
    sources = {name: model.top(k).item_id for name, model in evidence.models.items()}
    sources[WATCHED] = evidence.events.loc[evidence.events.part == "test", "item_id"]
    places = pd.RangeIndex(1, NUM_GROUPS + 1, name="group")
    shares = {source: items.map(group).value_counts(normalize=True) for source, items in sources.items()}
    table = pd.DataFrame(shares, places).fillna(0.0).reset_index()
    return table.melt("group", var_name="source", value_name="share")


def popularity_group(items: pd.DataFrame) -> pd.Series:
    """Item id → 1 (most popular tenth) … NUM_GROUPS, by interactions in train and validation."""
    place = items.fit_count.rank(method="first", ascending=False).to_numpy(np.int64) - 1
    return pd.Series(place * NUM_GROUPS // len(items) + 1, index=items.item_id)


def _of_lists(model: ModelEvidence, metric: str) -> float:
    """The mean over users; the figure of all lists together where no single user has one."""
    return float(model.users[metric].mean()) if metric in model.users else figure(model.metrics["test"], metric)
