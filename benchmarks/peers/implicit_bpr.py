"""Bayesian personalised ranking (Rendle et al. 2009) of the `implicit` library."""

from collections.abc import Iterator, Mapping
from typing import Any

from implicit.cpu.bpr import BayesianPersonalizedRanking

from peers.data import Data
from peers.lists import Scorer


def train(data: Data, setting: Mapping[str, Any], seed: int, threads: int) -> Iterator[Scorer]:
    """`factors`, `learning_rate`, `regularization` and `epochs`, as the library understands them."""
    model = BayesianPersonalizedRanking(
        factors=setting["factors"],
        learning_rate=setting["learning_rate"],
        regularization=setting["regularization"],
        iterations=setting["epochs"],
        num_threads=threads,
        random_state=seed,
    )
    model.fit(data.matrix(), show_progress=False)
    yield lambda rows: model.user_factors[rows] @ model.item_factors.T
