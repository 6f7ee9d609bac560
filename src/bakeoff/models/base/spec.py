"""What the rest of the project must know about a retriever. Importing a spec loads no TensorFlow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from bakeoff.core.parameters import Frozen

Role = Literal["reference", "baseline", "contender", "other"]
"""The model that knows nobody; what a contender must beat; the two that the verdict is about; what is compared too."""

Order = Literal["blind", "by recency_scale", "reads"]


class NoSettings(Frozen):
    """Section of a model that has nothing to set; `params.yaml` doesn't show it."""


@dataclass(frozen=True)
class DataFacts:
    """The facts of a split that decide whether a model can be trained on it.

    Attributes:
        num_items: size of the catalogue.
        has_item_features: whether items have any feature.
    """

    num_items: int
    has_item_features: bool


WhyNot = Callable[[DataFacts, Any], str | None]
"""Facts of the data and the model's section → a sentence that says why it can't be trained; None if it can."""


def always_trainable(facts: DataFacts, section: Any) -> str | None:
    """Nothing prevents the training."""
    return None


@dataclass(frozen=True)
class ModelSpec:
    """One retriever.

    Functions are given by import path, `package.module:function`, and imported when they are called for (`resolve`).
    A model has a `trainer` if it is trained in epochs, and `fit` if it is fitted once.

    Attributes:
        name: as commands, paths and `params.yaml` have it: letters, digits and underscores.
        label: its name in headings and legends.
        role: its part in the comparison.
        rank: place in reports, ascending; models with the same rank are ordered by name.
        load: path of (Stored) → TrainedRetriever; see base/storage.py.
        graph: path of (TrainedRetriever) → Encoder, the TensorFlow module that the export writes.
        trainer: path of (Prepared, Queries, section, seed) → Trainer.
        fit: path of (Prepared, Queries, section, seed) → Fitted.
        params: class of its section in `params.yaml`.
        why_not: says why it can't be trained on some data.
        precomputed: what the export holds and what it computes when it is asked; a sentence or two.
        precomputes_users: whether serving may store the query embeddings of known users instead.
        noun: its name within a sentence; the label if empty.
        meaning: what it is, for the glossary and its card.
        order: whether it reads the order of a history: never, where its setting `recency_scale` is set, or always.
        personal: whether its answer depends on the user.
        embeds_items_by: the setting that, if it is there and not false, has items without events embedded by features.
        light: colour on a light page; at least 3:1 against it.
        dark: colour on a dark page; likewise.
        shape: of its mark in charts.
        dash: of its line in charts, lengths of strokes and gaps.
    """

    name: str
    label: str
    role: Role
    load: str
    graph: str
    rank: int = 1000
    trainer: str | None = None
    fit: str | None = None
    params: type[Frozen] = NoSettings
    why_not: WhyNot = always_trainable
    precomputed: str = "Item embeddings are stored, and a query is embedded when it is asked."
    precomputes_users: bool = False
    noun: str = ""
    meaning: str = ""
    order: Order = "reads"
    personal: bool = True
    embeds_items_by: str | None = None
    light: str = "#66615a"
    dark: str = "#aaa49a"
    shape: str = "triangle-left"
    dash: tuple[int, ...] = (4, 4)

    def __post_init__(self) -> None:
        if (self.trainer is None) == (self.fit is None):
            raise ValueError(f"the spec of {self.name!r} must have either `trainer` or `fit`")

    @property
    def has_epochs(self) -> bool:
        """Whether the number of epochs is chosen on validation."""
        return self.trainer is not None

    @property
    def is_baseline(self) -> bool:
        """Whether it is what the contenders must beat; the reference is."""
        return self.role in ("reference", "baseline")

    @property
    def size(self) -> int:
        """Area of its mark in charts, in square pixels: baselines are small, contenders large."""
        return {"reference": 46, "baseline": 46, "other": 80, "contender": 100}[self.role]

    @property
    def width(self) -> float:
        """Width of its line in charts, in pixels."""
        return {"reference": 1.5, "baseline": 1.5, "other": 2.0, "contender": 3.0}[self.role]

    def embeds_new_items(self, settings: Mapping[str, Any]) -> bool:
        """Whether the model, under these settings of its training, embeds items that have no event."""
        return self.embeds_items_by is not None and settings.get(self.embeds_items_by, False) is not False

    def is_order_blind(self, settings: Mapping[str, Any]) -> bool:
        """Whether the model, under these settings of its training, sees a set of items and not their order."""
        if self.order == "by recency_scale":
            return settings.get("recency_scale") is None
        return self.order == "blind" or not settings.get("recency_scales", True)


def resolve(path: str) -> Any:
    """The object behind an import path, `package.module:name`.

    Raises:
        ImportError: there is no such module.
        AttributeError: the module has no such name.
    """
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
