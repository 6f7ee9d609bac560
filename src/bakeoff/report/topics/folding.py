"""Folding: the claim about it, and recall compared with folding on planted groups and on the data itself."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Statistics
from bakeoff.report.evidence import Evidence, NotMeasured, Variant, VariantGroup, figure, notes_on, resolved
from bakeoff.report.formats import metric_label
from bakeoff.report.models import MF, SOFTMAX, model_label, model_styles
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Column, Figure, Row, Table, caption, record_table, table_of
from bakeoff.report.topics.base.claims import CLAIMS, RULES, Expected, Form, Question, Words
from bakeoff.report.topics.base.judge import of_variants, on_users, unknown
from bakeoff.report.topics.base.topic import LEARN, Page, Topic

CLAIM = CLAIMS["folding"]

FORMS = {"folding": Form.NUMBER, "spurious@10": Form.SHARE}
ZERO, OWN_GROUP = "MF with weight 0", "own group"
"""Names in claims.toml of a variant of MF and of one of the softmax DNN, compared with the shipped ones.

Without any negatives a DNN can only be broken, so that no part rests on that."""
SHAPES = ("circle", "diamond", "triangle-up", "square", "cross", "triangle-down")
"""Of the groups, in order; their colours are those of tags."""


def _ask(evidence: Evidence, params: ReportParams) -> list[Question]:
    """On planted groups, where relatedness is known, then on the data itself, where it is estimated."""
    planted, own = evidence.part("planted"), evidence.part("folding")
    k = params.evaluate.cutoffs[0]
    return [*_questions(planted, "planted", 10, params), *of_variants(_questions(own, "own", k, params))]


def _questions(measured: VariantGroup | NotMeasured, where: str, k: int, params: ReportParams) -> list[Question]:
    """The parts of claims.toml whose variants were trained; the others only where they have a reason."""
    rules = RULES["folding"]
    if isinstance(measured, NotMeasured):
        key, says, what, *_ = rules[where][0]
        return [unknown(Words(key, says, what), measured.reason)]
    variants = {
        ZERO: next((variant for variant in measured.of(MF) if _weight(variant, params) == 0), None),
        OWN_GROUP: measured.own_group_only(),
        **{name: measured.base(name) for name in (MF, SOFTMAX)},
    }
    named = {name: text.format(softmax=model_label(SOFTMAX)) for name, text in rules[f"{where}_sides"].items()}
    named |= {ZERO: ZERO, OWN_GROUP: str((variants[OWN_GROUP] or {}).get("label", ""))}
    questions: list[Question] = []
    for key, says, what, first, second, name, expected, reason in rules[where]:
        metric, measures = name.format(k=k), what.format(recall=metric_label(f"recall@{k}"))
        words = Words(key, says, measures, named[first], named[second])
        pair = [variants[first], variants[second]]
        names = [str(variant["name"]) for variant in pair if variant is not None]
        if len(names) == len(pair):
            form = FORMS.get(metric, Form.METRIC)
            questions.append(on_users(measured, words, (names[0], names[1]), metric, Expected(expected), form))
        elif reason:
            questions.append(unknown(words, reason))
    return questions


def _notes(evidence: Evidence) -> list[str]:
    """How the planted groups were made and scores calibrated, then how the variants were trained."""
    return [*notes_on(evidence.part("planted")), *notes_on(evidence.part("folding"))]


def _weight(variant: Variant, params: ReportParams) -> float:
    """α₀ of a variant of MF; on planted groups every variant names it."""
    weight = variant.get("unobserved_weight")
    return float(resolved(variant, f"{MF}.unobserved_weight", params) if weight is None else weight)


def _charts(evidence: Evidence, params: ReportParams, _: Statistics) -> Iterator[Figure]:
    """Recall against folding on planted groups, with their scores and items; against foreign items on this data."""
    planted, own = evidence.part("planted"), evidence.part("folding")
    if isinstance(planted, VariantGroup):
        variants = _by_weight(planted, params)
        rows = variant_rows(variants, ("folding", "off_group@10", "recall@10", "off_group_filtered@10"))
        title, words = "Folding and recall on planted groups", "folding"
        yield _against_recall("folding-planted", title, rows, "off-group@10", "folding", words)
        labels = {variant["name"]: f"{model_label(variant['model'])}, {variant['label']}" for variant in variants}
        yield _scores_by_group({labels[each["name"]]: np.asarray(each["blocks"], np.float64) for each in variants})
        yield _clouds(planted_items(planted, labels))
    if isinstance(own, VariantGroup):
        measured = [each for each in _by_weight(own, params) if each["folding"]]
        flat = [each | each["metrics"] | each["folding"] for each in measured]
        title, words = "Foreign items and recall on this data", "share of foreign items among the first 10"
        rows = variant_rows(flat, ("folding", "spurious@10", "recall@10", ""))
        yield _against_recall("folding-own", title, rows, "spurious@10", "foreign", words)


def _by_weight(measured: VariantGroup, params: ReportParams) -> list[Variant]:
    """MF by its weight, then all others."""
    of_mf = sorted(measured.of(MF), key=lambda variant: _weight(variant, params))
    return [*of_mf, *(each for each in measured.variants if each["model"] != MF)]


def variant_rows(variants: Sequence[Variant], figures: Sequence[str]) -> pd.DataFrame:
    """Variants by how much they fold and what they recall.

    Args:
        variants: each with model, label, base and figures.
        figures: names of those that are the last four columns; NaN where a variant has none of this name.

    Returns:
        model, label, base, folding, foreign (share of foreign items in lists), recall, filtered (the share of foreign
        items when the DNN orders what MF retrieved).
    """
    names, measured = ("model", "label", "base"), ("folding", "foreign", "recall", "filtered")
    rows = [(*(each[name] for name in names), *(figure(each, name) for name in figures)) for each in variants]
    return pd.DataFrame(rows, columns=[*names, *measured])


def planted_items(planted: VariantGroup, labels: Mapping[str, str]) -> pd.DataFrame:
    """Variant (a label), name, group, x, y of items, in the order of `labels`: name of a variant → label."""
    items = pd.concat([planted.items[planted.items.variant == name] for name in labels])
    groups = [f"group {int(group) + 1}" for group in items.group]
    shown = items.assign(variant=items.variant.map(labels), name="item " + items.item_id.astype(str), group=groups)
    return shown.astype({"x": float, "y": float})


def _against_recall(key: str, title: str, variants: pd.DataFrame, foreign: str, x: str, words: str) -> Figure:
    """Recall against the column `x`, which `words` names; MF's variants joined by their weight.

    The caption gives the ends of x per contender, with recall there; where x is not folding, how folding changes too.
    """
    frame = variants[variants[x].notna() & variants.recall.notna()].assign(
        series=lambda rows: rows.model.map(model_label),
        label=lambda rows: rows.label.where(rows.model.isin((MF, SOFTMAX)), rows.model.map(model_label)),
        x=lambda rows: rows[x],
        y=lambda rows: rows.recall,
        emphasis=lambda rows: rows.base,
        joined=lambda rows: rows.model == MF,
    )
    columns, ends = ["series", "label", "x", "y", "emphasis", "joined"], []
    for model in (MF, SOFTMAX):
        rows = variants[(variants.model == model) & variants[x].notna()]
        if len(rows) > 1:
            ends.append((model, rows.loc[rows[x].idxmax()], rows.loc[rows[x].idxmin()]))
    by_weight = variants[(variants.model == MF) & variants.folding.notna() & variants.foreign.notna()]
    return Figure(
        key,
        *caption("against-recall", title=title, words=words, x=x, ends=ends, by_weight=by_weight),
        spec=series_charts.path(frame[columns], model_styles(frame.model), words, formats.metric_label("recall@10")),
        table=_table(title, variants, foreign),
    )


def _table(title: str, variants: pd.DataFrame, foreign: str) -> Table:
    """A row per variant."""
    filtered = Column("Foreign in MF's candidates", "spurious"), lambda row: formats.percent(row.filtered)
    return record_table(
        title,
        variants.itertuples(),
        ("Model", lambda row: model_label(row.model)),
        ("Variant", lambda row: f"{row.label}{' (shipped)' if row.base and row.label != 'as shipped' else ''}"),
        (Column("Folding", "folding"), lambda row: formats.decimal(row.folding)),
        (Column(f"Foreign items ({foreign})", "spurious"), lambda row: formats.percent(row.foreign)),
        (Column(formats.metric_label("recall@10"), "recall"), lambda row: formats.decimal(row.recall)),
        *([filtered] if variants.filtered.notna().any() else []),
    )


def _scores_by_group(blocks: Mapping[str, NDArray[np.float64]]) -> Figure:
    """A small matrix per variant: users of each group down, items of each group across."""
    size = len(next(iter(blocks.values())))
    names = [str(place + 1) for place in range(size)]
    panels = {label: series_charts.matrix(block, names, "mean score") for label, block in blocks.items()}
    diagonal = np.eye(size, dtype=bool)
    means = {label: [float(block[cells].mean()) for cells in (diagonal, ~diagonal)] for label, block in blocks.items()}
    worst = max(means, key=lambda label: means[label][1])
    return Figure(
        "planted-blocks",
        *caption("planted-blocks", variant=worst, own=means[worst][0], strange=means[worst][1]),
        spec={},
        table=table_of(
            "Mean calibrated score",
            ["Variant", "Own group", Column("Other groups (folding)", "folding")],
            [[label, *(formats.decimal(mean, 3) for mean in both)] for label, both in means.items()],
        ),
        panels=panels,
        folded=True,
    )


def _clouds(items: pd.DataFrame) -> Figure:
    groups = enumerate(items.group.unique())
    styles = {group: (f"var(--tag-{place % 6 + 1})", SHAPES[place % 6]) for place, group in groups}
    rounded = items.round({"x": 3, "y": 3})
    panels = {
        str(label): series_charts.cloud(part[["x", "y", "group", "name"]], styles)
        for label, part in rounded.groupby("variant", sort=False)
    }
    return Figure(
        "planted-map",
        *caption("planted-map"),
        spec={},
        table=_distance_table(items),
        panels=panels,
        folded=True,
    )


def _distance_table(items: pd.DataFrame) -> Table:
    """Distance between the centres of groups and the spread within them, in the plane that is drawn."""
    rows: list[Row] = []
    for label, part in items.groupby("variant", sort=False):
        centres = part.groupby("group")[["x", "y"]].mean()
        away = part[["x", "y"]].to_numpy() - centres.loc[part.group].to_numpy()
        within = float((away**2).sum(axis=1).mean() ** 0.5)
        between = float((centres - centres.mean()).pow(2).sum(axis=1).mean() ** 0.5)
        ratio = between / within if within > 0 else float("nan")
        rows.append([str(label), formats.decimal(between, 2), formats.decimal(within, 2), formats.decimal(ratio, 1)])
    columns = ["Variant", "Spread of the groups' centres", "Spread within a group", "Ratio (above 1: apart)"]
    return table_of("Distance of the groups in the plane that is drawn", columns, rows)


TOPIC = Topic("folding", 310, Page.EVIDENCE, "folding", _charts, LEARN, "Folding", CLAIM, _ask, notes=_notes)
