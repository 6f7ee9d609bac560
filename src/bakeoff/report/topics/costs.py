"""Cost: the claims that MF trains at larger scale and is cheaper to serve, growth with data and catalogue, latency."""

from collections.abc import Iterator, Mapping
from typing import Any

import altair as alt
import pandas as pd

from bakeoff.evaluation.stats.timing_intervals import Repeated, total
from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Statistics
from bakeoff.report.evidence import Evidence, NotMeasured, figure
from bakeoff.report.formats import count, decimal, duration
from bakeoff.report.models import MF, PALETTE, SOFTMAX, Styles, model_label, model_styles
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Column, Figure, Row, caption, present, record_table, table_of
from bakeoff.report.topics.base.claims import CLAIMS, Form, Question, Words
from bakeoff.report.topics.base.judge import on_costs, on_exponents, repeated_figure, unknown
from bakeoff.report.topics.base.topic import Page, Topic

TRAINING, SERVING = CLAIMS["training_cost"], CLAIMS["serving_cost"]

KINDS = {"full": "full softmax", "sampled": "sampled negatives"}
"""Kind of step → the name of its line."""
STEPS = {f"{kind}_step_seconds": kind for kind in KINDS}
ALONE = "Of a process that only trains; the peak of the training stage is that of validation and the refit too."
"""Why the memory of growth is less than that of the stages."""
MeasuredGrowth = Mapping[str, Any]
MEMORY, EXPONENT = TRAINING.wording("memory"), TRAINING.wording("exponent")
SAMPLED_STEP = TRAINING.wording("sampled_step", where="", first=model_label(MF), second=model_label(SOFTMAX))


def _ask_training(evidence: Evidence, _: ReportParams) -> list[Question]:
    """Cost of training, its growth with the data, and the effect of the size of the catalogue on a step."""
    growth = evidence.part("growth")
    trained = [_training(evidence, *costs) for costs in (("wall", "epoch_seconds"), ("cpu", "epoch_cpu_seconds"))]
    if isinstance(growth, NotMeasured):
        return [*trained, *(unknown(words, growth.reason, is_cost=True) for words in (MEMORY, EXPONENT, SAMPLED_STEP))]
    return [*trained, _memory(growth), _powers(growth), _catalogue_step(growth)]


def _training(evidence: Evidence, key: str, epochs: str) -> Question:
    """Cost of the shipped models, as they were trained for this report."""
    costs = [evidence.models[name].training_cost for name in (MF, SOFTMAX)]
    steps = [cost.get(epochs, ()) for cost in costs]
    totals = [total(each, figure(cost, f"{key}_seconds")) for each, cost in zip(steps, costs, strict=True)]
    timed = f"{count(len(steps[0]))} and {count(len(steps[1]))} epochs timed"
    basis = timed if min(map(len, steps)) > 1 else "measured once"
    return on_costs(TRAINING.wording(key), totals, Form.SECONDS, basis)


def _memory(growth: MeasuredGrowth) -> Question:
    ascending = sorted(growth["sizes"], key=lambda row: int(row["events"]))
    largest = {row["model"]: figure(row, "peak_memory_bytes") for row in ascending}
    sides = [Repeated(largest.get(name, float("nan"))) for name in (MF, SOFTMAX)]
    return on_costs(MEMORY, sides, Form.BYTES, "measured once", note=ALONE)


def _powers(growth: MeasuredGrowth) -> Question:
    fitted = [growth.get("exponents", {}).get(name, {}).get("cpu") for name in (MF, SOFTMAX)]
    if not all(fitted):
        return unknown(EXPONENT, "An exponent needs at least three sizes of the data.", is_cost=True)
    return on_exponents(EXPONENT, [Repeated(each["exponent"], each["low"], each["high"]) for each in fitted])


def _catalogue_step(growth: MeasuredGrowth) -> Question:
    sizes = [row for row in growth.get("catalogues", []) if row.get("full_step_seconds")]
    if not sizes:
        return unknown(SAMPLED_STEP, "No step was timed.", is_cost=True)
    largest = max(sizes, key=lambda row: int(row["items"]))
    sides = [repeated_figure(largest, f"{kind}_step_seconds") for kind in ("sampled", "full")]
    where = f" with {count(largest['items'])} items"
    words = TRAINING.wording("sampled_step", where=where, first="sampled", second="full")
    return on_costs(words, sides, Form.SECONDS, f"{count(largest['repeats'])} turns of steps each")


def _growth_charts(growth: MeasuredGrowth, _: ReportParams, __: Statistics) -> Iterator[Figure]:
    """CPU time by size of the data, and time of a step by size of the catalogue."""
    if growth["sizes"]:
        costs = dict.fromkeys(("cpu_seconds", "peak_memory_bytes"), float)
        yield _sizes(pd.DataFrame(growth["sizes"]).astype(costs), growth["exponents"])
    if growth["catalogues"]:
        yield _catalogues(growth)


def _lines(frame: pd.DataFrame, styles: Styles, x: str, y: str) -> dict[str, Any]:
    """Lines with both axes logarithmic."""
    log = alt.Scale(type="log", nice=False, padding=12)
    across = alt.X("x:Q", title=x, scale=log, axis=alt.Axis(format="~s", tickCount=4))
    up = alt.Y("y:Q", title=y, scale=log, axis=alt.Axis(format="~g", tickCount=4))
    return series_charts.series_lines(frame[["series", "x", "y"]], styles, across, up, ".3s")


