"""How each retriever is named, explained and drawn: what its spec says, for the report."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bakeoff.models.base import specs
from bakeoff.models.base.specs import ModelSpec

MF = "mf"
SOFTMAX = "softmax"
CONTENDERS = (MF, SOFTMAX)
"""The two that the verdict is about."""
EASE = "ease"
REFERENCE = "popularity"
"""The model that knows nobody."""


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


def look(name: str) -> ModelSpec:
    """What is known of a model; one without a spec is drawn in grey, under its own name."""
    return specs.specs().get(name) or ModelSpec(name, name, "other", load="", graph="", fit="")


def model_label(name: str) -> str:
    """`softmax` → `Softmax DNN`; a name without a label stays."""
    return look(name).label


def model_noun(name: str) -> str:
    """The model within a sentence: `the softmax DNN`."""
    return look(name).noun or look(name).label


def not_asked(reasons: Mapping[str, str]) -> list[str]:
    """A sentence per model that could not be trained, with the reason."""
    return [f"Not asked: {model_label(name)}. {reason}" for name, reason in reasons.items()]


def baselines(models: Iterable[str]) -> list[str]:
    """Those that are baselines."""
    return [name for name in models if look(name).is_baseline]


def stylesheet(models: Iterable[str]) -> str:
    """CSS variables with the colour of each model, for light, dark and print, and a class that sets `--model`."""
    names = list(models)

    def variables(shade: Literal["light", "dark"]) -> str:
        return ":root { " + " ".join(f"--{name}: {getattr(look(name), shade)};" for name in names) + " }"

    classes = "\n".join(f".model-{name} {{ --model: var(--{name}); }}" for name in names)
    dark = f"@media (prefers-color-scheme: dark) {{ {variables('dark')} }}"
    return f"{variables('light')}\n{dark}\n@media print {{ {variables('light')} }}\n{classes}"


def model_styles(names: Iterable[str]) -> Styles:
    """Each model as everywhere in the report."""
    return {
        model_label(name): Style(f"var(--{name})", look(name).shape, look(name).dash, look(name).width, look(name).size)
        for name in dict.fromkeys(names)
    }
