"""Folding beside recall: on planted groups, where it can be seen, and on the data itself."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.report import formats, series_charts
from bakeoff.report.measured import Planted, Variant, VariantGroup, figure
from bakeoff.report.models import MF, SOFTMAX, model_label, model_noun
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Column, Figure, Table
from bakeoff.report.sections.parts import or_dash, text_table
from bakeoff.report.series import model_styles
from bakeoff.report.variants import weight

COLORS = tuple(f"var(--tag-{number})" for number in range(1, 7))
SHAPES = ("circle", "diamond", "triangle-up", "square", "cross", "triangle-down")


@dataclass(frozen=True)
class Folding:
    """Variants by how much they fold and what they recall.

    Attributes:
        sentence: what was done.
        calibration: how scores are brought to [0, 1].
        frame: model, label, base, folding, foreign (share of foreign items in lists), recall, filtered (the share of
            foreign items when the DNN orders what MF retrieved; NaN where it did not); MF by its weight.
        items: of planted groups: variant (a label), name, group, x, y; empty otherwise.
        blocks: of planted groups: variant (a label) → mean calibrated score [groups, groups] of users (rows) and items.
    """

    sentence: str
    calibration: str
    frame: pd.DataFrame
    items: pd.DataFrame
    blocks: Mapping[str, NDArray[np.float64]]


COLUMNS = ["model", "label", "base", "folding", "foreign", "recall", "filtered"]


def planted_folding(planted: Planted) -> Folding:
    """On known groups: items of other groups are foreign."""
    mf = sorted(planted.of(MF), key=lambda variant: figure(variant, "unobserved_weight"))
    variants = [*mf, *(variant for variant in planted.variants if variant["model"] != MF)]
    rows = [
        (
            v["model"],
            v["label"],
            v["base"],
            *(figure(v, name) for name in ("folding", "off_group@10", "recall@10", "off_group_filtered@10")),
        )
        for v in variants
    ]
    labels = {variant["name"]: f"{model_label(variant['model'])}, {variant['label']}" for variant in variants}
    order = {name: place for place, name in enumerate(labels)}
    known = planted.items[planted.items.variant.isin(order)]
    items = known.assign(place=known.variant.map(order)).sort_values("place", kind="stable")
    return Folding(
        sentence=str(planted.notes.get("sentence", "")),
        calibration=str(planted.notes.get("calibration", "")),
        frame=pd.DataFrame(rows, columns=COLUMNS),
        items=pd.DataFrame(
            {
                "variant": items.variant.map(labels),
                "name": "item " + items.item_id.astype(str),
                "group": [f"group {int(group) + 1}" for group in items.group],
                "x": items.x.astype(float),
                "y": items.y.astype(float),
            }
        ),
        blocks={labels[variant["name"]]: np.asarray(variant["blocks"], np.float64) for variant in variants},
    )


def own_folding(group: VariantGroup, params: ReportParams) -> Folding:
    """On the data itself: items that the ALS fit calls unrelated are foreign."""

    def row(v: Variant) -> tuple[object, ...]:
        folding = v["folding"]
        foreign = figure(folding, "spurious@10")
        recall = figure(v["metrics"], "recall@10")
        return v["model"], v["label"], v["base"], figure(folding, "folding"), foreign, recall, float("nan")

    mf = sorted(group.of(MF), key=lambda variant: weight(variant, params))
    others = [variant for variant in group.variants if variant["model"] != MF]
    rows = [row(variant) for variant in (*mf, *others) if variant["folding"]]
    calibration = str(group.notes.get("calibration", ""))
    return Folding(group.sentence, calibration, pd.DataFrame(rows, columns=COLUMNS), pd.DataFrame(), {})


def figures(planted: Folding | None, own: Folding | None) -> list[Figure]:
    """Recall against folding, and against foreign items on this data; the planted items in two dimensions."""
    drawn = []
    if planted is not None and len(planted.frame):
        drawn.append(
            _against_recall(
                "folding-planted", "Folding and recall on planted groups", planted, "off-group@10", "folding", "folding"
            )
        )
        drawn.append(_who_is_liked(planted))
        if len(planted.items):
            drawn.append(_clouds(planted))
    if own is not None and len(own.frame):
        words = "share of foreign items among the first 10"
        drawn.append(
            _against_recall(
                "folding-own", "Foreign items and recall on this data", own, "spurious@10", "foreign", words
            )
        )
    return drawn


def _against_recall(key: str, title: str, found: Folding, foreign: str, x: str, words: str) -> Figure:
    """Recall against the column `x`, which `words` names; MF's variants joined by their weight."""
    frame = found.frame[found.frame[x].notna() & found.frame.recall.notna()].assign(
        series=lambda rows: rows.model.map(model_label),
        label=lambda rows: rows.label.where(rows.model.isin((MF, SOFTMAX)), rows.model.map(model_label)),
        x=lambda rows: rows[x],
        y=lambda rows: rows.recall,
        emphasis=lambda rows: rows.base,
        joined=lambda rows: rows.model == MF,
    )
    return Figure(
        key=key,
        title=title,
        alt=f"Scatter: {words} to the right, recall upwards, a labelled mark per variant, the shipped settings larger.",
        sentence=sentence(found, x, words),
        spec=series_charts.path(
            frame[["series", "label", "x", "y", "emphasis", "joined"]],
            model_styles(frame.model),
            f"{words} (less is better)",
            "Recall@10",
        ),
        table=table(title, found, foreign),
        section="folding",
    )


