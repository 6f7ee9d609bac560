"""Latency of exported models: how long they take to answer, and what is computed beforehand."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.core.histories import Histories
from bakeoff.core.workspace import Workspace
from bakeoff.data.features.encoding import TableEncoding
from bakeoff.data.prepared.tables import Prepared
from bakeoff.evaluation.stats.timing_intervals import interval_json, percentile
from bakeoff.models.base.loading import extras_of, graph_bytes, load_serving, raw_features
from bakeoff.models.base.specs import spec, specs
from bakeoff.models.base.storage import KnownUsers, read_encoding, refuse_other_catalogue, why_skipped

LIST_LENGTH = 10
"""Items per list; a smaller catalogue gives them all."""

BATCHES = (1, 256)
"""Queries per call."""

CALLS = {1: 300, 256: 40}
"""Measured calls at most, by size of the batch."""

WARM_UP_CALLS = 3
"""Calls that do not count: code is traced and memory allocated."""

FEWEST_CALLS = 20
"""Measured calls of each kind at least, however long they take."""

_STORED = "{}, stored"
"""Name of a model with stored users, among the models that take turns."""

Call = Callable[[], object]


@dataclass(frozen=True)
class LoadedExport:
    """A SavedModel that was loaded.

    Attributes:
        module: its functions are those of ServingModule.
        num_bytes: size of its graph.
        features: the user features that it takes, in its order.
    """

    module: Any
    num_bytes: int
    features: TableEncoding

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model of a directory.

        Raises:
            BakeoffError: there is no such model, or it lacks a file.
        """
        return cls(load_serving(folder), graph_bytes(folder), read_encoding(extras_of(folder)).user)


def measure_latency(
    exported: Mapping[str, LoadedExport], prepared: Prepared, seed: int, seconds: float
) -> dict[str, dict[str, Any]]:
    """Latency of lists of 10 items, by user id and by history.

    Models whose spec says so are measured by user id once more with their users' embeddings stored. Models take turns,
    so that other load on the machine affects all of them.

    Args:
        exported: models by name.
        prepared: the split that they were trained on.
        seed: of the order of the users.
        seconds: per model and kind of call.

    Returns:
        entry of each model in serving.json.
    """
    from bakeoff.models.base.export import LARGEST

    users = np.random.default_rng(seed).permutation(np.flatnonzero(prepared.train.lengths))
    stored = {
        _STORED.format(name): with_stored_users(model, prepared)
        for name, model in exported.items()
        if spec(name).precomputes_users and len(prepared.warm_users) <= LARGEST
    }
    asked = {**exported, **stored}
    taken = {size: take_turns(calls_by_id(asked, prepared, users, size), CALLS[size], seconds) for size in BATCHES}
    by_id = {name: {str(size): _percentiles(of[name]) for size, of in taken.items()} for name in asked}
    calls = calls_by_history(exported, prepared, users, prepared.known().take(users))
    by_history = take_turns(calls, CALLS[1], seconds)
    return {
        name: {
            "batches": by_id[name],
            "history": {"1": _percentiles(by_history[name])},
            "model_bytes": model.num_bytes,
            "precomputed": spec(name).precomputed,
            **({"stored": by_id[_STORED.format(name)]} if _STORED.format(name) in by_id else {}),
        }
        for name, model in exported.items()
    }


def calls_by_id(
    exported: Mapping[str, LoadedExport], prepared: Prepared, users: NDArray[np.int64], size: int
) -> dict[str, list[Call]]:
    """For each model its calls with the ids of `size` of the users [n], who start over at the end; alike for all."""
    ids = prepared.user_ids(users).to_numpy(zero_copy_only=False).astype(np.str_)
    count = WARM_UP_CALLS + CALLS[size]
    batches = np.resize(ids, (count, size))
    return {
        name: [partial(each.module.recommend_for_users, batch, LIST_LENGTH) for batch in batches]
        for name, each in exported.items()
    }


