"""A card per model: what it is for, what it was made from, how good it is and where it ends.

The form follows Mitchell et al. (2019); the figures are those of the report.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
        training: facts about how it was trained.
        settings: its parameters.
        quality: `quality`: accuracy metrics × cutoffs over warm users, with intervals; `slices`: the primary metric by
            time since the last known event, if the data has time; `new-users`: the primary metric on users held out
            whole, if there are any; `lists`: popularity and coverage of its lists.
        limits: where it ends.
        load: Python code that asks it.
    """

    model: str
    brief: str
    training: Mapping[str, str]
    settings: Table
    quality: Mapping[str, Table]
    limits: Sequence[str]
    load: str


def cards(summary: Summary, evidence: Evidence) -> list[Card]:
    """A card of every model that was compared, in the order of the report."""
    return [_card(figure, summary, evidence) for figure in summary.training]


def _card(figure: TrainingFigure, summary: Summary, evidence: Evidence) -> Card:
    model, settings = figure.model, flat(evidence.models[figure.model].training["settings"])
    metric, role = summary.result.metric, ROLES.get(look(model).role, look(model).role)
    primary = estimate_cell(next(e for e in summary.estimates if (e.model, e.metric) == (model, metric)))
    return Card(
        model=model,
        brief=f"{role}; {formats.metric_label(metric)} {primary.text} ({primary.detail})",
        training=_training(figure, summary, evidence),
        settings=name_table(f"Settings of {model_label(model)}", "Setting", settings),
        quality=_quality(model, summary),
        limits=_limits(model, summary, evidence),
        load=_load(model, summary, evidence),
    )


def _training(figure: TrainingFigure, summary: Summary, evidence: Evidence) -> dict[str, str]:
    training = evidence.models[figure.model].training
    epoch = "none to choose"
    if figure.selected_epoch is not None:
        label = formats.metric_label(str(training["selection_metric"]))
        chosen = f"{figure.selected_epoch} of {figure.last_epoch}, by {label} on validation"
        epoch = f"{chosen} ({formats.decimal(figure.best_value)}); then fitted anew with validation"
    trials = [formats.count(search.trials) for search in summary.searches if search.model == figure.model]
    return {
        "Events": formats.count(training["num_train_events"]),
        "Epoch": epoch,
        **({"Start": _start(training["warm_start"])} if "warm_start" in training else {}),
        "Parameters": formats.count(figure.num_parameters),
        "Dimension of the embeddings": formats.count(figure.dim),
        "Seed": summary.provenance.params.get("seed", formats.NO_VALUE),
        "Trials of the search for settings": trials[0] if trials else "none recorded",
    }


def _start(record: Mapping[str, Any]) -> str:
    """Where a training with `warm_start.mode: auto` started."""
    if record["fit"] == "full":
        return f"a full fit. {record['reason']}"
    parent = record["parent"]
    nights = formats.count(record["nights"])
    return f"{parent['version']} (commit {parent['commit'][:7]}, MD5 {parent['md5']}); warm fits in a row: {nights}"


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
    if new_users := [figure for figure in summary.new_users if figure.model == model]:
        tables["new-users"] = record_table(
            f"{label}: {name} on {formats.count(new_users[0].num_users)} users held out whole",
            new_users,
            ("Known interactions", lambda figure: step_label(figure.first)),
            (name, lambda figure: estimate_cell(figure.estimate(metric))),
            ("By a fallback", lambda f: formats.percent(f.fallback_share, 0) if f.fallback_share else "no"),
        )
    exposures = summary.exposures[summary.exposures.model == model].itertuples()
    caption = f"{label}: popularity and coverage of the lists"
    return tables | {"lists": record_table(caption, exposures, ("Lists of", lambda e: str(e.k)), *OF_A_CARD)}


def _limits(model: str, summary: Summary, evidence: Evidence) -> list[str]:
    training = evidence.models[model].training
    new_items = (
        "Items without an event are ranked by their features; the report measures how well."
        if look(model).embeds_new_items(training["settings"])
        else "Items without an event in training are practically never recommended: the model has learned nothing of "
        "them."
    )
    order = "It reads the order of a history: part of its quality may be the continuation of a session."
    if not look(model).personal:
        order = "It sees nothing of the user except which items to leave out: everyone gets the same list."
    elif model in summary.order_blind:
        order = "It sees which items a user had, not in which order: it can't continue a session."
    return [
        *([f"Its fallback: {training['fallback']}"] if training["fallback"] else []),
        new_items,
        order,
        "Trained once, with one seed, and measured on logged behaviour: no log says what people would have taken had "
        "it been shown to them.",
        str(evidence.split["weakness"]),
    ]


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
