"""How fast the exported models answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bakeoff.report import formats, series_charts
from bakeoff.report.measured import figure
from bakeoff.report.models import MF, SOFTMAX, model_label, model_noun
from bakeoff.report.render.figure import Column, Figure
from bakeoff.report.sections.parts import or_dash, text_table
from bakeoff.report.series import model_styles

ONE = "1 known user"
_PLURAL = {"known user": "known users", "stored user": "stored users", "history": "histories"}


@dataclass(frozen=True)
class Serving:
    """Latencies.

    Attributes:
        frame: group (what is asked), model, low (p50), high (p95) in seconds, calls.
        sizes: model → bytes of the export.
        precomputed: model → what is computed beforehand.
    """

    frame: pd.DataFrame
    sizes: Mapping[str, float]
    precomputed: Mapping[str, str]


def serving(measured: Mapping[str, Any]) -> Serving:
    """The figures of serving.json."""
    models = measured.get("models", {})
    rows = []
    for kind, word in (("batches", "known user"), ("stored", "stored user"), ("history", "history")):
        batches = sorted({batch for model in models.values() for batch in model.get(kind, {})}, key=int)
        for batch in batches:
            group = f"{batch} {word if batch == '1' else _PLURAL[word]}"
            rows += [
                (group, name, figure(found, "p50_seconds"), figure(found, "p95_seconds"), int(found["calls"]))
                for name, model in models.items()
                if (found := model.get(kind, {}).get(batch))
            ]
    return Serving(
        frame=pd.DataFrame(rows, columns=["group", "model", "low", "high", "calls"]),
        sizes={name: figure(model, "model_bytes") for name, model in models.items()},
        precomputed={name: str(model.get("precomputed", "")) for name, model in models.items()},
    )


def figures(found: Serving) -> list[Figure]:
    """One chart: p50 to p95 per kind of question and model."""
    frame = found.frame[(found.frame.low > 0) & (found.frame.high > 0)]
    if frame.empty:
        return []
    rows = [
        [
            model_label(row.model),
            row.group,
            formats.duration(row.low),
            formats.duration(row.high),
            formats.count(row.calls),
            or_dash(found.sizes.get(row.model, float("nan")), formats.megabytes),
        ]
        for row in frame.itertuples()
    ]
    times = [Column("p50", "p95"), Column("p95", "p95")]
    return [
        Figure(
            key="serving",
            title="How long an answer takes",
            alt="Range chart on a logarithmic axis: per kind of question and model a line from p50 to p95.",
            sentence=sentence(frame),
            spec=series_charts.ranges(
                frame.assign(series=frame.model.map(model_label)), model_styles(frame.model), "seconds, p50 to p95"
            ),
            table=text_table(
                "Latency of the exported models", ["Model", "Asked for", *times, "Calls", "Exported model"], rows
            ),
            section="growth",
        )
    ]


def one_query(found: Serving) -> str | None:
    """The contenders' p95 of one query; None where one was not timed."""
    one = found.frame[found.frame.group == ONE].set_index("model").high
    if not {MF, SOFTMAX} <= set(one.index):
        return None
    times = " and ".join(f"{formats.duration(one[name])} for {model_noun(name)}" for name in (SOFTMAX, MF))
    return f"Nineteen of twenty single queries are answered within {times}."


def sentence(frame: pd.DataFrame) -> str:
    """The contenders' p95, question by question."""
    high = {(row.group, row.model): row.high for row in frame.itertuples()}
    parts = [
        f"{formats.duration(high[group, MF])} against {formats.duration(high[group, SOFTMAX])} for {group}"
        for group in dict.fromkeys(frame.group)
        if {(group, MF), (group, SOFTMAX)} <= set(high)
    ]
    if not parts:
        return "The mark is p95: nineteen of twenty answers came sooner."
    stored = [
        f"{formats.duration(value)} for {group}"
        for (group, model), value in high.items()
        if "stored" in group and model == MF
    ]
    beforehand = f" With vectors of its users computed beforehand MF takes {formats.listing(stored)}." if stored else ""
    return (
        f"p95 of {model_noun(MF)} against {model_noun(SOFTMAX)}: {formats.listing(parts)}.{beforehand} The mark is "
        "p95, nineteen of twenty answers came sooner; the line starts at p50."
    )
