"""Ranking among candidates: sampled ones in place of the catalogue, and those that MF retrieves.

Sampled metrics compared with full ones: the same models, sometimes in another order. The softmax DNN as a scorer of
what MF retrieved: the claim about it, how all systems rank, and, on planted groups, foreign items by their number.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import altair as alt
import numpy as np
import pandas as pd

from bakeoff.evaluation.metrics.table import ACCURACY_LABELS, ALL_ITEMS
from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Difference, Statistics, per_user_of
from bakeoff.report.evidence import Evidence, NotMeasured, Variant, VariantGroup, figure, notes_on, paired
from bakeoff.report.models import MF, PALETTE, SOFTMAX, Style, Styles, look, model_label, model_styles
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Column, Figure, Table, caption, record_table, table_of
from bakeoff.report.topics.base.claims import CLAIMS, Expected, Form, Paired, Question
from bakeoff.report.topics.base.judge import on_users, unknown
from bakeoff.report.topics.base.topic import Named, Page, Topic, estimate_table, estimates

CLAIM = CLAIMS["scorer"]

SPURIOUS = "spurious@10"


def _ask(evidence: Evidence, params: ReportParams) -> list[Question]:
    """Re-ranked candidates against MF's own order and the DNN alone; foreign items within the candidates."""
    return [
        *_questions(evidence.part("rerank"), params.compare.primary_metric),
        *_planted(evidence.part("planted")),
    ]


def _questions(rerank: VariantGroup | NotMeasured, metric: str) -> list[Question]:
    words = CLAIM.wording("over_mf")
    if isinstance(rerank, NotMeasured):
        return [unknown(words, rerank.reason)]
    found = [system for system in rerank.variants if system.get("candidates")]
    if not found:
        return [unknown(words, "No candidates were ranked again.")]
    label = formats.metric_label(metric)
    questions: list[Question] = []
    for system in found:
        name, values = system["system"], _named(system)
        over_mf = CLAIM.wording("over_mf_{size}", label=label, **values)
        alone = CLAIM.wording("beside_alone_{size}", label=label, **values)
        questions.append(on_users(rerank, over_mf, (name, MF), metric))
        questions.append(on_users(rerank, alone, (name, SOFTMAX), metric, Expected.NOT_LOWER))
    # Foreign items in the shortest re-ranked lists, compared with those of the DNN alone and of MF's own order.
    smallest = min(found, key=lambda system: int(system["candidates"]))
    for rival, expected in ((SOFTMAX, Expected.SMALLER), (MF, Expected.NOT_HIGHER)):
        words = CLAIM.wording(f"spurious_{rival}", **_named(smallest))
        questions.append(on_users(rerank, words, (smallest["system"], rival), SPURIOUS, expected, Form.SHARE))
    return questions


def _named(system: Variant) -> dict[str, Any]:
    """The names in claims.toml of a system that ranks candidates again."""
    size = system["candidates"]
    return {"size": size, "number": formats.count(size), "reranked": _system_label(system)}


def _planted(planted: VariantGroup | NotMeasured) -> list[Question]:
    """The DNN that folds, on planted groups: within what MF retrieves, against itself alone and against MF.

    Its negatives are those of the user's own group, so that it knows how to order that group. What MF retrieves is of
    the own group too, if MF is any good: no order of it can show a foreign item, so that these parts decide nothing.
    """
    if isinstance(planted, NotMeasured):
        return []
    mf, folded = planted.base(MF), planted.own_group_only()
    if mf is None or folded is None:
        return []
    within = planted.values(folded["name"], "off_group_filtered@10")
    number = formats.count(planted.notes["candidates"])
    questions: list[Question] = []
    rivals = (("planted_alone", folded, Expected.SMALLER), ("planted_own", mf, Expected.NOT_HIGHER))
    for key, rival, expected in rivals:
        both = paired(within, planted.values(rival["name"], "off_group@10"))
        questions.append(Paired(CLAIM.wording(key, decides=False, number=number), *both, expected, Form.SHARE))
    return questions


