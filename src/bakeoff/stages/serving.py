"""Stage `serving`: how fast the exported models answer, and what of an answer was computed beforehand."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.core.cost import measure
from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.data.features.encoding import FeatureEncoding
from bakeoff.data.prepared.tables import Prepared, load_prepared
from bakeoff.evaluation.stats.timing_intervals import as_json, percentile
from bakeoff.experiments.model_loading import refuse_other_catalogue
from bakeoff.experiments.skipped import why_skipped
from bakeoff.models import specs
from bakeoff.models.base.raw_features import raw_features
from bakeoff.params import Params

LIST_LENGTH = 10
BATCHES = (1, 256)
"""Queries that are asked together."""

CALLS = {1: 300, 256: 40}
"""At most, by size of the batch."""

WARM_UP_CALLS = 3
"""Which do not count: code is traced and memory taken."""

FEWEST_CALLS = 20
"""Which count of each kind, however long they take."""

STORED = "mf"
"""The model that is asked a second time, with query embeddings of known users computed beforehand."""

_STORED_NAME = f"{STORED}, stored"

Ask = Callable[[], object]


@dataclass(frozen=True)
class Served:
    """An exported model, loaded."""

    module: Any
    num_bytes: int

    @property
    def num_items(self) -> int:
        """In its catalogue."""
        return int(self.module.item_embeddings.shape[0])

    @property
    def dim(self) -> int:
        """Of its embeddings."""
        return int(self.module.item_embeddings.shape[1])

    @property
    def list_length(self) -> int:
        """Items that are asked for."""
        return min(LIST_LENGTH, self.num_items)


def run(params: Params, workspace: Workspace) -> None:
    """Ask every exported model for lists of 10 items, by user id and by history; write serving.json.

    MF is asked by user id once more as if its users' vectors were stored. The models take turns, so that whatever else
    the machine does meets all. A model that was skipped is left out.
    Reads artifacts/split and models/; writes artifacts/cost/serving.json.

    Raises:
        BakeoffError: there is no split, it has no train event, or a model is missing or does not fit the split.
    """
    with measure(workspace, "serving") as cost:
        prepared = load_prepared(workspace)
        users = np.flatnonzero(prepared.train.lengths)
        if len(users) == 0:
            raise BakeoffError("The train part has no event: lower split.test_share or split.new_user_share.")
        served = _load(workspace, prepared.items)
        questions = Questions(prepared, np.random.default_rng(params.seed).permutation(users))
        most = params.evidence.serving_seconds
        known = served | _with_stored_vectors(served, prepared)
        batches: dict[str, dict[str, Any]] = {name: {} for name in known}
        for size in BATCHES:
            for name, seconds in take_turns(questions.by_id(known, size), CALLS[size], most).items():
                batches[name][str(size)] = _percentiles(seconds)
        history = take_turns(questions.by_history(served), CALLS[1], most)
        models = {
            name: {
                "batches": batches[name],
                "history": {"1": _percentiles(history[name])},
                "model_bytes": model.num_bytes,
                "num_items": model.num_items,
                "dim": model.dim,
                "precomputed": specs.spec(name).precomputed,
            }
            for name, model in served.items()
        }
        if _STORED_NAME in batches:
            models[STORED]["stored"] = batches[_STORED_NAME]
        cost.note(models=models)
    _print(models)


class Questions:
    """Queries in a fixed order, cut to the size that is asked for; they start over at the end."""

    def __init__(self, prepared: Prepared, users: NDArray[np.int64]) -> None:
        """Ask about these users, at least one."""
        self._prepared, self._users, self._known = prepared, users, prepared.known()
        self._item_ids = prepared.item_ids.to_numpy(zero_copy_only=False).astype(np.str_)

    def by_id(self, served: Mapping[str, Served], size: int) -> dict[str, list[Ask]]:
        """For each model its questions about `size` users each, whom it knows; the same for all."""
        ids = [self._ids(self._rows(call, size)) for call in range(WARM_UP_CALLS + CALLS[size])]
        return {
            name: [partial(each.module.recommend_for_users, asked, each.list_length) for asked in ids]
            for name, each in served.items()
        }

    def by_history(self, served: Mapping[str, Served]) -> dict[str, list[Ask]]:
        """For each model its questions about one person each, told as someone new: by history and raw features."""
        told = [self._told(call % len(self._users)) for call in range(WARM_UP_CALLS + CALLS[1])]
        return {
            name: [partial(each.module.recommend_for_histories, *asked, each.list_length) for asked in told]
            for name, each in served.items()
        }

    def _rows(self, call: int, size: int) -> NDArray[np.int64]:
        return np.arange(call * size, (call + 1) * size) % len(self._users)

    def _ids(self, rows: NDArray[np.int64]) -> NDArray[np.str_]:
        ids: NDArray[np.str_] = (
            self._prepared.user_ids(self._users[rows]).to_numpy(zero_copy_only=False).astype(np.str_)
        )
        return ids

    def _told(self, row: int) -> tuple[NDArray[Any], ...]:
        user = self._users[[row]]
        history = self._known.take(user)
        raw = self._prepared.users.take(pa.array(user)).to_pandas()
        return (
            self._item_ids[history.items][np.newaxis],
            history.timestamps[np.newaxis],
            *raw_features(self._prepared.encoding.user, raw),
        )


def take_turns(questions: Mapping[str, Sequence[Ask]], calls: int, seconds_per_model: float) -> dict[str, list[float]]:
    """Seconds of each call that counts; a round asks every model once.

    Args:
        questions: model → WARM_UP_CALLS + calls of them.
        calls: at most; fewer where they take too long, but FEWEST_CALLS.
        seconds_per_model: after which, times the number of models, no further round begins.
    """
    seconds: dict[str, list[float]] = {name: [] for name in questions}
    begun = time.perf_counter()
    for call in range(WARM_UP_CALLS + calls):
        late = time.perf_counter() - begun > seconds_per_model * len(questions)
        if late and call >= WARM_UP_CALLS + FEWEST_CALLS:
            break
        for name, asked in questions.items():
            start = time.perf_counter()
            asked[call]()
            seconds[name].append(time.perf_counter() - start)
    return {name: values[WARM_UP_CALLS:] for name, values in seconds.items()}


def _load(workspace: Workspace, items: pa.Table) -> dict[str, Served]:
    """Every model that was not skipped."""
    from bakeoff.models.base.loading import (
        load_serving,  # imports TensorFlow: what is wrong with the split is told first
    )

    served = {}
    for name in specs.names():
        if why_skipped(workspace, name) is not None:
            continue
        folder = workspace.model(name)
        model = Served(load_serving(folder), num_bytes(folder / "saved_model"))
        refuse_other_catalogue(workspace, name, model.num_items, items)
        served[name] = model
    return served


def _with_stored_vectors(served: Mapping[str, Served], prepared: Prepared) -> dict[str, Served]:
    """STORED as it would be served with its users' vectors; exported and loaded like the others."""
    from bakeoff.models.base.encoder import EncoderRetriever
    from bakeoff.models.base.export import Catalogue, ServingModule, export
    from bakeoff.models.base.loading import load_serving
    from bakeoff.models.base.precomputed_users import LARGEST, StoredVectors, told_by_row

    users = prepared.warm_users
    if STORED not in served or len(users) > LARGEST:
        return {}
    retriever = EncoderRetriever(served[STORED].module)
    queries = prepared.queries(prepared.known(), users)
    encoder = StoredVectors(retriever.embed_queries(queries), retriever.item_embeddings)
    ids = prepared.user_ids(users).to_pylist()
    catalogue = Catalogue(prepared.item_ids.to_pylist(), ids, told_by_row(queries), FeatureEncoding())
    with TemporaryDirectory() as folder:
        export(ServingModule(encoder, catalogue), str(Path(folder) / "saved_model"))
        return {_STORED_NAME: Served(load_serving(Path(folder)), num_bytes(Path(folder)))}


def num_bytes(folder: Path) -> int:
    """Size of all files in it."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _percentiles(seconds: Sequence[float]) -> dict[str, Any]:
    p50, p95 = (percentile(seconds, share) for share in (0.5, 0.95))
    return as_json("p50_seconds", p50) | as_json("p95_seconds", p95) | {"calls": len(seconds)}


def _print(models: Mapping[str, Any]) -> None:
    for name, figures in models.items():
        one, many = (figures["batches"][str(size)]["p50_seconds"] for size in BATCHES)
        print(
            f"{name}: one query {1000 * one:.2f} ms, {BATCHES[1]} together {1000 * many:.1f} ms (medians), "
            f"{figures['model_bytes'] / 2**20:.1f} MiB"
        )
