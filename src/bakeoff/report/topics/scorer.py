"""The softmax DNN as a scorer of candidates that MF retrieved: the claim about it, and how all systems rank.

On planted groups: foreign items by the number of candidates.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from bakeoff.evaluation.metrics.table import ACCURACY_LABELS
from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Statistics
from bakeoff.report.evidence import Evidence, NotMeasured, Variant, VariantGroup, figure, notes_on, paired
from bakeoff.report.models import MF, PALETTE, SOFTMAX, Style, Styles, look, model_label
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Column, Figure, Table, caption, table_of
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

    Its negatives are those of the user's own group, so that it knows how to order that group.
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
        questions.append(Paired(CLAIM.wording(key, number=number), *both, expected, Form.SHARE))
    return questions


def _charts(rerank: VariantGroup, params: ReportParams, statistics: Statistics) -> Iterator[Figure]:
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


TOPIC = Topic("scorer", 140, Page.EVIDENCE, "scorer", _charts, "Quality", "As a scorer", CLAIM, _ask, "rerank")


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


CANDIDATES = Topic("scorer_candidates", 141, Page.EVIDENCE, "scorer", _by_candidates, source="planted", notes=_why_not)
