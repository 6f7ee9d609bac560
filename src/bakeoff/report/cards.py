"""A card per model: what it is for, what it was made from, how good it is and where it ends.

The form follows Mitchell et al. (2019); the figures are those of the report.
"""

import json

from bakeoff.evaluation.metrics.table import ACCURACY_LABELS
from bakeoff.report import formats
from bakeoff.report.evidence import Evidence
from bakeoff.report.models import look, model_label
from bakeoff.report.params import flat
from bakeoff.report.render.figure import Row, Table, estimate_cell, record_table, table_of
from bakeoff.report.render.pages import render_text
from bakeoff.report.render.tables import OF_A_CARD, name_table
from bakeoff.report.slices import step_label
from bakeoff.report.summary import Summary
from bakeoff.report.training import TrainingFigure

FEATURES = "data.user_features."
"""Parameters that name the features of a user."""
ANY_USER = "the id of a user"
"""In the code of a card, unless ids may be shown."""


def card_markdown(trained: TrainingFigure, summary: Summary, evidence: Evidence) -> str:
    """The card of one model."""
    model = trained.model
    return render_text(
        "card.md.j2",
        model=model,
        trained=trained,
        summary=summary,
        evidence=evidence,
        spec=look(model),
        settings=name_table(
            f"Settings of {model_label(model)}", "Setting", flat(evidence.models[model].training["settings"])
        ),
        quality=quality_tables(model, summary),
        load=load_code(model, summary, evidence),
    )


def quality_tables(model: str, summary: Summary) -> dict[str, Table]:
    """What the lists of a model are like, table by table.

    Returns:
        `quality`: accuracy metrics × cutoffs over warm users, with intervals; `slices`: the primary metric by time
        since the last known event, if the data has time; `new-users`: the primary metric on users held out whole, if
        there are any; `lists`: popularity and coverage.
    """
    label, metric = model_label(model), summary.result.metric
    name, users = formats.metric_label(metric), formats.count(summary.result.num_users)
    found = {e.metric: estimate_cell(e) for e in summary.estimates.itertuples() if e.model == model}
    measures, cutoffs = (list(dict.fromkeys(metric.split("@")[part] for metric in found)) for part in (0, 1))
    rows: list[Row] = [[ACCURACY_LABELS.get(m, m), *(found[f"{m}@{k}"] for k in cutoffs)] for m in measures]
    caption = f"{label}: mean over {users} warm test users, with its interval"
    tables = {"quality": table_of(caption, ["Metric", *(f"first {k}" for k in cutoffs)], rows)}
    if summary.slices:
        tables["slices"] = record_table(
            f"{label}: {name} by time since the last known event",
            summary.slices,
            ("Since last event", lambda part: part.name),
            ("Users", lambda part: formats.count(part.num_users)),
            (name, lambda part: estimate_cell(next(e for e in part.estimates.itertuples() if e.model == model))),
        )
    if summary.new_users:
        tables["new-users"] = record_table(
            f"{label}: {name} on {formats.count(summary.new_users[0].num_users)} users held out whole",
            summary.new_users,
            ("Known interactions", lambda part: step_label(part.name)),
            (name, lambda part: estimate_cell(next(e for e in part.estimates.itertuples() if e.model == model))),
            (
                "By a fallback",
                lambda part: formats.percent(part.fallbacks[model], 0) if part.fallbacks[model] else "no",
            ),
        )
    exposures = summary.exposures[summary.exposures.model == model].itertuples()
    caption = f"{label}: popularity and coverage of the lists"
    return tables | {"lists": record_table(caption, exposures, ("Lists of", lambda e: str(e.k)), *OF_A_CARD)}


def load_code(model: str, summary: Summary, evidence: Evidence) -> str:
    """Python code that asks the model."""
    params = summary.provenance.params
    kinds = {name.removeprefix(FEATURES): kind for name, kind in params.items() if name.startswith(FEATURES)}
    return render_text(
        "load.py.j2",
        model=model,
        user=_literal(evidence.models[model].users.user_id.iloc[0] if summary.show_ids else ANY_USER),
        history=[_literal(item) for item in evidence.items.item_id.iloc[:2]],
        dense=[name for name, kind in kinds.items() if kind == "dense"],
        other=[name for name, kind in kinds.items() if kind == "categorical"],
    ).rstrip()


def _literal(value: object) -> str:
    """A string literal of Python; no backtick, which would end a block of code in Markdown, and nothing invisible."""
    text = json.dumps(str(value), ensure_ascii=False).replace("`", "\\u0060")
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