def sentence(found: Folding, x: str, words: str) -> str:
    """Per model: the span of x beside the span of recall; where x is not folding, which way that goes."""
    parts = []
    for model in (MF, SOFTMAX):
        rows = found.frame[(found.frame.model == model) & found.frame[x].notna()]
        if len(rows) < 2:
            continue
        most, least = rows.loc[rows[x].idxmax()], rows.loc[rows[x].idxmin()]
        parts.append(
            f"{model_noun(model)} has {formats.decimal(most[x], 3)} with “{most.label}” at a recall of "
            f"{formats.decimal(most.recall, 3)}, and {formats.decimal(least[x], 3)} with “{least.label}” at "
            f"{formats.decimal(least.recall, 3)}"
        )
    if not parts:
        return f"Too few variants to see what moves the {words}."
    text = (
        f"{formats.sentence(words)}: {'; '.join(parts)}. Where marks lie side by side at one height, recall does not "
        "tell them apart."
    )
    return text if x == "folding" else f"{text}{_folding_beside(found)}"


def _folding_beside(found: Folding) -> str:
    """Which way MF's folding goes over its weights, beside the foreign items in its lists."""
    rows = found.frame[(found.frame.model == MF) & found.frame.folding.notna() & found.frame.foreign.notna()]
    if len(rows) < 2:
        return ""
    first, last = rows.iloc[0], rows.iloc[-1]
    together = (last.folding - first.folding) * (last.foreign - first.foreign)
    way = " the other way," if together < 0 else " the same way," if together > 0 else ""
    return (
        f" From “{first.label}” to “{last.label}” foreign items in MF's lists go from {formats.percent(first.foreign)} "
        f"to {formats.percent(last.foreign)}; its folding, which the table has, goes{way} from "
        f"{formats.decimal(first.folding, 3)} to {formats.decimal(last.folding, 3)}."
    )


def table(caption: str, found: Folding, foreign: str) -> Table:
    """A row per variant."""
    has_filtered = bool(found.frame.filtered.notna().any())
    rows = [
        [
            model_label(row.model),
            f"{row.label}{' (shipped)' if row.base else ''}",
            or_dash(row.folding, lambda value: formats.decimal(value, 4)),
            or_dash(row.foreign, formats.percent),
            or_dash(row.recall, formats.decimal),
            *([or_dash(row.filtered, formats.percent)] if has_filtered else []),
        ]
        for row in found.frame.itertuples()
    ]
    columns: list[str | Column] = ["Model", "Variant", Column("Folding", "folding")]
    columns += [Column(f"Foreign items ({foreign})", "spurious"), Column("Recall@10", "recall")]
    columns += [Column("Foreign in MF's candidates", "spurious")] if has_filtered else []
    return text_table(caption, columns, rows)


