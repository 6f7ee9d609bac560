"""The embedding map and the nearest items: data with which the page answers clicks and searches without a server."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.report.evidence import Evidence
from bakeoff.report.examples import item_titles
from bakeoff.report.models import model_label
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Spec
from bakeoff.report.render.pages import resource
from bakeoff.report.topics.base.topic import LEARN, Page, Topic

SHOWN = 10
"""Number of neighbours that are shown."""
OTHER = "other"
GRID = 1000
"""Positions are whole numbers from 0 to this, as the axes of map.json."""
PATHS = {
    "circle": "M7,0A7,7 0 1 1 -7,0A7,7 0 1 1 7,0Z",
    "square": "M-6,-6H6V6H-6Z",
    "diamond": "M0,-8L8,0L0,8L-8,0Z",
    "triangle-up": "M0,-7L7,6H-7Z",
    "cross": "M-7,-3H-3V-7H3V-3H7V3H3V7H-3V3H-7Z",
    "triangle-down": "M0,7L7,-6H-7Z",
    "triangle-right": "M7,0L-6,7V-7Z",
}
"""The shapes of tags in their order, in a square from −10 to 10."""
NUM_TAGS = len(PATHS)
"""Number of tags with a colour of their own: the most frequent ones on the map."""


@dataclass(frozen=True)
class Explorer:
    """Items, their places in the space of each model, and their nearest items there.

    Attributes:
        titles: of the items, those with most events first.
        tags: names of the colours, `other` last; a single `other` where items have no tags.
        tag: place of each item's tag among `tags`.
        feature: name of the column that the tags come from; empty without.
        explored: number of items whose neighbours are in the page: those with most events, as many as the map holds.
        positions: model → int [num_items, 2] in [0, GRID]; −1 where the item is not on the map.
        neighbours: each model with a map or neighbours, in order → place of the item → (places of its neighbours,
            similarities in percent).
    """

    titles: Sequence[str]
    tags: Sequence[str]
    tag: Sequence[int]
    feature: str
    explored: int
    positions: Mapping[str, NDArray[np.int64]]
    neighbours: Mapping[str, Mapping[int, tuple[list[int], list[int]]]]

    @property
    def chosen(self) -> int:
        """The item that is shown first: the most popular one whose neighbours are known."""
        known = [min(found) for found in self.neighbours.values() if found]
        return min(known, default=0)

    @property
    def legend(self) -> list[tuple[str, str, str]]:
        """Each tag with its CSS colour and the SVG path of its mark."""
        return [
            (tag, color, PATHS[shape]) for tag, (color, shape) in zip(self.tags, looks(len(self.tags)), strict=True)
        ]

    def page_data(self) -> dict[str, Any]:
        """What the script of the page reads: as small as it can be."""
        return {
            "titles": self.titles,
            "tags": self.tags,
            "tag": self.tag,
            "models": [{"key": name, "label": model_label(name)} for name in self.neighbours],
            "chosen": self.chosen,
            "positions": {name: grid.ravel().tolist() for name, grid in self.positions.items()},
            "near": {
                name: {str(item): found for item, found in near.items()} for name, near in self.neighbours.items()
            },
            "spec": map_spec(self.tags, self.feature or "tag"),
        }


def explorer(evidence: Evidence, params: ReportParams) -> Explorer | None:
    """None where no model has item embeddings to show."""
    models = {name: m for name, m in evidence.models.items() if len(m.positions) or len(m.neighbours)}
    if not models:
        return None
    popular = evidence.items.sort_values("fit_count", ascending=False, kind="stable")
    explored = set(popular.item_id.head(params.evidence.map_items))
    near = {
        name: model.neighbours[(model.neighbours["rank"] <= SHOWN) & model.neighbours.item_id.isin(explored)]
        for name, model in models.items()
    }
    shown: set[str] = set()
    for name, model in models.items():
        shown |= {*model.positions.item_id, *near[name].item_id, *near[name].neighbour_id}
    items = popular[popular.item_id.isin(shown)].reset_index(drop=True)
    place = pd.Series(np.arange(len(items)), index=items.item_id)
    # The first column of tags, else of categories, that the items have; empty without.
    kinds = params.data.item_features
    known = [name for wanted in ("tags", "categorical") for name, kind in kinds.items() if kind == wanted]
    feature = next((name for name in known if name in items), "")
    tags, tag = _tags(items, feature)
    return Explorer(
        titles=list(item_titles(items).values()),
        tags=tags,
        tag=tag,
        feature=feature,
        explored=len(explored),
        positions={name: _on_grid(model.positions, place) for name, model in models.items() if len(model.positions)},
        neighbours={name: _near(near[name], place) for name in models},
    )


def _tags(items: pd.DataFrame, feature: str) -> tuple[list[str], list[int]]:
    """The most frequent first tags, and the place of each item's tag among them."""
    if not feature:
        return [OTHER], [0] * len(items)
    first = items[feature].fillna("").astype(str).str.partition("|")[0]
    counts = first[first != ""].value_counts()
    names = sorted({*counts.index} - {OTHER}, key=lambda name: (-counts[name], name))[:NUM_TAGS]
    places = {name: place for place, name in enumerate(names)}
    return [*names, OTHER], [places.get(name, len(names)) for name in first]


