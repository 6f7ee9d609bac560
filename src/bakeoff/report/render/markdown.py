"""Tables of text in GitHub-flavoured Markdown."""

from collections.abc import Sequence

from bakeoff.report.render.tables import Cell, Table


def table(shown: Table) -> str:
    """A table without its caption; figures stand right, the heading of a row and prose left."""
    rule = ["--:" if index and not column.prose else "---" for index, column in enumerate(shown.columns)]
    rows = [[escape(column.label) for column in shown.columns], rule]
    rows += [[_cell(cell) for cell in row] for row in shown.rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def escape(text: str) -> str:
    """Text in one line, without what Markdown or HTML would take for markup."""
    text = " ".join(text.splitlines())
    for character in "\\`*_|[]<>":
        text = text.replace(character, f"\\{character}")
    return text


def code(text: str) -> str:
    """Text as a span of code, which nothing in it ends."""
    return f"`{' '.join(text.splitlines()).replace('`', chr(39))}`"


def _cell(cell: Cell) -> str:
    text = f"**{escape(cell.text)}**" if cell.strong else escape(cell.text)
    return f"{text} ({escape(cell.detail)})" if cell.detail else text


def joined(parts: Sequence[str]) -> str:
    """Paragraphs, tables and headings as one document."""
    return "\n\n".join(parts) + "\n"
