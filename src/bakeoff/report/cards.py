"""A card per model: what it is for, what it was made from, how good it is and where it ends.

The form follows Mitchell et al. (2019), the figures are those of the report.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from bakeoff.ops.revisions.revisions import flat
from bakeoff.report import formats
from bakeoff.report.accuracy import Estimate
from bakeoff.report.evidence import Evidence
from bakeoff.report.models import CONTENDERS, baselines, look, model_label
from bakeoff.report.new_users import step_label
from bakeoff.report.summary import Summary
from bakeoff.report.tables import Cell, Column, Table
from bakeoff.report.training import TrainingFigure

FEATURES = "data.user_features."
"""Parameters that name the features of a user."""


@dataclass(frozen=True)
class Fact:
    """A name and its value."""

    name: str
    value: str


@dataclass(frozen=True)
class Card:
    """What is known of one model.

    Attributes:
        model: its name.
        label: its name for people.
        brief: its place in the comparison and the primary metric, in a line.
        purpose: what it is, and what it is for.
        data: what it was trained on.
        training: how.
        settings: its parameters.
        quality: accuracy metrics × cutoffs over warm users, with intervals.
        slices: the primary metric by time since the last known event; None where the data has no time.
        new_users: the primary metric on users held out whole; None without such users.
        lists: popularity and coverage of its lists.
        limits: where it ends.
        cost: what was measured of its training and its answers; differs from run to run; empty where nothing was.
        load: Python code that asks it.
    """

    model: str
    label: str
    brief: str
    purpose: str
    data: Sequence[Fact]
    training: Sequence[Fact]
    settings: Table
    quality: Table
    slices: Table | None
    new_users: Table | None
    lists: Table
    limits: Sequence[str]
    cost: Sequence[Fact]
    load: str


def cards(summary: Summary, evidence: Evidence) -> list[Card]:
    """A card of every model that was compared, in the order of the report."""
    return [_card(figure, summary, evidence) for figure in summary.training]


def _card(figure: TrainingFigure, summary: Summary, evidence: Evidence) -> Card:
    model = figure.model
    return Card(
        model=model,
        label=model_label(model),
        brief=_brief(model, summary),
        purpose=_purpose(model),
        data=_data(evidence),
        training=_training(figure, summary, evidence),
        settings=_settings(model, evidence),
        quality=_quality(model, summary),
        slices=_slices(model, summary),
        new_users=_new_users(model, summary),
        lists=_lists(model, summary),
        limits=_limits(model, summary, evidence),
        cost=_cost(figure),
        load=_load(model, summary, evidence),
    )


def _brief(model: str, summary: Summary) -> str:
    metric = summary.result.metric
    role = "contender" if model in CONTENDERS else "baseline" if baselines([model]) else "beside the contenders"
    found = next(e for e in summary.estimates if e.model == model and e.metric == metric)
    return f"{role}; {formats.metric_label(metric)} {_interval(found)}"


def _purpose(model: str) -> str:
    use = (
        "It generates candidates: out of the whole catalogue, the few items that a user is most likely to come to "
        "next, without those that the user has had."
    )
    return f"{look(model).meaning} {use}".strip()


def _data(evidence: Evidence) -> list[Fact]:
    sizes = evidence.split["sizes"]
    return [
        Fact("Data set", evidence.dataset["title"]),
        Fact("Version of the data, MD5", evidence.data_hash or "not under version control"),
        Fact("Split", str(evidence.split["method"])),
        Fact("Users", f"{formats.count(sizes['warm_users'])}, and {formats.count(sizes['new_users'])} held out"),
        Fact("Items", formats.count(sizes["items"])),
        Fact("Terms", evidence.dataset["terms"] or "none given"),
    ]


def _training(figure: TrainingFigure, summary: Summary, evidence: Evidence) -> list[Fact]:
    training = evidence.models[figure.model].training
    epoch = "none to choose"
    if figure.selected_epoch is not None:
        label = formats.metric_label(str(training["selection_metric"]))
        chosen = f"{figure.selected_epoch} of {figure.last_epoch}, by {label} on validation"
        epoch = f"{chosen} ({formats.decimal(figure.best_value)}); then fitted anew with validation"
    return [
        Fact("Events", formats.count(training["num_train_events"])),
        Fact("Epoch", epoch),
        Fact("Parameters", formats.count(figure.num_parameters)),
        Fact("Dimension of the embeddings", formats.count(figure.dim)),
        Fact("Seed", summary.provenance.params.get("seed", formats.NO_VALUE)),
        Fact("Trials of the search for settings", _trials(figure.model, summary)),
    ]


def _trials(model: str, summary: Summary) -> str:
    return next((formats.count(search.trials) for search in summary.searches if search.model == model), "none recorded")


def _settings(model: str, evidence: Evidence) -> Table:
    rows = [[Cell(name), Cell(value)] for name, value in flat(evidence.models[model].training["settings"]).items()]
    return Table(f"Settings of {model_label(model)}", [Column("Setting"), Column("Value", prose=True)], rows)


def _quality(model: str, summary: Summary) -> Table:
    found = {e.metric: e for e in summary.estimates if e.model == model}
    cutoffs = list(dict.fromkeys(metric.partition("@")[2] for metric in found))
    names = list(dict.fromkeys(metric.partition("@")[0] for metric in found))
    rows = [[Cell(formats.metric_label(name)), *(_cell(found[f"{name}@{k}"]) for k in cutoffs)] for name in names]
    columns = [Column("Metric"), *(Column(f"first {k}") for k in cutoffs)]
    users = formats.count(summary.result.num_users)
    caption = f"{model_label(model)}: mean over {users} warm test users, with its interval"
    return Table(caption, columns, rows)


def _slices(model: str, summary: Summary) -> Table | None:
    if not summary.slices:
        return None
    metric = formats.metric_label(summary.result.metric)
    rows = [
        [
            Cell(part.name),
            Cell(formats.count(part.num_users)),
            _cell(next(e for e in part.estimates if e.model == model)),
        ]
        for part in summary.slices
    ]
    columns = [Column("Since last event"), Column("Users"), Column(metric)]
    return Table(f"{model_label(model)}: {metric} by time since the last known event", columns, rows)


def _new_users(model: str, summary: Summary) -> Table | None:
    figures = [figure for figure in summary.new_users if figure.model == model]
    if not figures:
        return None
    metric = summary.result.metric
    rows = [
        [
            Cell(step_label(figure.first)),
            _cell(figure.estimate(metric)),
            Cell(formats.percent(figure.fallback_share, 0) if figure.fallback_share else "no"),
        ]
        for figure in figures
    ]
    label = formats.metric_label(metric)
    columns = [Column("Told interactions"), Column(label), Column("By a fallback")]
    caption = f"{model_label(model)}: {label} on {formats.count(figures[0].num_users)} users held out whole"
    return Table(caption, columns, rows)


def _lists(model: str, summary: Summary) -> Table:
    columns = [Column("Lists of"), Column("Popularity lift", "lift"), Column("Coverage", "coverage")]
    columns += [Column("Gini", "gini"), Column("Long-tail share", "long-tail")]
    rows = [
        [
            Cell(str(e.k)),
            Cell(formats.signed_percent(e.lift)),
            Cell(formats.percent(e.coverage)),
            Cell(formats.decimal(e.gini, 3)),
            Cell(formats.percent(e.long_tail)),
        ]
        for e in summary.exposures
        if e.model == model
    ]
    return Table(f"{model_label(model)}: popularity and coverage of the lists", columns, rows)


def _limits(model: str, summary: Summary, evidence: Evidence) -> list[str]:
    training = evidence.models[model].training
    settings = training["settings"]
    reads_items = look(model).embeds_new_items(settings)
    new_items = (
        "Items without an event are ranked by their features; how well is measured in the report."
        if reads_items
        else "Items without an event in training are not recommended in earnest: it has learned nothing of them."
    )
    order = "It reads the order of a history: part of its quality may be the continuation of a session."
    if not look(model).personal:
        order = "It sees nothing of the user but which items are to be left out: everyone gets the same list."
    elif model in summary.order_blind:
        order = "It sees which items a user had, not in which order: it can't continue a session."
    return [
        *([f"Its fallback: {training['fallback']}"] if training["fallback"] else []),
        new_items,
        order,
        "Trained once, with one seed, and measured on logged behaviour: what people would have taken had it been shown "
        "to them, no log can say.",
        str(evidence.split["weakness"]),
    ]


def _cost(figure: TrainingFigure) -> list[Fact]:
    measured = [
        ("Training, wall time", figure.wall_seconds, formats.seconds),
        ("Training, CPU time", figure.cpu_seconds, formats.seconds),
        ("Peak memory of training", figure.peak_memory_bytes, formats.megabytes),
        ("Ranking for all test users", figure.ranking_seconds, formats.seconds),
    ]
    return [Fact(name, write(value)) for name, value, write in measured if not math.isnan(value)]


def _load(model: str, summary: Summary, evidence: Evidence) -> str:
    kinds = {
        name.removeprefix(FEATURES): kind
        for name, kind in summary.provenance.params.items()
        if name.startswith(FEATURES)
    }
    dense, other = ([n for n, kind in kinds.items() if (kind == "dense") == wanted] for wanted in (True, False))
    user = _text(evidence.models[model].users.user_id.iloc[0])
    history = ", ".join(_text(item) for item in evidence.items.item_id.iloc[:2])
    times = ", ".join(["0"] * min(2, len(evidence.items)))
    unknown = ", ".join(['float("nan")'] * len(dense))
    empty = ", ".join(['""'] * len(other))
    features = [
        f"tf.constant([[{unknown}]]),  # {', '.join(dense)}; NaN: not known" if dense else "tf.zeros([1, 0]),",
        f'tf.constant([[{empty}]]),  # {", ".join(other)}; "": not known' if other else "tf.zeros([1, 0], tf.string),",
    ]
    return "\n".join(
        [
            "import tensorflow as tf",
            "",
            f'model = tf.saved_model.load("models/{model}/saved_model")',
            f"model.recommend_for_users(tf.constant([{user}]), tf.constant(10))  # item_ids, scores, known",
            "model.recommend_for_histories(  # someone new",
            f"    tf.constant([[{history}]]),  # item ids, oldest first",
            f"    tf.constant([[{times}]], tf.int64),  # UTC seconds; 0: not known",
            *(f"    {line}" for line in features),
            "    tf.constant(10),",
            ")",
        ]
    )


def _text(value: object) -> str:
    """A string literal; no backtick, which would end a block of code in Markdown."""
    return json.dumps(str(value)).replace("`", "\\u0060")


def _cell(estimate: Estimate) -> Cell:
    interval = f"{formats.decimal(estimate.low)} to {formats.decimal(estimate.high)}"
    return Cell(formats.decimal(estimate.mean), interval)


def _interval(estimate: Estimate) -> str:
    cell = _cell(estimate)
    return f"{cell.text} ({cell.detail})"
