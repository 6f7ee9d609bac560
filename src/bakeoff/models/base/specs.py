"""Model specs: what the rest of the project must know about a retriever, and the registry of all of them.

Importing a spec loads no TensorFlow.
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.resources import files
from itertools import chain
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Literal

from bakeoff.core.errors import BakeoffError
from bakeoff.core.parameters import Frozen

ENTRY_POINTS = "bakeoff.models"
"""Group of entry points by which an installed package adds models; each names a sequence of specs."""

Role = Literal["reference", "baseline", "contender", "other"]
"""`reference`: gives everyone the same list; `baseline`: a simple model that contenders must beat; `contender`: one of
the two models that the verdict compares; `other`: any further model."""


class NoSettings(Frozen):
    """Section of a model without settings; `params.yaml` doesn't show it."""


@dataclass(frozen=True)
class DataFacts:
    """The facts of a split that decide whether a model can be trained on it, and which variants of it there are.

    Attributes:
        num_items: size of the catalogue.
        has_item_features: whether items have any feature.
        has_user_features: whether users have any feature.
        events_per_user: mean number of train events of users with any.
    """

    num_items: int
    has_item_features: bool
    has_user_features: bool = False
    events_per_user: float = 0.0


WhyNot = Callable[[DataFacts, Any], str | None]
"""Facts of the data and the model's section → a sentence that says why it can't be trained; None if it can."""


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
        replicated: path of the same for one of several workers that train together (experiments/training/shipped.py).
        starts_warm: whether `trainer` also takes `start`, a base.start.Start that a training starts from.
        fit: path of (Prepared, Queries, section, seed) → Fitted.
        session: path of a context manager, (section) → what the training replaces in its experiment (`build`,
            `epochs`); for resources that a training needs, such as a cluster.
        params: class of its section in `params.yaml`.
        why_not: says why it can't be trained on some data.
        precomputed: what the export holds and what it computes for each query; a sentence or two.
        precomputes_users: whether serving may store the query embeddings of known users instead.
        noun: its name within a sentence; the label if empty.
        meaning: what it is, for the glossary and its card.
        is_order_blind: whether it sees a set of items and not their order, under these settings of its training.
        personal: whether its answer depends on the user.
        explanation: how its encoder's `explain` (base/encoder.py) divides a score among the items of a history, and
            whether the parts add up; empty if it has none.
        remainder: what the rest of such a score comes from, in a few words.
        embeds_items_by: the setting that, if it is there and not false, has items without events embedded by features.
        embed_items: path of (StoredModel, EncodedFeatures) → embeddings of items that training has not seen, or None
            where its settings leave out what that takes; else they are placed among their neighbours (new_items.py).
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
    replicated: str | None = None
    starts_warm: bool = False
    fit: str | None = None
    session: str | None = None
    params: type[Frozen] = NoSettings
    why_not: WhyNot = lambda facts, section: None
    precomputed: str = "Item embeddings are stored, and a query is embedded on request."
    precomputes_users: bool = False
    noun: str = ""
    meaning: str = ""
    is_order_blind: Callable[[Mapping[str, Any]], bool] = lambda settings: False
    personal: bool = True
    explanation: str = ""
    remainder: str = "not from the history"
    embeds_items_by: str | None = None
    embed_items: str | None = None
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


def described(package: str, name: str) -> dict[str, Any]:
    """What people read and see of a model, fields of its spec: its table in spec.toml of the package, and `both`."""
    tables = tomllib.loads(files(package).joinpath("spec.toml").read_text(encoding="utf-8"))
    return {**tables.get("both", {}), **tables[name]}


resolve = resolve_name
"""The object behind an import path, `package.module:name`; ImportError or AttributeError where there is none."""


@cache
def specs() -> dict[str, ModelSpec]:
    """Name → spec, ordered by rank and name.

    Specs are the `SPECS` of every `bakeoff/models/*/spec.py` and of the entry points of the group `bakeoff.models`.

    Raises:
        BakeoffError: two models have the same name, a name has other characters than letters, digits and _, or an entry
            point can't be loaded.
    """
    found: dict[str, ModelSpec] = {}
    packages = [path.parent.name for path in Path(__file__).parents[1].glob("*/spec.py")]
    built_in = [import_module(f"bakeoff.models.{package}.spec").SPECS for package in packages]
    for each in [*chain.from_iterable(built_in), *_installed()]:
        if each.name in found:
            raise BakeoffError(f"Two models are called {each.name!r}: uninstall one of the packages that bring them.")
        if not each.name.isidentifier():
            raise BakeoffError(f"{each.name!r} can't name a model: use letters, digits and underscores.")
        found[each.name] = each
    return dict(sorted(found.items(), key=lambda item: (item[1].rank, item[0])))


def names() -> tuple[str, ...]:
    """Names of all models, in the order of `specs`."""
    return tuple(specs())


def contenders() -> tuple[str, ...]:
    """Names of the models that the verdict is about."""
    return tuple(name for name, each in specs().items() if each.role == "contender")


def spec(name: str) -> ModelSpec:
    """The spec of a model.

    Raises:
        BakeoffError: there is no such model; the message lists those that there are.
    """
    if name not in specs():
        raise BakeoffError(f"{name!r} is not a model: it must be one of {', '.join(specs())}.")
    return specs()[name]


def check_model(name: str) -> str:
    """The name as it is; refuses what is not the name of a model.

    Raises:
        BakeoffError: see `spec`.
    """
    return spec(name).name


def _installed() -> Iterator[ModelSpec]:
    for point in entry_points(group=ENTRY_POINTS):
        try:
            loaded: Sequence[ModelSpec] = point.load()
        except (ImportError, AttributeError) as error:
            raise BakeoffError(
                f"The models of {point.value} can't be loaded ({error}): repair or uninstall the package that "
                f"registers them in the entry-point group {ENTRY_POINTS}."
            ) from None
        yield from loaded
