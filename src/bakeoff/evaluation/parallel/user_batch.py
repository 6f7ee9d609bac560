"""What evaluation keeps of a portion of users, measured where they are ranked."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bakeoff.evaluation.metrics import accuracy
from bakeoff.evaluation.metrics import metric_sets as measures
from bakeoff.evaluation.metrics.metric_sets import ALL_ITEMS
from bakeoff.evaluation.parallel.eval_queries import OF_WARM, TEST, Questions, Users
from bakeoff.evaluation.protocol import Answers, Asker
from bakeoff.evaluation.ranking import TopLists
from bakeoff.evaluation.sampled import full_metrics, sampled_metrics

Metrics = dict[str, NDArray[np.float64]]
"""By name, one value per user; NaN where it is not defined."""


@dataclass(frozen=True)
class Portion:
    """Answers about n users of one question, and what they are worth.

    Attributes:
        users: int64 [n], user_index of each.
        num_history: int64 [n], events that the model was told.
        num_test: int64 [n], test items.
        fallback: bool [n], where the model has no answer of its own and its stated fallback answered.
        lists: the recommendations.
        metrics: of each list; of warm users also how popular it is.
        sampled: of TEST, metrics where each test item stands by itself among a few random ones; else empty.
        ranking_seconds: that ranking took.
        sampled_seconds: that `sampled` took.
    """

    users: NDArray[np.int64]
    num_history: NDArray[np.int64]
    num_test: NDArray[np.int64]
    fallback: NDArray[np.bool_]
    lists: TopLists
    metrics: Metrics
    sampled: Metrics = field(default_factory=dict)
    ranking_seconds: float = 0.0
    sampled_seconds: float = 0.0

    def __len__(self) -> int:
        """Number of users n."""
        return len(self.users)

    def save(self, path: Path) -> None:
        """Write it, for `read` in another process."""
        metrics = {f"metrics {name}": values for name, values in self.metrics.items()}
        sampled = {f"sampled {name}": values for name, values in self.sampled.items()}
        seconds = np.array([self.ranking_seconds, self.sampled_seconds])
        lists = {"items": self.lists.items, "scores": self.lists.scores}
        about = {name: getattr(self, name) for name in ("users", "num_history", "num_test", "fallback")}
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, seconds=seconds, **about, **lists, **metrics, **sampled)

    @classmethod
    def read(cls, path: Path) -> Self:
        """What `save` wrote."""
        with np.load(path) as found:
            ranking_seconds, sampled_seconds = found["seconds"].tolist()
            return cls(
                users=found["users"],
                num_history=found["num_history"],
                num_test=found["num_test"],
                fallback=found["fallback"],
                lists=TopLists(found["items"], found["scores"]),
                metrics=_named(found, "metrics"),
                sampled=_named(found, "sampled"),
                ranking_seconds=ranking_seconds,
                sampled_seconds=sampled_seconds,
            )


def measured(questions: Questions, asker: Asker, name: str, users: Users) -> Portion:
    """Ask about a portion of users, and measure the answers.

    Raises:
        BakeoffError: the model's embeddings can't be used.
    """
    start = time.perf_counter()
    answers = questions.ask(asker, name, users)
    ranked = time.perf_counter()
    sampled = _sampled(questions, asker, answers) if name == TEST else {}
    done = time.perf_counter()
    return Portion(
        users=answers.users,
        num_history=answers.told.lengths,
        num_test=accuracy.num_relevant(answers.truth).astype(np.int64),
        fallback=answers.fallback,
        lists=answers.lists,
        metrics=_metrics(questions, answers, with_popularity=name in OF_WARM),
        sampled=sampled,
        ranking_seconds=ranked - start,
        sampled_seconds=done - ranked,
    )


def _metrics(questions: Questions, answers: Answers, with_popularity: bool) -> Metrics:
    cutoffs = questions.params.evaluate.cutoffs
    found = measures.accuracy_per_user(answers.lists, answers.truth, cutoffs)
    if not with_popularity:
        return found
    counts, num_users = questions.prepared.train_counts, questions.prepared.num_warm_users
    return found | measures.popularity_per_user(answers.lists, answers.told, counts, num_users, cutoffs)


def _sampled(questions: Questions, asker: Asker, answers: Answers) -> Metrics:
    """Of users with each test item by itself: among a few items, and beside that in their lists."""
    queries = questions.prepared.queries_of(answers.told, answers.users)
    seen = answers.told.merged(answers.truth)
    count, rng = questions.params.evidence.sampled_candidates, questions.candidate_draws(answers.users)
    few = sampled_metrics(asker.retriever, queries, seen, answers.truth, count, rng, asker.users_per_block)
    full = full_metrics(answers.lists, answers.truth)
    return few | {f"{ALL_ITEMS}{name}": values for name, values in full.items()}


def _named(found: "np.lib.npyio.NpzFile", kind: str) -> Metrics:
    return {name.removeprefix(f"{kind} "): found[name] for name in found.files if name.startswith(f"{kind} ")}
