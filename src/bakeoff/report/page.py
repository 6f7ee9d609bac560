"""The report as one HTML file that needs nothing but itself."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bakeoff.evaluation.significance import Verdict
from bakeoff.report import data_tables, formats, gallery, sentences, tables, training_tables, verdict
from bakeoff.report.evidence import Evidence
from bakeoff.report.glossary import glossary
from bakeoff.report.limits import limits
from bakeoff.report.models import CONTENDERS, MF, SOFTMAX, model_label, stylesheet
from bakeoff.report.summary import Summary

SECTIONS = {
    "verdict": "Verdict",
    "accuracy": "Accuracy",
    "popularity": "Popularity and coverage",
    "new-users": "New users",
    "training": "Training and its cost",
    "tuning": "Tuning",
    "examples": "A few users",
    "data": "Data and split",
    "limits": "Limits",
    "reproduce": "Reproduce",
    "glossary": "Glossary",
}
"""Anchor → title, in the order of the page."""


UNIT = re.compile(r"(?<=\d) (?=%|(?:s|min|h|MB|GB)\b)|(?<=\bp) (?=[<=])|(?<=[<=]) (?=\d)")
"""Spaces between a number and its unit, and within `p < 0.001`."""


@dataclass(frozen=True)
class Tile:
    """A key figure: what it is, its value, and what stands below it."""

    label: str
    value: str
    detail: str
    kind: str = ""


def render(summary: Summary, evidence: Evidence) -> str:
    """The page.

    Every text is escaped by the template; the only markup that is passed through is the page's own style,
    script and chart library.
    """
    shown = gallery.figures(summary)
    return (
        _environment()
        .get_template("index.html.j2")
        .render(
            sections=_sections(summary),
            summary=summary,
            evidence=evidence,
            figures=shown,
            specs={key: figure.spec for key, figure in shown.items()},
            headline=verdict.headline(summary.result),
            statement=verdict.statement(summary.result),
            cost=gallery.training_cost(summary),
            caveats=summary.caveats,
            outcome=outcome(summary.result),
            band=interval_band(summary.result),
            tiles=tiles(summary),
            standing=sentences.standings(summary.standings, summary.result.confidence),
            order_blind=formats.listing([model_label(name) for name in summary.models if name in summary.order_blind]),
            fallbacks=fallbacks(evidence),
            **_tables(summary, evidence),
            limits=limits(summary, evidence),
            glossary=glossary(summary.models),
            metric=formats.metric_label(summary.result.metric),
            level=formats.level(summary.result.confidence),
            style=f"{stylesheet(summary.models)}\n{_resource('style.css')}",
            script=_resource("charts.js"),
            library=_chart_library(),
        )
    )


def outcome(result: verdict.Result) -> str:
    """The contender that is ahead; `none` without evidence."""
    return {Verdict.BETTER: SOFTMAX, Verdict.WORSE: MF, Verdict.NO_EVIDENCE: "none"}[result.verdict]


def keep_units(value: object) -> object:
    """A number and its unit stay on one line: the space between them becomes one that does not break."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return UNIT.sub("\N{NO-BREAK SPACE}", value)


def tiles(summary: Summary) -> list[Tile]:
    """Key figures: the means of the contenders and of the best baseline, users ahead, time to train."""
    result = summary.result
    metric = formats.metric_label(result.metric)
    means = {e.model: e for e in summary.estimates if e.metric == result.metric}
    seconds = {f.model: f for f in summary.training}
    baseline = summary.standings[0].baseline
    shown = [
        Tile(
            f"{model_label(name)}{' (best baseline)' if name == baseline else ''}, {metric}",
            formats.decimal(means[name].mean),
            f"{formats.level(result.confidence)}: {formats.decimal(means[name].low)} to "
            f"{formats.decimal(means[name].high)}",
            name if name in CONTENDERS else "",
        )
        for name in (SOFTMAX, MF, baseline)
    ]
    row = next(d for d in summary.differences if d.metric == result.metric)
    shown.append(
        Tile(
            "Users ahead: softmax / level / MF",
            tables.win_tie_loss(row).replace(" ", "\N{NARROW NO-BREAK SPACE}"),
            f"effect size d {formats.signed(row.effect, 2)}",
        )
    )
    for name in (SOFTMAX, MF):
        cost = seconds[name]
        if cost.wall_seconds > 0:
            detail = f"{formats.megabytes(cost.peak_memory_bytes)} at its peak"
            shown.append(Tile(f"Training, {model_label(name)}", formats.seconds(cost.wall_seconds), detail, name))
    return shown


def interval_band(result: verdict.Result) -> Mapping[str, str]:
    """Where 0, the mean and the interval lie on the line of the verdict's small picture, in percent."""
    low, high = min(result.low, 0.0), max(result.high, 0.0)
    margin = 0.12 * (high - low) or 1.0
    start, length = low - margin, high - low + 2 * margin

    def place(value: float) -> str:
        return f"{100 * (value - start) / length:.2f}%"

    width = f"{100 * (result.high - result.low) / length:.2f}%"
    return {"zero": place(0), "mean": place(result.difference), "low": place(result.low), "width": width}


def fallbacks(evidence: Evidence) -> Mapping[str, str]:
    """Model → its fallback, in the model's own words."""
    return {name: model.training["fallback"] for name, model in evidence.models.items() if model.training["fallback"]}


def _tables(summary: Summary, evidence: Evidence) -> dict[str, tables.Table]:
    """Tables without a chart, by the name that the templates use."""
    result = summary.result
    return {
        "standings": tables.standing_table(summary.standings, result.metric, result.confidence),
        "exposure": tables.exposure_table(summary.exposures, summary.cutoff),
        "settings": training_tables.setting_table(summary.searches),
        "validation": data_tables.validation_table(evidence.validation),
        "reasons": data_tables.reason_table(evidence.validation),
        "expectations": data_tables.expectation_table(evidence.validation),
        "params": data_tables.parameter_table(summary.provenance),
        "versions": data_tables.version_table(summary.provenance),
    }


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("bakeoff.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=keep_units,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(decimal=formats.decimal, percent=formats.percent, count=formats.count, model=model_label)
    return environment


def _sections(summary: Summary) -> Mapping[str, str]:
    present = {"new-users": bool(summary.new_users), "tuning": bool(summary.searches)}
    return {key: title for key, title in SECTIONS.items() if present.get(key, True)}


def _resource(name: str) -> str:
    return files("bakeoff.report").joinpath(name).read_text(encoding="utf-8")


@cache
def _chart_library() -> str:
    """Vega, Vega-Lite and vega-embed as one script; a `</script` in its strings must not end the element."""
    library: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return library.replace("</script", "<\\/script")
