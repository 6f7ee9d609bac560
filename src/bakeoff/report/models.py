"""How each retriever is named, explained and drawn: the one place in the report that knows them by name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

MF = "mf"
SOFTMAX = "softmax"
CONTENDERS = (MF, SOFTMAX)
"""The two that the verdict is about."""
REFERENCE = "popularity"
"""The model that knows nobody."""

Role = Literal["baseline", "contender", "other"]
Order = Literal["blind", "by recency_scale", "reads"]


@dataclass(frozen=True)
class Look:
    """One retriever as people see it.

    Attributes:
        label: its name in headings and legends.
        noun: its name within a sentence.
        meaning: what it is, for the glossary.
        role: baselines are drawn small and muted, contenders large.
        order: whether it reads the order of a history: never, where its setting `recency_scale` says so, or always.
        light: colour on a light page; at least 3:1 against it.
        dark: colour on a dark page; likewise.
        shape: of its mark; no two are alike, so colour is never needed to tell models apart.
        dash: of its line, lengths of strokes and gaps.
    """

    label: str
    noun: str
    meaning: str
    role: Role
    order: Order
    light: str
    dark: str
    shape: str
    dash: tuple[int, ...] = (1, 0)

    @property
    def size(self) -> int:
        """Area of a mark in square pixels."""
        return {"baseline": 46, "other": 80, "contender": 100}[self.role]

    @property
    def width(self) -> float:
        """Width of a line in pixels."""
        return {"baseline": 1.5, "other": 2.0, "contender": 3.0}[self.role]


STAR = "M0,-1.2L0.3,-0.4L1.15,-0.37L0.48,0.16L0.7,0.97L0,0.5L-0.7,0.97L-0.48,0.16L-1.15,-0.37L-0.3,-0.4Z"
"""Five points, as a path."""
LOOKS = {
    "popularity": Look(
        "Popularity",
        "popularity",
        "The reference that knows nobody: it recommends the items with most interactions that the user has not "
        "had yet.",
        role="baseline",
        order="blind",
        light="#857c72",
        dark="#8b8680",
        shape="square",
        dash=(2, 2),
    ),
    "recent_popularity": Look(
        "Recent popularity",
        "recent popularity",
        "Popularity that counts the latest interactions only: it knows what is in fashion, and nothing of the user.",
        role="baseline",
        order="blind",
        light="#4a8f96",
        dark="#86b9b4",
        shape="triangle-down",
        dash=(6, 2),
    ),
    "ease": Look(
        "EASE",
        "EASE",
        "A linear model in closed form: each item is predicted from all others that the user had (Steck 2019). The "
        "strongest of the simple models.",
        role="baseline",
        order="by recency_scale",
        light="#454b55",
        dark="#d3d8dc",
        shape="cross",
        dash=(8, 2, 2, 2),
    ),
    MF: Look(
        "MF",
        "MF",
        "Matrix factorisation: one vector per user and one per item; their dot product is the score. "
        "Here implicit alternating least squares (Hu, Koren and Volinsky 2008).",
        role="contender",
        order="by recency_scale",
        light="#2560c9",
        dark="#85abff",
        shape="circle",
    ),
    SOFTMAX: Look(
        "Softmax DNN",
        "the softmax DNN",
        "A neural network turns what is known of a user (history, features) into a query embedding; the "
        "output layer holds one embedding per item, and a softmax over items is trained to predict what "
        "comes next.",
        role="contender",
        order="reads",
        light="#b5430a",
        dark="#ff9a5e",
        shape="diamond",
    ),
    "two_tower": Look(
        "Two-tower",
        "the two-tower model",
        "Like the softmax DNN, with a second network that turns the features of an item into its embedding: items that "
        "nobody has had yet can be recommended too.",
        role="other",
        order="reads",
        light="#7d2a86",
        dark="#c56fdc",
        shape=STAR,
        dash=(10, 3),
    ),
}
"""Name → look, in the order of the report."""


def look(name: str) -> Look:
    """The look of a model; one that is not known here is drawn in grey, under its own name."""
    if name in LOOKS:
        return LOOKS[name]
    return Look(
        name, name, "", role="other", order="reads", light="#66615a", dark="#aaa49a", shape="triangle-left", dash=(4, 4)
    )


def model_label(name: str) -> str:
    """`softmax` → `Softmax DNN`; a name without a label stays."""
    return look(name).label


def model_noun(name: str) -> str:
    """The model within a sentence: `the softmax DNN`."""
    return look(name).noun


def not_asked(reasons: Mapping[str, str]) -> list[str]:
    """A sentence per model that could not be trained, with the reason."""
    return [f"Not asked: {model_label(name)}. {reason}" for name, reason in reasons.items()]


def baselines(models: Iterable[str]) -> list[str]:
    """Those that are baselines."""
    return [name for name in models if look(name).role == "baseline"]


def drawing_order(models: Sequence[str]) -> list[str]:
    """Contenders last: what is drawn last lies on top."""
    return sorted(models, key=lambda name: (look(name).role == "contender", models.index(name)))


def is_order_blind(name: str, settings: Mapping[str, Any]) -> bool:
    """Whether the model, under these settings of its training, sees a set of items and not their order."""
    order = look(name).order
    if order == "by recency_scale":
        return settings.get("recency_scale") is None
    return order == "blind" or not settings.get("recency_scales", True)


def stylesheet(models: Iterable[str]) -> str:
    """CSS variables with the colour of each model, for light, dark and print, and a class that sets `--model`."""
    names = list(models)

    def variables(shade: Literal["light", "dark"]) -> str:
        return ":root { " + " ".join(f"--{name}: {getattr(look(name), shade)};" for name in names) + " }"

    classes = "\n".join(f".model-{name} {{ --model: var(--{name}); }}" for name in names)
    dark = f"@media (prefers-color-scheme: dark) {{ {variables('dark')} }}"
    return f"{variables('light')}\n{dark}\n@media print {{ {variables('light')} }}\n{classes}"
