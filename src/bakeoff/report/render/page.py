"""The report as one HTML file that needs nothing but itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bakeoff.evaluation.stats.significance import Verdict
from bakeoff.report import formats, verdict
from bakeoff.report.cards import cards
from bakeoff.report.evidence import Evidence
from bakeoff.report.models import MF, SOFTMAX, model_label
from bakeoff.report.render import gallery, sentences, tables
from bakeoff.report.render.figure import estimate_with_interval, specs_of
from bakeoff.report.render.pages import glossary, scripts, style, template_environment
from bakeoff.report.summary import Summary
from bakeoff.report.topics import explore
from bakeoff.report.topics.base import wording as words
from bakeoff.report.topics.base.topic import topics

OTHER_SECTIONS = (
    (10, "Answer", "verdict", "Verdict"),
    (20, "Answer", "claims", "The textbook's claims"),
    (330, "What they learn", "examples", "Where the models differ"),
    (340, "What they learn", "cards", "Model cards"),
    (410, "Cost", "training", "Training"),
    (440, "Cost", "tuning", "Tuning"),
    (510, "Basis", "data", "Data and split"),
    (520, "Basis", "limits", "Limits"),
    (530, "Basis", "since", "Since the last version"),
    (540, "Basis", "reproduce", "Reproduce"),
    (550, "Basis", "glossary", "Glossary"),
)
"""Sections that are not topics: order, group, anchor and title."""


def contents() -> dict[str, dict[str, str]]:
    """Group → anchor → title of topics and other sections, in the order of the page."""
    of_topics = [(topic.order, topic.group, topic.section, topic.title) for topic in topics() if topic.title]
    groups: dict[str, dict[str, str]] = {}
    for _, group, key, title in sorted((*of_topics, *OTHER_SECTIONS)):
        groups.setdefault(group, {})[key] = title
    return groups


CONTENTS = contents()
"""Group → anchor → title, in the order of the page."""
SECTIONS = {key: title for group in CONTENTS.values() for key, title in group.items()}
TEMPLATES = {key: f"_{key}.html.j2" for _, _, key, _ in OTHER_SECTIONS} | {
    topic.section: topic.template for topic in topics() if topic.title
}
"""Anchor → template of the section."""


@dataclass(frozen=True)
class Tile:
    """A key figure: what it is, its value, and a detail below it."""

    label: str
    value: str
    detail: str
    kind: str = ""


def report_html(summary: Summary, evidence: Evidence) -> str:
    """The page.

    Every text is escaped by the template; the only markup passed through is the page's own style, scripts and chart
    library.
    """
    shown = gallery.all_figures(summary)
    environment = template_environment()
    environment.filters.update(outcome_class=words.css_class, tag_color=explore.tag_color, tag_shape=explore.tag_path)
    return environment.get_template("index.html.j2").render(
        **_contents(summary),
        **_verdict(summary),
        tables=tables,
        **_claims(summary),
        **_explorer(summary),
        summary=summary,
        evidence=evidence,
        figures=shown,
        specs=specs_of(shown.values()),
        order_blind=formats.listing([model_label(name) for name in summary.models if name in summary.order_blind]),
        fallbacks={name: model.training["fallback"] for name, model in evidence.models.items()},
        cards=cards(summary, evidence),
        seen=sentences.what_models_see(summary, evidence),
        glossary=glossary(summary.models),
        style=style(summary.models, "claims.css"),
        scripts=scripts("charts.js", "terms.js", "contents.js", "explore.js"),
    )


def leader(result: verdict.Result) -> str:
    """The contender that is ahead; `none` without evidence."""
    return {Verdict.BETTER: SOFTMAX, Verdict.WORSE: MF, Verdict.NO_EVIDENCE: "none"}[result.verdict]


def tiles(summary: Summary) -> list[Tile]:
    """Key figures: the means of the contenders and of the best baseline, users ahead, time to train."""
    result, baseline = summary.result, summary.standings[0].baseline
    metric, level = formats.metric_label(result.metric), formats.level(result.confidence)
    cells = {e.model: estimate_with_interval(e) for e in summary.estimates if e.metric == result.metric}
    shown = [
        Tile(f"{model_label(name)}{role}, {metric}", cells[name].text, f"{level}: {cells[name].detail}", kind)
        for name, role, kind in ((SOFTMAX, "", SOFTMAX), (MF, "", MF), (baseline, " (best baseline)", ""))
    ]
    row = next(d for d in summary.differences if d.metric == result.metric)
    ahead = tables.win_tie_loss(row).replace(" ", "\N{NARROW NO-BREAK SPACE}")
    shown.append(Tile("Users ahead: softmax / level / MF", ahead, f"effect size d {formats.signed(row.effect, 2)}"))
    costs = {figure.model: figure for figure in summary.training if figure.wall_seconds > 0}
    for name in (name for name in (SOFTMAX, MF) if name in costs):
        memory = f"{formats.megabytes(costs[name].peak_memory_bytes)} at its peak"
        shown.append(Tile(f"Training, {model_label(name)}", formats.seconds(costs[name].wall_seconds), memory, name))
    return shown


def interval_band(result: verdict.Result) -> Mapping[str, str]:
    """Places of 0, the mean and the interval on the line of the verdict's small picture, in percent."""
    low, high = min(result.low, 0.0), max(result.high, 0.0)
    margin = 0.12 * (high - low) or 1.0
    start, length = low - margin, high - low + 2 * margin

    def place(value: float) -> str:
        return f"{100 * (value - start) / length:.2f}%"

    width = f"{100 * (result.high - result.low) / length:.2f}%"
    return {"zero": place(0), "mean": place(result.difference), "low": place(result.low), "width": width}


def _contents(summary: Summary) -> dict[str, Any]:
    """Sections that have something to say, by group."""
    present = {"new-users": bool(summary.new_users), "tuning": bool(summary.searches)}
    sections = {key: title for key, title in SECTIONS.items() if present.get(key, True)}
    groups = {group: [key for key in titles if key in sections] for group, titles in CONTENTS.items()}
    return {
        "sections": sections,
        "contents": {group: keys for group, keys in groups.items() if keys},
        "section_templates": TEMPLATES,
    }


def _verdict(summary: Summary) -> dict[str, Any]:
    """The top of the page."""
    result = summary.result
    return {
        "headline": verdict.verdict_headline(result),
        "recommendation": summary.recommendation,
        "statement": verdict.verdict_statement(result),
        "costs": gallery.costs(summary),
        "caveats": summary.caveats,
        "outcome": leader(result),
        "band": interval_band(result),
        "tiles": tiles(summary),
        "standing": sentences.standings_caption(summary.standings, result.confidence),
        "metric": formats.metric_label(result.metric),
        "level": formats.level(result.confidence),
    }


def _claims(summary: Summary) -> dict[str, Any]:
    """The claims with every figure as text."""
    return {
        "claims": [words.shown_claim(claim) for claim in summary.claims],
        "claims_overview": words.overview(summary.claims),
        "claim_rules": words.rules(formats.level(summary.result.confidence)),
    }


def _explorer(summary: Summary) -> dict[str, Any]:
    found = summary.findings.of(explore.TOPIC)
    models = list(found.positions) if found else []
    return {
        "explorer": found,
        "explore_data": found.page_data() if found else {},
        "explore_model": SOFTMAX if SOFTMAX in models else next(iter(models), ""),
    }
