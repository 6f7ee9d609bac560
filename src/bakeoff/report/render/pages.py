"""Pages from templates: HTML that needs nothing but itself, charts as still pictures, and Markdown for Git."""

import base64
import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import vl_convert
from jinja2 import Environment
from markupsafe import Markup

from bakeoff.report import formats
from bakeoff.report.models import look, stylesheet
from bakeoff.report.render.figure import Cell, Figure, Picture, Table

WIDTH = 760
"""Pixels of a still picture; on a narrower page it shrinks."""
UNIT = re.compile(r"(?<=\d) (?=%|(?:s|min|h|MB|GB)\b)|(?<=\bp) (?=[<=])|(?<=[<=]) (?=\d)")
"""Spaces between a number and its unit, and within `p < 0.001`."""


class StillPicture(Picture):
    """A chart that is shown as SVG."""

    @property
    def svg(self) -> str:
        """The chart inline: colours stay CSS variables, and `key` makes its ids unique on the page.

        It is hidden from assistive technology, which reads `title` and `alt`.
        """
        svg = re.sub(r'(id="|url\(#)(?=clip|gradient_|symbol)', rf"\g<1>{self.key}-", _svg(self.spec))
        return svg.replace("<svg ", '<svg aria-hidden="true" ', 1)


def render_page(
    template: str, models: Iterable[str], figures: Mapping[str, Figure] | None = None, **values: Any
) -> str:
    """A page that needs nothing but itself. Without interactive figures it runs no script.

    The only markup passed through is the page's own style, scripts and chart library.

    Args:
        template: its file name.
        models: those whose colours and names the page needs. The glossary explains what the page links to.
        figures: interactive charts that the template shows, by their keys.
        values: what else the template shows; texts are escaped.
    """
    shown, figures = list(models), figures or {}
    page = _templates(is_html=True).get_template(template)
    return page.render(
        models=shown,
        style=stylesheet(shown),
        glossary=glossary(shown),
        figures=figures,
        specs={place: spec for figure in figures.values() for place, spec in figure.specs().items()},
        **values,
    )


def render_text(template: str, **values: Any) -> str:
    """A file that is not HTML, such as Markdown or Python, from its template."""
    return _templates(is_html=False).get_template(template).render(**values)


@cache
def _templates(is_html: bool) -> Environment:
    """Templates of pages, in which numbers stay together with their units, or of other files."""
    made = formats.template_environment(finalize=keep_units if is_html else None, keep_trailing_newline=not is_html)
    made.filters.update(md=escape, code=code, md_table=markdown_table, csp_hash=csp_hash, resource=resource)
    made.globals["chart_library"] = chart_library
    return made


def glossary(models: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Anchor → (term, explanation): the models, then the terms of glossary.toml."""
    explained = {name: (look(name).label, look(name).meaning) for name in models if look(name).meaning}
    terms = {key: (each["term"], each["meaning"]) for key, each in tomllib.loads(resource("glossary.toml")).items()}
    return explained | terms


def keep_units(value: object) -> object:
    """Put a no-break space between a number and its unit; anything that is not plain text stays as it is."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return UNIT.sub("\N{NO-BREAK SPACE}", value)


def csp_hash(script: str) -> str:
    """The hash of a script for the content security policy, so that no other script runs."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def resource(name: str) -> str:
    """Text of a file of this package."""
    return files("bakeoff.report.render").joinpath(name).read_text(encoding="utf-8")


@cache
def chart_library() -> str:
    """Vega, Vega-Lite and vega-embed as one script; a `</script` in its strings must not end the element."""
    library: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return library.replace("</script", "<\\/script")


def svg_file(spec: Mapping[str, Any], models: Iterable[str]) -> str:
    """A chart as an SVG file, in the colours of the light theme."""
    variables = re.findall(r"--([\w-]+): (#\w+);", f"{resource('style.css')}\n{stylesheet(models)}")
    colours = dict(reversed(variables))  # the light theme comes first in both
    svg = _svg({**spec, "background": "var(--surface)"})
    return re.sub(r"var\(--([\w-]+)\)", lambda found: colours.get(found[1], found[0]), svg)


def _svg(spec: Mapping[str, Any]) -> str:
    # The reader's font may be wider than the one measured here: leave room for labels and between legend entries.
    legend = {**spec.get("config", {}).get("legend", {}), "columnPadding": 40}
    config = {**spec.get("config", {}), "legend": legend}
    roomy = {**spec, "width": WIDTH, "config": config, "padding": {"left": 30, "right": 20, "top": 5, "bottom": 5}}
    svg: str = vl_convert.vegalite_to_svg(json.dumps(roomy))
    return svg


def markdown_table(shown: Table) -> str:
    """A table without its caption; figures are aligned right, row headings and prose left."""
    rule = ["--:" if index and not column.prose else "---" for index, column in enumerate(shown.columns)]
    rows = [[escape(column.label) for column in shown.columns], rule]
    rows += [[_cell(cell) for cell in row] for row in shown.rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def validation_markdown(report: Mapping[str, Any]) -> str:
    """The verdict on the raw data: tables of rows and reasons, then the expectations that were not met."""
    return render_text("validation.md.j2", report=report, tables=report.get("tables", {}))


def escape(text: str) -> str:
    """Text in one line, without anything that Markdown, HTML or GitHub reads as markup: mentions and issues included.

    A backslash keeps GitHub neither from notifying `@name` nor from linking `#1`; an invisible word joiner does.
    """
    escaped = re.sub(r"([\\`*_|\[\]<>&~$])", r"\\\1", " ".join(text.splitlines()))
    return re.sub(r"((?<!\w)[@#]|\bGH-|/[\w.-]+#)(?=\w)", "\\1\N{WORD JOINER}", escaped)


def code(text: str) -> str:
    """Text as a span of code; no character in it can end the span."""
    return f"`{' '.join(text.splitlines()).replace('`', chr(39))}`"


def _cell(cell: Cell) -> str:
    text = f"**{escape(cell.text)}**" if cell.strong else escape(cell.text)
    return f"{text} ({escape(cell.detail)})" if cell.detail else text
