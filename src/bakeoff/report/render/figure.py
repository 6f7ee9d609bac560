"""A chart of the page with everything that goes with it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bakeoff.report.render.chart_parts import Spec
from bakeoff.report.render.tables import Table


@dataclass(frozen=True)
class Figure:
    """One chart, or several small ones side by side.

    Attributes:
        key: unique on the page; part of element ids.
        title: what is drawn.
        alt: what a person who can't see it must know of its form.
        sentence: what to see in it.
        spec: Vega-Lite specification; empty where there are panels.
        table: the same figures as text.
        open: whether the table stands open below the chart.
        section: anchor of the section that shows it; empty where the section's template names it.
        panels: label → specification of a small chart.
    """

    key: str
    title: str
    alt: str
    sentence: str
    spec: Spec
    table: Table
    open: bool = False
    section: str = ""
    panels: Mapping[str, Spec] = field(default_factory=dict)

    def specs(self) -> dict[str, dict[str, Any]]:
        """Specifications by the last part of the id of the place where each is drawn."""
        if not self.panels:
            return {self.key: self.spec}
        return {f"{self.key}-{place}": spec for place, spec in enumerate(self.panels.values(), start=1)}


def specs_of(figures: Iterable[Figure]) -> dict[str, Spec]:
    """Specifications of all of a page's charts, as charts.js draws them."""
    return {place: spec for figure in figures for place, spec in figure.specs().items()}