def _on_grid(positions: pd.DataFrame, place: pd.Series) -> NDArray[np.int64]:
    """[num_items, 2] both axes by the same scale, so that distances keep their proportions."""
    known = positions[positions.item_id.isin(place.index)]
    xy = known[["x", "y"]].to_numpy(np.float64)
    low, span = xy.min(axis=0), max(np.ptp(xy, axis=0).max(), 1e-12)
    grid = np.full((len(place), 2), -1, np.int64)
    grid[place[known.item_id].to_numpy()] = np.rint((xy - low) / span * GRID)
    return grid


def _near(table: pd.DataFrame, place: pd.Series) -> dict[int, tuple[list[int], list[int]]]:
    """Place of an item → places of its neighbours and their similarities in percent, the nearest first."""
    percent = np.rint(100 * table.similarity.to_numpy(np.float64)).astype(int)
    known = table.assign(
        item=place[table.item_id].to_numpy(), other=place[table.neighbour_id].to_numpy(), percent=percent
    )
    by_item = known.sort_values("rank").groupby("item")
    return {int(item): (part.other.tolist(), part.percent.tolist()) for item, part in by_item}


def looks(num_tags: int) -> list[tuple[str, str]]:
    """CSS colour and shape of the mark of each tag; the last one is that of all other tags."""
    own = [(f"var(--tag-{place})", shape) for place, shape in enumerate(PATHS, start=1)]
    return [*own[: num_tags - 1], ("var(--muted)", "circle")]


def map_spec(tags: Sequence[str], feature: str) -> Spec:
    """The map as a specification whose rows the script fills in: x, y, tag, title, o(pacity), s(ize), mark.

    Rings are around what is marked, and a title above the chosen item. It has a limit: one as long as a page would push
    the map out of it.
    """
    spec: Spec = json.loads(resource("map.json"))
    points = spec["layer"][0]["encoding"]
    for channel, values in zip(("color", "shape"), zip(*looks(len(tags)), strict=True), strict=True):
        points[channel]["scale"] = {"domain": [*tags], "range": [*values]}
    points["tooltip"][1]["title"] = _tooltip_name(feature)
    return spec


def _tooltip_name(feature: str) -> str:
    """The name of a feature in an expression of Vega-Lite, which escapes quotes but no backslash.

    Vega's tooltip takes the value of a field named `image` as the address of a picture and fetches it.
    """
    return f"column {feature}" if feature in ("title", "image") else feature.replace("\\", "\\\\")


TOPIC = Topic("explore", 320, Page.EVIDENCE, "map", group=LEARN, title="Embedding map")