def _scorer_charts(rerank: VariantGroup, params: ReportParams, statistics: Statistics) -> Iterator[Figure]:
    """Every accuracy metric at the cutoff of the primary one, for every system.

    The caption gives the first metric and the share of foreign items of each system.
    """
    cutoff = params.compare.primary_metric.partition("@")[2]
    columns: list[Named] = [
        (formats.metric_label(metric), _system_label(system), rerank.values(system["system"], metric).to_numpy(float))
        for metric in (f"{name}@{cutoff}" for name in ACCURACY_LABELS)
        for system in rerank.variants
    ]
    frame = estimates(columns, statistics)
    metric = next(iter(frame.group))
    means = frame[frame.group == metric].set_index("series")["mean"]
    shares = {_system_label(system): figure(system, SPURIOUS) for system in rerank.variants}
    foreign = {label: share for label, share in shares.items() if not np.isnan(share)}
    yield Figure(
        "scorer",
        *caption("scorer", metric=metric, means=means, foreign=foreign),
        spec=series_charts.series_dots(frame, _styles(rerank.variants), "mean over users"),
        table=_table(rerank.variants, frame),
    )


def _system_label(system: Variant) -> str:
    """`mf→softmax@100` → `MF's first 100, re-ranked`."""
    if system.get("candidates"):
        return f"MF's first {formats.count(int(system['candidates']))}, re-ranked"
    return f"{model_label(str(system['system']))} alone"


def _styles(systems: Sequence[Variant]) -> Styles:
    """Models look as everywhere; systems of two models have other colours."""
    others = iter([*PALETTE[3:], PALETTE[1]] * len(PALETTE))
    return {
        _system_label(system): next(others)
        if system.get("candidates")
        else Style(f"var(--{system['system']})", look(system["system"]).shape, size=100)
        for system in systems
    }


def _table(systems: Sequence[Variant], frame: pd.DataFrame) -> Table:
    """A row per system."""
    ranked = estimate_table("Who orders the candidates", "System", frame)
    shares = [[formats.percent(figure(system, name)) for name in ("candidate_recall", SPURIOUS)] for system in systems]
    columns = [*ranked.columns, Column("Recall of the candidates"), Column("Foreign among 10", "spurious")]
    return table_of(ranked.caption, columns, [[*row, *more] for row, more in zip(ranked.rows, shares, strict=True)])


SCORER = Topic("scorer", 140, Page.EVIDENCE, "scorer", _scorer_charts, "Quality", "As a scorer", CLAIM, _ask, "rerank")


def _by_candidates(planted: VariantGroup, _: ReportParams, __: Statistics) -> Iterator[Figure]:
    """How the harm that folding does to a scorer depends on the length of the retriever's list.

    The caption says what the DNN that folds most shows at the number by which the claim is judged and at the largest.
    """
    variants = {str(v["label"]): v for v in (planted.own_group_only(), planted.base(SOFTMAX)) if v is not None}
    alone = {label: float(variant["off_group@10"]) for label, variant in variants.items()}
    by_size = {label: variant["off_group_by_candidates"] for label, variant in variants.items()}
    shares = pd.DataFrame.from_dict(by_size, "index", np.float64).rename(columns=int)
    worst, judged = max(alone, key=lambda name: alone[name]), planted.notes["candidates"]
    drawn = shares.stack().rename_axis(["series", "x"]).rename("y").reset_index()
    x = alt.X("x:O", title="candidates that MF retrieved", axis=alt.Axis(labelAngle=0))
    all_shares, percent = alt.Scale(domain=[0, 1]), alt.Axis(format="%")
    y = alt.Y("y:Q", title="foreign among the first 10", axis=percent, scale=all_shares)
    yield Figure(
        "scorer-candidates",
        *caption("scorer-candidates", judged=judged, worst=worst, shares=shares.loc[worst].dropna(), alone=alone),
        spec=series_charts.series_lines(drawn, dict(zip(alone, PALETTE, strict=False)), x, y, ".1%"),
        table=table_of(
            "Share of foreign items among the first 10, by number of candidates",
            ["Negatives of the DNN", *map(formats.count, shares.columns), "Whole catalogue"],
            [[name, *map(formats.percent, shares.loc[name]), formats.percent(whole)] for name, whole in alone.items()],
        ),
    )


def _why_not(planted: VariantGroup | NotMeasured) -> list[str]:
    """What was done is said in the section on folding."""
    return notes_on(planted) if isinstance(planted, NotMeasured) else []


