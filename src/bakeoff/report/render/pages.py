"""Pages from templates: HTML that needs nothing but itself, charts as still pictures, and Markdown for Git."""

import base64
import hashlib
import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import vl_convert
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from bakeoff.report import formats
from bakeoff.report.models import look, model_label, model_noun, stylesheet
from bakeoff.report.render.figure import Cell, Figure, Picture, Table, specs_of

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
    template: str, models: Iterable[str], terms: Iterable[str] = (), figures: Sequence[Figure] = (), **values: Any
) -> str:
    """A page other than the report. Without interactive figures it runs no script.

    Args:
        template: its file name.
        models: those whose colours and names the page needs.
        terms: anchors of the glossary that the page explains in addition to the models.
        figures: interactive charts that the template shows.
        values: what else the template shows; texts are escaped.
    """
    shown = list(models)
    explained = glossary(shown)
    page = template_environment().get_template(template)
    return page.render(
        style=style(shown),
        glossary={key: explained[key] for key in [*shown, *terms]},
        figures=figures,
        specs=specs_of(figures),
        scripts=scripts("charts.js", "terms.js") if figures else None,
        **values,
    )


def render_text(template: str, **values: Any) -> str:
    """A file that is not HTML, such as Markdown or Python, from its template."""
    environment = template_environment().overlay(finalize=None, keep_trailing_newline=True)
    return environment.get_template(template).render(**values)


def template_environment() -> Environment:
    """Templates that escape texts in HTML, refuse undefined names, and write numbers for people."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader("bakeoff.report.render"), PackageLoader("bakeoff.report", "topics")]),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        finalize=keep_units,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    numbers = (formats.count, formats.decimal, formats.level, formats.p_value, formats.percent, formats.signed)
    words = (formats.listing, formats.metric_label, formats.plain, formats.sentence, formats.within_sentence)
    made.filters.update({write.__name__: write for write in (*numbers, *words, model_noun)})
    made.tests["nan"] = math.isnan
    made.filters.update(md=escape, code=code, md_table=markdown_table, model=model_label, csp_hash=csp_hash)
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


def style(models: Iterable[str], *sheets: str) -> str:
    """Style of a page: the models' colours, style.css and further style sheets of this package."""
    return "\n".join([stylesheet(models), *(resource(name) for name in ("style.css", *sheets))])


def scripts(*names: str) -> Sequence[str]:
    """The chart library (Vega, Vega-Lite and vega-embed), and these scripts of this package as one."""
    return chart_library(), "\n".join(resource(name) for name in names)


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
    """Text in one line, without anything that Markdown or HTML reads as markup."""
    return re.sub(r"([\\`*_|\[\]<>])", r"\\\1", " ".join(text.splitlines()))


def code(text: str) -> str:
    """Text as a span of code; no character in it can end the span."""
    return f"`{' '.join(text.splitlines()).replace('`', chr(39))}`"


def _cell(cell: Cell) -> str:
    text = f"**{escape(cell.text)}**" if cell.strong else escape(cell.text)
    return f"{text} ({escape(cell.detail)})" if cell.detail else text
