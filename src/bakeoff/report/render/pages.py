"""Pages beside the report. Charts answer as the report's do, or are still pictures on a page that runs no script."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import vl_convert
from markupsafe import Markup

from bakeoff.report.glossary import glossary
from bakeoff.report.models import stylesheet
from bakeoff.report.render.environment import environment
from bakeoff.report.render.figure import Figure, specs_of
from bakeoff.report.render.scripts import Scripts, resource

WIDTH = 760
"""Of a chart in pixels; on a narrower page it shrinks."""


@dataclass(frozen=True)
class Picture:
    """A still chart with what is said of it.

    Attributes:
        key: unique on its page.
        title: above it.
        alt: what it is, for those who can't see it.
        sentence: below it.
        svg: the chart.
    """

    key: str
    title: str
    alt: str
    sentence: str
    svg: Markup


def render(
    template: str, models: Iterable[str], terms: Iterable[str] = (), figures: Sequence[Figure] = (), **values: Any
) -> str:
    """A page from its template. Without figures, as with still pictures, it runs no script and is small.

    Args:
        template: its file name.
        models: those whose colours and names the page needs.
        terms: anchors of the glossary that the page explains, beside the models.
        figures: charts that answer to the pointer, which the template shows.
        values: what the template shows beside; texts are escaped.
    """
    shown = list(models)
    explained = glossary(shown)
    return (
        environment()
        .get_template(template)
        .render(
            style=f"{stylesheet(shown)}\n{resource('style.css')}",
            glossary={key: explained[key] for key in [*shown, *terms]},
            figures=figures,
            specs=specs_of(figures),
            scripts=Scripts.of("charts.js", "terms.js") if figures else None,
            **values,
        )
    )


def still(spec: Mapping[str, Any], key: str) -> Markup:
    """A chart of the report as SVG. Colours stay CSS variables; ids are made unique by `key`.

    The picture is hidden from assistive technology: who shows it says in words what it is.
    """
    svg = _drawn(spec)
    for name in ("clip", "gradient_", "symbol"):
        svg = svg.replace(f'id="{name}', f'id="{key}-{name}').replace(f"url(#{name}", f"url(#{key}-{name}")
    return Markup(svg.replace("<svg ", '<svg aria-hidden="true" ', 1))  # noqa: S704 - made by Vega, which escapes texts


def picture(spec: Mapping[str, Any], models: Iterable[str]) -> str:
    """A chart of the report as an SVG file of its own, in the colours of the light scheme: no page lends it its own."""
    # The light scheme comes first in both.
    colours: dict[str, str] = {}
    for name, colour in re.findall(r"--([\w-]+): (#\w+);", f"{resource('style.css')}\n{stylesheet(models)}"):
        colours.setdefault(name, colour)
    svg = _drawn({**spec, "background": "var(--surface)"})
    return re.sub(r"var\(--([\w-]+)\)", lambda found: colours.get(found[1], found[0]), svg)


def _drawn(spec: Mapping[str, Any]) -> str:
    # The reader's font may be wider than the one that is measured here: room for labels and between legend entries.
    legend = {**spec.get("config", {}).get("legend", {}), "columnPadding": 40}
    config = {**spec.get("config", {}), "legend": legend}
    roomy = {**spec, "width": WIDTH, "config": config, "padding": {"left": 30, "right": 20, "top": 5, "bottom": 5}}
    svg: str = vl_convert.vegalite_to_svg(json.dumps(roomy))
    return svg
