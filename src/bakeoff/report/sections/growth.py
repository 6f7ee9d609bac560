"""How the cost of training grows with the data, and that of a step with the catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from bakeoff.report import formats, series_charts
from bakeoff.report.measured import figure
from bakeoff.report.models import CONTENDERS, MF, SOFTMAX, model_label, model_noun
from bakeoff.report.render.figure import Figure
from bakeoff.report.sections.parts import or_dash, text_table
from bakeoff.report.series import PALETTE, model_styles

FULL, SAMPLED = "full softmax", "sampled negatives"
OTHER_COSTS = {"cpu": "CPU time:", "epoch": "an epoch's CPU time:", "memory": "peak memory:"}
"""Whose growth is told beside that of wall time."""


@dataclass(frozen=True)
class Growth:
    """Measured costs.

    Attributes:
        sizes: model, events, users, items, wall, cpu, memory; a row per model and size.
        exponents: model → kind (wall, cpu, memory, epoch) → exponent, low, high; null where it could not be fitted.
        catalogues: items, full, sampled (seconds per step), repeats.
    """

    sizes: pd.DataFrame
    exponents: Mapping[str, Mapping[str, Any]]
    catalogues: pd.DataFrame


def growth(measured: Mapping[str, Any]) -> Growth:
    """The figures of growth.json."""
    sizes = [
        (
            row["model"],
            int(row["events"]),
            int(row["users"]),
            int(row["items"]),
            figure(row, "fit_seconds"),
            figure(row, "cpu_seconds"),
            figure(row, "peak_memory_bytes"),
        )
        for row in measured.get("sizes", [])
    ]
    catalogues = [
        (int(row["items"]), figure(row, "full_step_seconds"), figure(row, "sampled_step_seconds"), int(row["repeats"]))
        for row in measured.get("catalogues", [])
    ]
    return Growth(
        sizes=pd.DataFrame(sizes, columns=["model", "events", "users", "items", "wall", "cpu", "memory"]),
        exponents=measured.get("exponents", {}),
        catalogues=pd.DataFrame(catalogues, columns=["items", "full", "sampled", "repeats"]),
    )


def figures(found: Growth) -> list[Figure]:
    """Wall time by size of the data, and by size of the catalogue; both axes logarithmic."""
    drawn = []
    if len(found.sizes):
        drawn.append(_sizes(found))
    if len(found.catalogues):
        drawn.append(_catalogues(found))
    return drawn


def _log(column: str, title: str) -> dict[str, Any]:
    return {
        "shorthand": f"{column}:Q",
        "title": title,
        "scale": alt.Scale(type="log", nice=False, padding=12),
        "axis": alt.Axis(format="~s" if column == "x" else "~g", tickCount=4),
    }


def _sizes(found: Growth) -> Figure:
    frame = found.sizes.assign(series=found.sizes.model.map(model_label), x=found.sizes.events, y=found.sizes.wall)
    return Figure(
        key="growth",
        title="Training time by size of the data",
        alt="Line chart, both axes logarithmic: wall seconds by number of events, a line per model.",
        sentence=exponent_sentence(found),
        spec=series_charts.lines(
            frame[["series", "x", "y"]],
            model_styles(found.sizes.model),
            alt.X(**_log("x", "events")),
            alt.Y(**_log("y", "wall seconds")),
            ".3s",
        ),
        table=text_table(
            "Cost of training on shares of the users, once each; of long fits some epochs, which stand for all",
            ["Model", "Events", "Users", "Wall time", "CPU time", "Peak memory"],
            _size_rows(found),
        ),
        section="growth",
    )


def _size_rows(found: Growth) -> list[list[str]]:
    """A row per model and size, then the exponents of each model."""
    rows = [
        [
            model_label(row.model),
            formats.count(row.events),
            formats.count(row.users),
            or_dash(row.wall, formats.duration),
            or_dash(row.cpu, formats.duration),
            or_dash(row.memory, formats.megabytes),
        ]
        for row in found.sizes.itertuples()
    ]
    exponents = [
        [
            model_label(name),
            "exponent (95 %)",
            "",
            *(_shown(fits.get(kind)) for kind in ("wall", "cpu", "memory")),
        ]
        for name, fits in found.exponents.items()
        if any(fits.values())
    ]
    return [*rows, *exponents]


def exponent_sentence(found: Growth) -> str:
    """Wall time at most data, and how each cost grows."""
    parts = []
    for name in (MF, SOFTMAX):
        rows = found.sizes[found.sizes.model == name]
        fitted = found.exponents.get(name, {}).get("wall")
        if rows.empty:
            continue
        last = rows.loc[rows.events.idxmax()]
        grows = f", growing as events to the power of {_exponent(fitted)}" if fitted else ""
        parts.append(f"{model_noun(name)} takes {formats.duration(last.wall)}{grows}")
    return (
        f"On all events {formats.listing(parts)}. An exponent of 1 is growth in step with the data; below it lies what "
        f"costs the same at any size, such as starting up.{_beside(found)}{_other_exponents(found)}"
    )


def _beside(found: Growth) -> str:
    """Wall time of the models that are drawn beside the contenders, at most data."""
    rows = found.sizes[~found.sizes.model.isin(CONTENDERS) & found.sizes.wall.notna()]
    last = rows.sort_values("events").groupby("model", sort=False).wall.last()
    told = [f"{formats.duration(last[name])} for {model_noun(name)}" for name in dict.fromkeys(rows.model)]
    return f" Beside them it is {formats.listing(told)}." if told else ""


def _other_exponents(found: Growth) -> str:
    """Those of what is not wall time, without their intervals."""
    parts = []
    for kind, words in OTHER_COSTS.items():
        fitted = {name: found.exponents.get(name, {}).get(kind) for name in (MF, SOFTMAX)}
        told = [
            f"{formats.decimal(float(each['exponent']), 2)} for {model_noun(name)}"
            for name, each in fitted.items()
            if each
        ]
        if told:
            parts.append(f"{words} {' and '.join(told)}")
    return f" Exponents of {'; of '.join(parts)}." if parts else ""


def _shown(fitted: Mapping[str, Any] | None) -> str:
    return _exponent(fitted) if fitted else formats.NO_VALUE


def _exponent(fitted: Mapping[str, Any]) -> str:
    low, high = (formats.decimal(float(fitted[end]), 2) for end in ("low", "high"))
    return f"{formats.decimal(float(fitted['exponent']), 2)} ({low} to {high})"


def _catalogues(found: Growth) -> Figure:
    long = found.catalogues.melt(["items", "repeats"], ["full", "sampled"], var_name="kind", value_name="y")
    frame = long[long.y > 0].assign(
        series=lambda f: f.kind.map({"full": FULL, "sampled": SAMPLED}), x=lambda f: f["items"]
    )
    last = found.catalogues.iloc[-1]
    ratio = last.full / last.sampled if last.sampled > 0 and last.full > 0 else float("nan")
    rows = [
        [
            formats.count(row.items),
            or_dash(row.full, formats.duration),
            or_dash(row.sampled, formats.duration),
            or_dash(row.full / row.sampled if row.sampled > 0 else float("nan"), formats.times),
            formats.count(row.repeats),
        ]
        for row in found.catalogues.itertuples(index=False)
    ]
    sentence = (
        f"With {formats.count(last['items'])} items a step with the full softmax takes {formats.times(ratio)} as "
        "long as one with sampled negatives: the full one grows with the catalogue, the sampled one hardly."
        if ratio > 1
        else "On these catalogues sampled negatives save nothing."
    )
    return Figure(
        key="catalogues",
        title="Time of a step by size of the catalogue",
        alt="Line chart, both axes logarithmic: seconds per step by number of items, a line per kind of softmax.",
        sentence=sentence,
        spec=series_charts.lines(
            frame[["series", "x", "y"]],
            {SAMPLED: PALETTE[0], FULL: PALETTE[1]},
            alt.X(**_log("x", "items of a made catalogue")),
            alt.Y(**_log("y", "seconds per step")),
            ".3s",
        ),
        table=text_table(
            "Median wall time of a training step", ["Items", "Full softmax", "Sampled", "Full / sampled", "Turns"], rows
        ),
        section="growth",
    )
