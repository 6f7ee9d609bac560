"""The report as one HTML file that needs nothing but itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment

from bakeoff.evaluation.stats.tests import Verdict
from bakeoff.report import cards, data_tables, formats, gallery, sentences, tables, training_tables, verdict
from bakeoff.report.claims import formatting as words
from bakeoff.report.environment import environment
from bakeoff.report.evidence import Evidence
from bakeoff.report.figure import specs_of
from bakeoff.report.glossary import glossary
from bakeoff.report.limits import limits
from bakeoff.report.models import CONTENDERS, MF, SOFTMAX, model_label, stylesheet
from bakeoff.report.scripts import Scripts, resource
from bakeoff.report.sections import explore
from bakeoff.report.summary import Summary

CONTENTS = {
    "Answer": {"verdict": "Verdict", "claims": "The textbook's claims"},
    "Quality": {
        "accuracy": "Accuracy",
        "when": "When",
        "popularity": "Popularity and coverage",
        "scorer": "As a scorer",
        "sampled": "Sampled metrics",
    },
    "New to the models": {"new-users": "New users and features", "new-items": "New items"},
    "What they learn": {
        "folding": "Folding",
        "map": "Embedding map",
        "examples": "Where the models differ",
        "cards": "Model cards",
    },
    "Cost": {
        "training": "Training",
        "growth": "Growth and serving",
        "depth": "Depth and width",
        "tuning": "Tuning",
    },
    "Basis": {
        "data": "Data and split",
        "limits": "Limits",
        "since": "Since the last version",
        "reproduce": "Reproduce",
        "glossary": "Glossary",
    },
}
"""Group → anchor → title, in the order of the page."""
SECTIONS = {key: title for group in CONTENTS.values() for key, title in group.items()}


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
            **_contents(summary),
            **_verdict(summary),
            **_tables(summary, evidence),
            **_claims(summary),
            **_explorer(summary),
            summary=summary,
            evidence=evidence,
            figures=shown,
            specs=specs_of(shown.values()),
            order_blind=formats.listing([model_label(name) for name in summary.models if name in summary.order_blind]),
            fallbacks=fallbacks(evidence),
            cards=cards.cards(summary, evidence),
            limits=limits(summary, evidence),
            glossary=glossary(summary.models),
            style="\n".join([stylesheet(summary.models), resource("style.css"), resource("claims.css")]),
            scripts=Scripts.of("charts.js", "terms.js", "contents.js", "explore.js"),
        )
    )


def outcome(result: verdict.Result) -> str:
    """The contender that is ahead; `none` without evidence."""
    return {Verdict.BETTER: SOFTMAX, Verdict.WORSE: MF, Verdict.NO_EVIDENCE: "none"}[result.verdict]


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


def _contents(summary: Summary) -> dict[str, Any]:
    """Sections that there is something to say in, and the groups that they stand in."""
    present = {"new-users": bool(summary.new_users), "tuning": bool(summary.searches)}
    sections = {key: title for key, title in SECTIONS.items() if present.get(key, True)}
    groups = {group: [key for key in titles if key in sections] for group, titles in CONTENTS.items()}
    return {"sections": sections, "contents": {group: keys for group, keys in groups.items() if keys}}


def _verdict(summary: Summary) -> dict[str, Any]:
    """What stands at the top."""
    result = summary.result
    return {
        "headline": verdict.headline(result),
        "recommendation": summary.recommendation,
        "statement": verdict.statement(result),
        "costs": gallery.costs(summary),
        "caveats": summary.caveats,
        "outcome": outcome(result),
        "band": interval_band(result),
        "tiles": tiles(summary),
        "standing": sentences.standings(summary.standings, result.confidence),
        "metric": formats.metric_label(result.metric),
        "level": formats.level(result.confidence),
    }


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


def _claims(summary: Summary) -> dict[str, Any]:
    """The claims as the template shows them, every figure as text."""
    level = formats.level(summary.result.confidence)
    return {
        "claims": [words.shown(claim) for claim in summary.claims],
        "claims_overview": words.overview(summary.claims),
        "claim_rules": words.rules(level),
    }


def _explorer(summary: Summary) -> dict[str, Any]:
    found = summary.findings.explorer
    models = list(found.positions) if found else []
    return {
        "explorer": found,
        "explore_data": explore.data(found) if found else {},
        "explore_model": SOFTMAX if SOFTMAX in models else next(iter(models), ""),
    }


def _environment() -> Environment:
    made = environment()
    made.filters.update(outcome_class=words.css_class, tag_color=explore.color_of, tag_shape=explore.path_of)
    return made
