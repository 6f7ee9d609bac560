"""Stage `items`: the nearest items of each item, and a map of them, in the embedding space of each model."""

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bakeoff.core.cost import measure
from bakeoff.core.errors import BakeoffError, reading
from bakeoff.core.files import replaced
from bakeoff.core.histories import PAD
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import ids_at
from bakeoff.evaluation.item_space import directions, nearest, project
from bakeoff.evaluation.results import EMBEDDINGS
from bakeoff.models.base import specs
from bakeoff.params import Params

NUM_NEIGHBOURS = 10


def run(params: Params, workspace: Workspace, models: Sequence[str] | None = None) -> None:
    """Write the ten nearest items of every item, by cosine, and coordinates of those with most events.

    Of more than `evidence.neighbour_items` items only those with most events get neighbours, each among all items.

    Reads the vocabulary of artifacts/split and artifacts/evaluation, which holds the item embeddings; writes
    artifacts/items and artifacts/cost/items.json. A model of one dimension (all its items point the same way) and one
    that was skipped give tables without rows.

    Args:
        params: `evaluate.users_per_block`, which bounds memory here too, `evidence.map_items`,
            `evidence.neighbour_items` and `seed` are used.
        workspace: holds all files.
        models: names of the models; all that there are if None.

    Raises:
        BakeoffError: a model was not evaluated, its embeddings hold NaN, or the split has another catalogue.
    """
    vocabulary = workspace.vocabulary / "items.parquet"
    with reading(vocabulary, "run `bakeoff split` first", OSError):
        items = pq.read_table(vocabulary, columns=["item_id", "fit_count"])
    with measure(workspace, "items"):
        for model in specs.names() if models is None else models:
            _place(params, workspace, model, items)


def _place(params: Params, workspace: Workspace, model: str, items: pa.Table) -> None:
    embeddings = _embeddings(workspace, model, len(items))
    if embeddings is None or embeddings.shape[1] < 2:
        unit, shown = np.zeros((len(items), 2), np.float32), np.zeros(0, np.int64)
    else:
        unit = directions(embeddings)
        # An item without an event or without a direction has no place on the map.
        usable = (items["fit_count"].to_numpy() > 0) & unit.any(axis=1)
        shown = _most_popular(items, params.evidence.map_items, usable)
    asked = _most_popular(items, params.evidence.neighbour_items)
    neighbours = nearest(unit, asked, NUM_NEIGHBOURS, params.evaluate.users_per_block)
    places = project(unit[shown], params.seed)
    row, place = np.nonzero(neighbours.items != PAD)
    ids, others = ids_at(items["item_id"], row), ids_at(items["item_id"], neighbours.items[row, place])
    ranks, similarity = (place + 1).astype(np.int32), neighbours.scores[row, place]
    of_items = {"item_id": ids, "rank": ranks, "neighbour_id": others, "similarity": similarity}
    of_places = {"item_id": ids_at(items["item_id"], shown), "x": places[:, 0], "y": places[:, 1]}
    with replaced(workspace.items(model)) as folder:
        pq.write_table(pa.table(of_items), folder / "neighbours.parquet")
        pq.write_table(pa.table(of_places), folder / "map.parquet")
    with_neighbours = int((neighbours.items[:, :1] != PAD).sum())
    print(f"{model}: neighbours of {with_neighbours:,} items, {len(shown):,} items on the map")


def _embeddings(workspace: Workspace, model: str, num_items: int) -> NDArray[np.float32] | None:
    """[num_items, dim] of a model; None where it was skipped."""
    folder = workspace.evaluation(model)
    path, metrics = folder / EMBEDDINGS, folder / "metrics.json"
    with reading(path, f"run `bakeoff evaluate {model}`", OSError, ValueError, EOFError):
        if "skipped" in json.loads(metrics.read_text(encoding="utf-8")):
            return None
        embeddings: NDArray[np.float32] = np.load(path, allow_pickle=False)
    if embeddings.ndim != 2 or len(embeddings) != num_items:
        raise BakeoffError(
            f"{path} holds embeddings of shape {list(embeddings.shape)} and the split's catalogue has {num_items} "
            f"items: {model} was evaluated on another split. Run `bakeoff evaluate {model}` again."
        )
    return embeddings


def _most_popular(items: pa.Table, at_most: int, usable: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """At most so many items, or usable ones, with most train and validation events, ascending; ties go by index."""
    order = np.argsort(-items["fit_count"].to_numpy(), kind="stable")
    return np.sort(order[:at_most] if usable is None else order[usable[order]][:at_most])
