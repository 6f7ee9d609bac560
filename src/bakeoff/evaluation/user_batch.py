"""A batch of users with the lists that a model recommends to them and every metric per user."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bakeoff.evaluation.metrics.formulas import num_relevant
from bakeoff.evaluation.metrics.table import ALL_ITEMS, PerUser, accuracy_per_user, popularity_per_user
from bakeoff.evaluation.protocol import OF_WARM, TEST, EvalQueries, OnBlock, Recommendations, Users
from bakeoff.evaluation.ranking import TopLists
from bakeoff.evaluation.sampled import full_metrics, sampled_metrics
from bakeoff.models.base.retriever import Retriever

_ARRAYS = ("users", "num_history", "num_test", "fallback")
_METRICS = ("metrics", "sampled")
_SECONDS = ("ranking_seconds", "sampled_seconds")


@dataclass(frozen=True)
class UserBatch:
    """Lists and metrics of n users for queries of one name.

    Attributes:
        users: int64 [n], user_index of each.
        num_history: int64 [n], events that the model was given.
        num_test: int64 [n], test items.
        fallback: bool [n], where the model's documented fallback answered.
        lists: the recommended items.
        metrics: per user; for warm users also how popular the lists are.
        sampled: of TEST, metrics where each test item is ranked among a few random ones; else empty.
        ranking_seconds: wall time of ranking.
        sampled_seconds: wall time of `sampled`.
    """

    users: NDArray[np.int64]
    num_history: NDArray[np.int64]
    num_test: NDArray[np.int64]
    fallback: NDArray[np.bool_]
    lists: TopLists
    metrics: PerUser
    sampled: PerUser = field(default_factory=dict)
    ranking_seconds: float = 0.0
    sampled_seconds: float = 0.0

    def __len__(self) -> int:
        """Number of users n."""
        return len(self.users)

    @classmethod
    def measure(
        cls, queries: EvalQueries, retriever: Retriever, name: str, users: Users, on_block: OnBlock | None = None
    ) -> Self:
        """Rank for a batch of users and compute the metrics.

        Raises:
            BakeoffError: the model's embeddings can't be used.
        """
        start = time.perf_counter()
        found = queries.recommend(retriever, name, users, on_block)
        ranked = time.perf_counter()
        sampled = _sampled(queries, retriever, found) if name == TEST else {}
        done = time.perf_counter()
        per_user = accuracy_per_user(found.lists, found.truth, queries.params.cutoffs)
        if name in OF_WARM:
            counts, num_users = queries.prepared.train_counts, queries.prepared.num_warm_users
            per_user |= popularity_per_user(found.lists, found.given, counts, num_users, queries.params.cutoffs)
        return cls(
            users=found.users,
            num_history=found.given.lengths,
            num_test=num_relevant(found.truth),
            fallback=found.fallback,
            lists=found.lists,
            metrics=per_user,
            sampled=sampled,
            ranking_seconds=ranked - start,
            sampled_seconds=done - ranked,
        )

    def save(self, path: Path) -> None:
        """Write it, for `read` in another process."""
        arrays = {name: getattr(self, name) for name in (*_ARRAYS, *_SECONDS)}
        lists = {"items": self.lists.items, "scores": self.lists.scores}
        per_user = {f"{kind} {name}": values for kind in _METRICS for name, values in getattr(self, kind).items()}
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays, **lists, **per_user)

    @classmethod
    def read(cls, path: Path) -> Self:
        """What `save` wrote."""
        with np.load(path) as found:
            arrays: dict[str, Any] = {name: found[name] for name in _ARRAYS}
            arrays |= {name: float(found[name]) for name in _SECONDS}
            arrays |= {kind: _named(found, kind) for kind in _METRICS}
            lists = TopLists(found["items"], found["scores"])
            return cls(lists=lists, **arrays)


def _named(found: "np.lib.npyio.NpzFile", kind: str) -> PerUser:
    return {name.removeprefix(f"{kind} "): found[name] for name in found.files if name.startswith(f"{kind} ")}


def _sampled(queries: EvalQueries, retriever: Retriever, found: Recommendations) -> PerUser:
    """Metrics of test items ranked among a few items, and of the same items ranked among all."""
    few = sampled_metrics(
        retriever,
        queries.prepared.queries_of(found.given, found.users),
        found.given.merged(found.truth),
        found.truth,
        queries.sampled_candidates,
        queries.candidate_rng(found.users),
        queries.params.users_per_block,
    )
    full = full_metrics(found.lists, found.truth)
    return few | {f"{ALL_ITEMS}{name}": values for name, values in full.items()}
