"""GitHub-flavoured Markdown: tables, lists of facts, and texts without markup of their own."""

from collections.abc import Iterable, Mapping

from bakeoff.report.render.figure import Cell, Table


def markdown_table(shown: Table) -> str:
    """A table without its caption; figures are aligned right, row headings and prose left."""
    rule = ["--:" if index and not column.prose else "---" for index, column in enumerate(shown.columns)]
    rows = [[escape(column.label) for column in shown.columns], rule]
    rows += [[_cell(cell) for cell in row] for row in shown.rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def markdown_facts(facts: Mapping[str, str]) -> str:
    """Names in bold with their values, as a list."""
    return "\n".join(f"- **{escape(name)}:** {escape(' '.join(value.split()))}" for name, value in facts.items())


def escape(text: str) -> str:
    """Text in one line, without anything that Markdown or HTML reads as markup."""
    text = " ".join(text.splitlines())
    for character in "\\`*_|[]<>":
        text = text.replace(character, f"\\{character}")
    return text


def code(text: str) -> str:
    """Text as a span of code; no character in it can end the span."""
    return f"`{' '.join(text.splitlines()).replace('`', chr(39))}`"


def document(parts: Iterable[str]) -> str:
    """Paragraphs, tables and headings as one document; empty parts are left out."""
    return "\n\n".join(part for part in parts if part) + "\n"


def _cell(cell: Cell) -> str:
    text = f"**{escape(cell.text)}**" if cell.strong else escape(cell.text)
    return f"{text} ({escape(cell.detail)})" if cell.detail else text