def _who_is_liked(found: Folding) -> Figure:
    """A small matrix per variant: users of each group down, items of each group across."""
    names = [str(place) for place in range(1, 1 + len(next(iter(found.blocks.values()))))]
    panels = {
        label: series_charts.matrix(
            pd.DataFrame(
                [(names[i], names[j], float(blocks[i, j])) for i in range(len(names)) for j in range(len(names))],
                columns=["row", "column", "share"],
            ),
            names,
            "mean score",
        )
        for label, blocks in found.blocks.items()
    }
    own = {label: float(np.diag(blocks).mean()) for label, blocks in found.blocks.items()}
    strange = {label: float(blocks[~np.eye(len(blocks), dtype=bool)].mean()) for label, blocks in found.blocks.items()}
    most = max(strange, key=lambda label: strange[label])
    rows = [[label, formats.decimal(own[label], 3), formats.decimal(strange[label], 3)] for label in found.blocks]
    return Figure(
        key="planted-blocks",
        title="What users of each planted group like, by group of items",
        alt="Small matrices, one per variant: mean score of users by group (rows) on items by group (columns).",
        sentence="Users are related to the items of their own group alone: what is tinted beside the diagonal is "
        "folding. "
        f"{most} likes strangers most: {formats.decimal(strange[most], 3)} on average, and "
        f"{formats.decimal(own[most], 3)} within the group.",
        spec={},
        table=text_table(
            "Mean calibrated score", ["Variant", "Own group", Column("Other groups (folding)", "folding")], rows
        ),
        section="folding",
        panels=panels,
    )


def _clouds(found: Folding) -> Figure:
    groups = sorted(found.items.group.unique(), key=formats.natural_key)
    colors = {group: COLORS[place % len(COLORS)] for place, group in enumerate(groups)}
    shapes = {group: SHAPES[place % len(SHAPES)] for place, group in enumerate(groups)}
    panels = {str(label): _cloud(part, colors, shapes) for label, part in found.items.groupby("variant", sort=False)}
    return Figure(
        key="planted-map",
        title="Items of the planted groups, as each variant places them",
        alt="Small scatters, one per variant: items in two dimensions, colour and shape by group.",
        sentence="Each colour is a group of items that the users of one group are related to. Items in one place of "
        "the space get one score from everybody: a model whose groups fall together there can't keep strangers apart. "
        "The reverse does not hold, and of MF a map of items alone can't show folding: it can keep items apart and "
        "fold through its users, whose vectors the map leaves out and which may lie near several groups at once. The "
        "matrices of scores above show it.",
        spec={},
        table=_overlap_table(found.items),
        section="folding",
        panels=panels,
    )


def _cloud(part: pd.DataFrame, colors: dict[str, str], shapes: dict[str, str]) -> dict[str, object]:
    rounded = part[["x", "y", "group", "name"]].round({"x": 3, "y": 3})
    return series_charts.cloud(rounded, colors, shapes)


def _overlap_table(items: pd.DataFrame) -> Table:
    """Distance between the centres of groups beside the spread within them, in the plane that is drawn."""
    rows = []
    for label, part in items.groupby("variant", sort=False):
        centres = part.groupby("group")[["x", "y"]].mean()
        away = part[["x", "y"]].to_numpy() - centres.loc[part.group].to_numpy()
        within = float((away**2).sum(axis=1).mean() ** 0.5)
        between = float((centres - centres.mean()).pow(2).sum(axis=1).mean() ** 0.5)
        apart = f"{formats.decimal(between / within, 1)}" if within > 0 else formats.NO_VALUE
        rows.append([str(label), formats.decimal(between, 2), formats.decimal(within, 2), apart])
    columns = ["Variant", "Spread of the groups' centres", "Spread within a group", "Ratio (above 1: apart)"]
    return text_table("How far the groups stand apart in the plane that is drawn", columns, rows)
