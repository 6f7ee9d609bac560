"""Cost of serving: the claim that MF is cheaper, and how fast the exported models answer."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from bakeoff.evaluation.stats.timing_intervals import Repeated
from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Statistics
from bakeoff.report.evidence import Evidence, NotMeasured, figure
from bakeoff.report.formats import count, duration
from bakeoff.report.models import MF, SOFTMAX, model_label, model_styles
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Column, Figure, caption, record_table
from bakeoff.report.topics.base.claims import CLAIMS, Form, Question, Words
from bakeoff.report.topics.base.judge import on_costs, repeated_figure, unknown
from bakeoff.report.topics.base.topic import Page, Topic

CLAIM = CLAIMS["serving_cost"]

QUERIES = {
    "batches": ("known user", "known users"),
    "stored": ("stored user", "stored users"),
    "history": ("history", "histories"),
}
"""Kind of query → its name for one and for several."""


def _ask(evidence: Evidence, _: ReportParams) -> list[Question]:
    """One query, batches of queries, users without a stored vector, and the size of the exported model."""
    serving = evidence.part("serving")
    one = CLAIM.wording("one")
    if isinstance(serving, NotMeasured):
        return [unknown(one, serving.reason, is_cost=True)]
    mf, softmax = (serving.get("models", {}).get(name, {}) for name in (MF, SOFTMAX))
    stored, network = mf.get("stored", {}), softmax.get("batches", {})
    folded = mf.get("batches", {}).get("1")
    note = f"As exported MF folds in known users too, and takes {duration(figure(folded, 'p95_seconds'))}."
    questions: list[Question] = [_latency(one, stored.get("1"), network.get("1"), note=note if folded else "")]
    for size in sorted((set(stored) & set(network)) - {"1"}, key=int):
        words = CLAIM.wording("batch_{size}", size=size, number=count(int(size)))
        # There are too few calls of large batches to estimate their p95.
        questions.append(_latency(words, stored[size], network[size], "p50_seconds"))
    questions.append(_latency(CLAIM.wording("history"), *(each.get("history", {}).get("1") for each in (mf, softmax))))
    sizes = [Repeated(figure(each, "model_bytes")) for each in (mf, softmax)]
    return [*questions, on_costs(CLAIM.wording("size"), sizes, Form.BYTES, "one export each")]


def _latency(
    words: Words, mf: Mapping[str, Any] | None, dnn: Mapping[str, Any] | None, name: str = "p95_seconds", note: str = ""
) -> Question:
    if not mf or not dnn:
        return unknown(words, "It was not timed for both contenders.", is_cost=True)
    calls = f"at least {count(min(int(mf['calls']), int(dnn['calls'])))} calls each"
    return on_costs(words, [repeated_figure(side, name) for side in (mf, dnn)], Form.SECONDS, calls, note=note)


def latencies(models: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Group (the query), model, low (p50), high (p95) in seconds, calls, size (bytes of the export)."""
    rows = []
    for kind, (single, plural) in QUERIES.items():
        for batch in sorted({batch for model in models.values() for batch in model.get(kind, {})}, key=int):
            query = f"{batch} {single if batch == '1' else plural}"
            for name, model in models.items():
                if found := model.get(kind, {}).get(batch):
                    seconds = (figure(found, f"{end}_seconds") for end in ("p50", "p95"))
                    rows.append((query, name, *seconds, int(found["calls"]), figure(model, "model_bytes")))
    return pd.DataFrame(rows, columns=["group", "model", "low", "high", "calls", "size"])


def _charts(serving: Mapping[str, Any], _: ReportParams, __: Statistics) -> Iterator[Figure]:
    frame = latencies(serving["models"]).query("low > 0 and high > 0")
    drawn = frame.drop(columns="size").assign(series=frame.model.map(model_label))
    p95 = frame.pivot_table(index="group", columns="model", values="high", sort=False).reindex(columns=[MF, SOFTMAX])
    yield Figure(
        "serving",
        *caption("serving", both=p95.dropna(), stored=p95[MF].filter(like="stored").dropna()),
        spec=series_charts.ranges(drawn, model_styles(frame.model), "seconds, p50 to p95"),
        table=record_table(
            "Latency of the exported models",
            frame.itertuples(),
            ("Model", lambda row: model_label(row.model)),
            ("Asked for", lambda row: row.group),
            (Column("p50", "p95"), lambda row: duration(row.low)),
            (Column("p95", "p95"), lambda row: duration(row.high)),
            ("Calls", lambda row: count(row.calls)),
            ("Exported model", lambda row: formats.megabytes(row.size)),
        ),
    )


TOPIC = Topic("serving", 425, Page.EVIDENCE, "growth", _charts, claim=CLAIM, ask=_ask, source="serving")
