"""A card per model: what it is for, what it was made from, how good it is and where it ends.

The form follows Mitchell et al. (2019); the figures are those of the report.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

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
ROLES = {"reference": "baseline", "other": "also compared"}
"""Roles with another name for people."""
ANY_USER = "the id of a user"
"""In the code of a card, unless ids may be shown."""


@dataclass(frozen=True)
class Card:
    """What is known of one model.

    Attributes:
        model: its name.
        brief: its role in the comparison and the primary metric, in a line.
        trained: how it was trained.
        seed: of the training.
        trials: of the search for its settings.
        settings: its parameters.
        quality: `quality`: accuracy metrics × cutoffs over warm users, with intervals; `slices`: the primary metric by
            time since the last known event, if the data has time; `new-users`: the primary metric on users held out
            whole, if there are any; `lists`: popularity and coverage of its lists.
        is_order_blind: whether it ignores the order of a history.
        load: Python code that asks it.
    """

    model: str
    brief: str
    trained: TrainingFigure
    seed: str
    trials: str
    settings: Table
    quality: Mapping[str, Table]
    is_order_blind: bool
    load: str


def cards(summary: Summary, evidence: Evidence) -> list[Card]:
    """A card of every model that was compared, in the order of the report."""
    return [_card(figure, summary, evidence) for figure in summary.training]


def _card(figure: TrainingFigure, summary: Summary, evidence: Evidence) -> Card:
    model, settings = figure.model, flat(evidence.models[figure.model].training["settings"])
    metric, role = summary.result.metric, ROLES.get(look(model).role, look(model).role)
    primary = estimate_cell(next(e for e in summary.estimates if (e.model, e.metric) == (model, metric)))
    trials = [formats.count(search.trials) for search in summary.searches if search.model == model]
    return Card(
        model=model,
        brief=f"{role}; {formats.metric_label(metric)} {primary.text} ({primary.detail})",
        trained=figure,
        seed=summary.provenance.params.get("seed", formats.NO_VALUE),
        trials=next(iter(trials), "none recorded"),
        settings=name_table(f"Settings of {model_label(model)}", "Setting", settings),
        quality=_quality(model, summary),
        is_order_blind=model in summary.order_blind,
        load=_load(model, summary, evidence),
    )


def _quality(model: str, summary: Summary) -> dict[str, Table]:
    label, metric = model_label(model), summary.result.metric
    name, users = formats.metric_label(metric), formats.count(summary.result.num_users)
    found = {e.metric: estimate_cell(e) for e in summary.estimates if e.model == model}
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
            (name, lambda part: estimate_cell(next(e for e in part.estimates if e.model == model))),
        )
    if summary.new_users:
        tables["new-users"] = record_table(
            f"{label}: {name} on {formats.count(summary.new_users[0].num_users)} users held out whole",
            summary.new_users,
            ("Known interactions", lambda part: step_label(part.name)),
            (name, lambda part: estimate_cell(next(e for e in part.estimates if e.model == model))),
            (
                "By a fallback",
                lambda part: formats.percent(part.fallbacks[model], 0) if part.fallbacks[model] else "no",
            ),
        )
    exposures = summary.exposures[summary.exposures.model == model].itertuples()
    caption = f"{label}: popularity and coverage of the lists"
    return tables | {"lists": record_table(caption, exposures, ("Lists of", lambda e: str(e.k)), *OF_A_CARD)}


def _load(model: str, summary: Summary, evidence: Evidence) -> str:
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
    """A string literal; no backtick, which would end a block of code in Markdown."""
    return json.dumps(str(value)).replace("`", "\\u0060")
