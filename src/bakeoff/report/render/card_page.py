"""The cards in Markdown: what stands in Git beside the code, hence without measured seconds."""

from collections.abc import Sequence

from bakeoff.report.cards import Card, Fact, cards
from bakeoff.report.evidence import Evidence
from bakeoff.report.render import markdown as markdown_tables
from bakeoff.report.render.markdown import escape, table
from bakeoff.report.summary import Summary


def render_cards(summary: Summary, evidence: Evidence) -> dict[str, str]:
    """Model → its card as GitHub-flavoured Markdown."""
    return {card.model: _markdown(card) for card in cards(summary, evidence)}


def _markdown(card: Card) -> str:
    parts = [
        f"# Model card: {escape(card.label)}",
        escape(card.purpose),
        f"In the last comparison: {escape(card.brief)}.",
        "## Data",
        _facts(card.data),
        "## Training",
        _facts(card.training),
        *([table(card.settings)] if card.settings.rows else []),
        "## Quality",
        f"{card.quality.caption}.",
        table(card.quality),
    ]
    for shown in (card.slices, card.new_users, card.lists):
        parts += [f"{escape(shown.caption)}.", table(shown)] if shown else []
    parts += [
        "## Limits",
        "\n".join(f"- {escape(limit)}" for limit in card.limits),
        "## Cost",
        "What training and answering cost was measured where the report was made, and stands there: "
        "`reports/index.html`, section *Model cards*.",
        "## How to load it",
        f"```python\n{card.load}\n```",
    ]
    return markdown_tables.joined(parts)


def _facts(facts: Sequence[Fact]) -> str:
    return "\n".join(f"- **{escape(fact.name)}:** {escape(' '.join(fact.value.split()))}" for fact in facts)
