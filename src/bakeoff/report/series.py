"""How the lines and marks of a chart are told apart: models by their looks, anything else by a palette."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bakeoff.report.models import look, model_label


@dataclass(frozen=True)
class Style:
    """One series: a CSS colour, the shape of its mark, the pattern and width of its line, the area of its mark."""

    color: str
    shape: str = "circle"
    dash: Sequence[int] = (1, 0)
    width: float = 2.0
    size: int = 80


Styles = Mapping[str, Style]
"""Label → style, in the order of the legend."""

PALETTE = (
    Style("var(--softmax)", "diamond", width=2.5, size=90),
    Style("var(--muted)", "square", dash=(5, 3)),
    Style("var(--mf)", "circle", dash=(8, 2)),
    Style("var(--text)", "triangle-up", dash=(2, 2)),
    Style("var(--link)", "cross", dash=(8, 2, 2, 2)),
)


def model_styles(names: Iterable[str]) -> Styles:
    """Each model as everywhere in the report."""
    return {
        model_label(name): Style(f"var(--{name})", look(name).shape, look(name).dash, look(name).width, look(name).size)
        for name in dict.fromkeys(names)
    }


def styles(labels: Iterable[str]) -> Styles:
    """A style per label, by the palette, which starts again where there are more labels."""
    return {label: PALETTE[place % len(PALETTE)] for place, label in enumerate(dict.fromkeys(labels))}