def _sizes(sizes: pd.DataFrame, exponents: Mapping[str, Mapping[str, Any]]) -> Figure:
    """A row of the table per model and size, then the exponents of each model."""
    known = sizes[sizes.cpu_seconds.notna()]
    last = known.sort_values("events").groupby("model", sort=False).cpu_seconds.last()
    rows: list[Row] = []
    for row in sizes.itertuples():
        costs = duration(row.cpu_seconds), formats.megabytes(row.peak_memory_bytes)
        rows.append([model_label(row.model), count(row.events), count(row.users), *costs])
    rows += [
        [model_label(name), "exponent (95 %)", "", *(_exponent(fits.get(kind)) for kind in ("cpu", "memory"))]
        for name, fits in exponents.items()
        if any(fits.values())
    ]
    seconds = {name: last[name] for name in present(known.model)}
    powers = {name: _exponent(fits["cpu"]) for name, fits in exponents.items() if fits.get("cpu")}
    drawn = sizes.assign(series=sizes.model.map(model_label), x=sizes.events, y=sizes.cpu_seconds)
    return Figure(
        "growth",
        *caption("growth", seconds=seconds, powers=powers, events=known.events.max()),
        spec=_lines(drawn, model_styles(sizes.model), "events", "CPU seconds"),
        table=table_of(
            "Cost of training on shares of the users, once each; of long fits some epochs, which stand for all",
            ["Model", "Events", "Users", "CPU time", "Peak memory"],
            rows,
        ),
    )


def _exponent(fitted: Mapping[str, Any] | None) -> str:
    """The exponent with its interval; an en dash where it was not fitted."""
    if not fitted:
        return formats.NO_VALUE
    return f"{decimal(fitted['exponent'], 2)} ({decimal(fitted['low'], 2)} to {decimal(fitted['high'], 2)})"


def _catalogues(growth: MeasuredGrowth) -> Figure:
    sizes = pd.DataFrame(growth["catalogues"], columns=["items", *STEPS, "repeats"])
    sizes = sizes.astype(dict.fromkeys(STEPS, float)).rename(columns=STEPS)
    sizes["ratio"] = (sizes.full / sizes.sampled).where(sizes.sampled > 0)
    timed = sizes[sizes.ratio.notna()].sort_values("items")
    long = sizes.melt(["items"], [*STEPS.values()], var_name="kind", value_name="y")
    frame = long[long.y > 0].assign(series=lambda rows: rows.kind.map(KINDS), x=lambda rows: rows["items"])
    styles = {KINDS["sampled"]: PALETTE[0], KINDS["full"]: PALETTE[1]}
    return Figure(
        "catalogues",
        *caption("catalogues", last=None if timed.empty else timed.iloc[-1]),
        spec=_lines(frame, styles, "items of a made catalogue", "seconds per step"),
        table=record_table(
            "Median wall time of a training step, the two kinds in turns",
            sizes.itertuples(),
            ("Items", lambda row: count(row.items)),
            ("Full softmax", lambda row: duration(row.full)),
            ("Sampled", lambda row: duration(row.sampled)),
            ("Full / sampled", lambda row: formats.times(row.ratio)),
            ("Turns", lambda row: count(row.repeats)),
        ),
    )


GROWTH = Topic(
    "growth",
    420,
    Page.EVIDENCE,
    "growth",
    _growth_charts,
    "Cost",
    "Growth and serving",
    TRAINING,
    _ask_training,
    "growth",
)


QUERIES = {
    "batches": ("known user", "known users"),
    "stored": ("stored user", "stored users"),
    "history": ("history", "histories"),
}
"""Kind of query → its name for one and for several."""


def _ask_serving(evidence: Evidence, _: ReportParams) -> list[Question]:
    """One query, batches of queries, users without a stored vector, and the size of the exported model."""
    serving = evidence.part("serving")
    one = SERVING.wording("one")
    if isinstance(serving, NotMeasured):
        return [unknown(one, serving.reason, is_cost=True)]
    mf, softmax = (serving.get("models", {}).get(name, {}) for name in (MF, SOFTMAX))
    stored, network = mf.get("stored", {}), softmax.get("batches", {})
    folded = mf.get("batches", {}).get("1")
    note = f"As exported MF folds in known users too, and takes {duration(figure(folded, 'p95_seconds'))}."
    questions: list[Question] = [_latency(one, stored.get("1"), network.get("1"), note=note if folded else "")]
    for size in sorted((set(stored) & set(network)) - {"1"}, key=int):
        words = SERVING.wording("batch_{size}", size=size, number=count(int(size)))
        # There are too few calls of large batches to estimate their p95.
        questions.append(_latency(words, stored[size], network[size], "p50_seconds"))
    questions.append(
        _latency(SERVING.wording("history"), *(each.get("history", {}).get("1") for each in (mf, softmax)))
    )
    sizes = [Repeated(figure(each, "model_bytes")) for each in (mf, softmax)]
    return [*questions, on_costs(SERVING.wording("size"), sizes, Form.BYTES, "one export each")]


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


def _latency_charts(serving: Mapping[str, Any], _: ReportParams, __: Statistics) -> Iterator[Figure]:
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


LATENCY = Topic(
    "serving", 425, Page.EVIDENCE, "growth", _latency_charts, claim=SERVING, ask=_ask_serving, source="serving"
)