def calls_by_history(
    exported: Mapping[str, LoadedExport], prepared: Prepared, users: NDArray[np.int64], histories: Histories
) -> dict[str, list[Call]]:
    """For each model its calls with the history and raw features of one of the users each, as if they were new.

    Args:
        exported: models by name.
        prepared: the split that the users are of.
        users: [n] user_index, who start over at the end.
        histories: n rows, what the models are given of each.
    """
    item_ids = prepared.item_ids.to_numpy(zero_copy_only=False).astype(np.str_)
    rows = np.resize(np.arange(len(users)), WARM_UP_CALLS + CALLS[1])
    people = prepared.users.take(pa.array(users[rows])).to_pandas()
    one_by_one = [histories.part(row, row + 1) for row in rows.tolist()]
    given = [(item_ids[each.items][np.newaxis], each.timestamps[np.newaxis]) for each in one_by_one]

    def calls(model: LoadedExport) -> list[Call]:
        raw = zip(*(values[:, np.newaxis] for values in raw_features(model.features, people)), strict=True)
        ask = model.module.recommend_for_histories
        return [partial(ask, *history, *features, LIST_LENGTH) for history, features in zip(given, raw, strict=True)]

    return {name: calls(model) for name, model in exported.items()}


def take_turns(
    calls: Mapping[str, Sequence[Call]],
    count: int,
    seconds_per_model: float,
    warm_up: int | None = None,
    fewest: int = FEWEST_CALLS,
) -> dict[str, list[float]]:
    """Seconds of each measured call; a round calls every model once.

    Args:
        calls: model → warm_up + count of them.
        count: measured calls at most; fewer if they take too long.
        seconds_per_model: times the number of models, after which no further round begins.
        warm_up: calls that do not count; WARM_UP_CALLS if None.
        fewest: measured calls at least, however long they take.
    """
    unmeasured = WARM_UP_CALLS if warm_up is None else warm_up
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    begun = time.perf_counter()
    for call in range(unmeasured + count):
        late = time.perf_counter() - begun > seconds_per_model * len(calls)
        if late and call >= unmeasured + fewest:
            break
        for name, of_model in calls.items():
            start = time.perf_counter()
            of_model[call]()
            seconds[name].append(time.perf_counter() - start)
    return {name: values[unmeasured:] for name, values in seconds.items()}


def load_exported(workspace: Workspace, items: pa.Table) -> dict[str, LoadedExport]:
    """Every exported model that was not skipped.

    Raises:
        BakeoffError: a model is missing, or its catalogue is not that of the split.
    """
    exported = {}
    for name in specs():
        if why_skipped(workspace, name) is None:
            folder = workspace.saved_model(name)
            model = LoadedExport.load(folder)
            refuse_other_catalogue(extras_of(folder), name, int(model.module.item_embeddings.shape[0]), items)
            exported[name] = model
    return exported


def with_stored_users(exported: LoadedExport, prepared: Prepared) -> LoadedExport:
    """The model with its users' embeddings stored; exported and loaded like the others."""
    from bakeoff.models.base.encoder import EncoderRetriever
    from bakeoff.models.base.export import PrecomputedUsers, export, rows_as_features
    from bakeoff.models.base.serving_module import ServingModule

    users = prepared.warm_users
    retriever = EncoderRetriever(exported.module)
    queries = prepared.queries(prepared.known(), users)
    encoder = PrecomputedUsers(retriever.embed_queries(queries), retriever.item_embeddings)
    rows = {user: row for row, user in enumerate(prepared.user_ids(users).to_pylist())}
    known = KnownUsers(rows, rows_as_features(queries), prepared.keeps_repeats)
    module = ServingModule(encoder, prepared.item_ids.to_pylist(), known, TableEncoding())
    with TemporaryDirectory() as folder:
        export(module, str(Path(folder) / "saved_model"))
        return replace(exported, module=load_serving(Path(folder)), num_bytes=graph_bytes(Path(folder)))


def _percentiles(seconds: Sequence[float]) -> dict[str, Any]:
    p50, p95 = (percentile(seconds, share) for share in (0.5, 0.95))
    return interval_json("p50_seconds", p50) | interval_json("p95_seconds", p95) | {"calls": len(seconds)}