BY_CANDIDATES = Topic(
    "scorer_candidates", 141, Page.EVIDENCE, "scorer", _by_candidates, source="planted", notes=_why_not
)


FULL = "whole catalogue"


class Flip(NamedTuple):
    """Two models whose order depends on the candidates: `first` leads on the whole catalogue.

    Attributes:
        first: name of the leader there.
        second: name of the other, which leads among samples.
        full: first − second on the whole catalogue.
        sampled: the same among samples.
    """

    first: str
    second: str
    full: Difference
    sampled: Difference


def sampled_ranking(evidence: Evidence, metric: str, statistics: Statistics) -> tuple[pd.DataFrame, list[Flip]] | None:
    """Means of both ways of ranking, over users; within a user over the test items, each ranked by itself.

    Returns:
        model, full, sampled, full_rank, sampled_rank (from 1), and the pairs whose order differs; None where sampled
        metrics are not computed for this metric, or where no user has both.
    """
    tables, whole = {name: model.sampled for name, model in evidence.models.items()}, ALL_ITEMS + metric
    if any(metric not in table or whole not in table for table in tables.values()):
        return None
    known = np.all([table[[metric, whole]].notna().all(axis=1).to_numpy() for table in tables.values()], axis=0)
    if not known.any():
        return None
    tables = {name: table[known] for name, table in tables.items()}
    rows = [(name, float(table[whole].mean()), float(table[metric].mean())) for name, table in tables.items()]
    frame = pd.DataFrame(rows, columns=["model", "full", "sampled"])
    for column in ("full", "sampled"):
        frame[f"{column}_rank"] = frame[column].rank(ascending=False, method="first").astype(int)
    pairs, users = flipped(frame), per_user_of(tables)
    if not pairs:
        return frame, []
    full, among = (
        statistics.paired(users, [((one, column), (other, column)) for one, other in pairs])
        for column in (whole, metric)
    )
    return frame, [Flip(*pair, *both) for pair, *both in zip(pairs, full, among, strict=True)]


def flipped(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Pairs that the two ways order differently, strictly; the leader on the whole catalogue first."""
    return [
        (one.model, other.model)
        for one, other in combinations(frame.sort_values("full_rank").itertuples(), 2)
        if one.full > other.full and one.sampled < other.sampled
    ]


def _sampled_charts(evidence: Evidence, params: ReportParams, statistics: Statistics) -> Iterator[Figure]:
    """None where sampled metrics are not computed for the primary metric, or where no user has both.

    The caption says in how far the two ways order models differently, and how far they set them apart.
    """
    found = sampled_ranking(evidence, params.compare.primary_metric, statistics)
    if found is None:
        return
    frame, flips = found
    short = f"1 + {params.evidence.sampled_candidates} sampled"
    label = formats.metric_label(params.compare.primary_metric)
    ranks = {FULL: frame.full_rank, short: frame.sampled_rank}
    long = pd.concat([frame.assign(x=name, y=rank) for name, rank in ranks.items()])
    drawn = long.assign(series=long.model.map(model_label))[["series", "x", "y"]]
    apart, places = alt.Scale(padding=0.6), list(range(1, len(frame) + 1))
    reverse = alt.Scale(reverse=True, domain=[0.6, len(places) + 0.4])
    x = alt.X("x:N", sort=[FULL, short], title=None, axis=alt.Axis(labelAngle=0), scale=apart)
    y = alt.Y("y:Q", title="place", scale=reverse, axis=alt.Axis(values=places, format="d"))
    yield Figure(
        "sampled",
        *caption("sampled", full=frame.full, among=frame.sampled, flips=flips, label=label),
        spec=series_charts.series_lines(drawn, model_styles(frame.model), x, y, "d"),
        table=record_table(
            f"{label} by full and by sampled ranking",
            frame.sort_values("full_rank").itertuples(),
            ("Model", lambda row: model_label(row.model)),
            ("Whole catalogue", lambda row: formats.decimal(row.full)),
            ("Place", lambda row: str(row.full_rank)),
            (short, lambda row: formats.decimal(row.sampled)),
            ("Place, sampled", lambda row: str(row.sampled_rank)),
        ),
        open=True,
    )


SAMPLED = Topic("sampled", 150, Page.EVIDENCE, "sampled", _sampled_charts, "Quality", "Sampled metrics")
