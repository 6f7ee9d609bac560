"""Implicit ALS by Spark MLlib, for more events than one machine trains on; parameters are mapped to MLlib's.

MLlib (Hu, Koren & Volinsky 2008, with the regularisation of Zhou et al. 2008) minimises, S being the observed pairs,

    L' = Σ_{u,i} c_ui (p_ui − x'_u·y'_i)² + r (Σ_u |S_u| ‖x'_u‖² + Σ_i |S_i| ‖y'_i‖²),
    c_ui = 1 + α p_ui,   p_ui = 1 on S, else 0.

Ours (see als.py) is the same up to a constant factor and the length of the embeddings, for α = 1/α₀ and scores
x'·y' = (1 + α₀) x·y, but for the rows' regularisation, which is a multiple of |S_u| there and a power of |S_u| + α₀ |I|
here. Taken is the multiple that is nearest in least squares, ρ_U = Σ_u λ_u |S_u| / Σ_u |S_u|², and ρ_I likewise; one r
serves both sides, since what one side's embeddings are shrunk by the other's can make up for:

    r = (1 + α₀)/α₀ · √(ρ_U ρ_I),   y = y' (ρ_U/ρ_I)^¼ / √(1 + α₀),   x = x' (ρ_I/ρ_U)^¼ / √(1 + α₀).

So item embeddings have the scale that fold-in expects. The two agree where λ_u is about proportional to |S_u| (ν near
1, α₀ |I| small beside it); elsewhere MLlib regularises rare items and short histories less than ours does.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import Histories
from bakeoff.models.mf.als import ridge
from bakeoff.models.mf.blocks import Blocks, pairs_in_blocks
from bakeoff.models.mf.params import MFParams


class Exchange(Protocol):
    """How events come to Spark, 4.0 or later, and embeddings from it."""

    @property
    def pairs(self) -> Any:
        """Data frame with a row per event: `user` and `item`, int32 indices."""

    def blocks(self, factors: Any) -> Iterator[tuple[NDArray[np.int32], NDArray[np.float32]]]:
        """A data frame of `id` and `features` in blocks: ids [n] and embeddings [n, d], in any order."""


ObservedPairs = Callable[[Histories], AbstractContextManager[Exchange]]
"""Histories → their exchange, for as long as its context is open."""

_PAIRS_PER_BLOCK = 1 << 16
"""Whose scores are computed at once: 2¹⁶ × d floats of either side, 16 MiB at d = 64."""


@dataclass(frozen=True)
class Mapping:
    """MLlib's parameters, and what its embeddings are multiplied with to be ours; see the module.

    Attributes:
        alpha: α, confidence of an observed pair.
        regularization: r.
        user_scale: of user embeddings.
        item_scale: of item embeddings.
    """

    alpha: float
    regularization: float
    user_scale: float
    item_scale: float

    @classmethod
    def of(cls, histories: Histories, num_items: int, params: MFParams) -> Self:
        """Map our parameters for these observed pairs.

        Raises:
            BakeoffError: α₀ is 0, for which MLlib has no finite α.
        """
        weight = params.unobserved_weight
        if weight == 0:
            raise BakeoffError(
                "mf.unobserved_weight is 0, and Spark MLlib always weighs unobserved pairs: set it above 0, or take "
                "another mf.solver than mllib."
            )
        users = _multiple(histories.lengths, num_items, params)
        items = _multiple(histories.item_counts(num_items), len(histories), params)
        shorter = 1 / np.sqrt(1 + weight)
        moved = (users / items) ** 0.25
        return cls(
            alpha=1 / weight,
            regularization=float((1 + weight) / weight * np.sqrt(users * items)),
            user_scale=float(shorter / moved),
            item_scale=float(shorter * moved),
        )


class MLlibALS:
    """The attributes and the part of ImplicitALS, of one whole fit: MLlib shows nothing between its iterations."""

    def __init__(self, histories: Histories, num_items: int, params: MFParams, seed: int, pairs: ObservedPairs) -> None:
        """Map the parameters; nothing is trained yet.

        Args:
            histories: pairs to learn from.
            num_items: of the catalogue.
            params: of MF; max_epochs are MLlib's iterations. init_scale, solver and cg_steps have no part in it.
            seed: of the initial embeddings.
            pairs: how the events come to Spark.
        """
        self._histories, self._params, self._seed, self._pairs = histories, params, seed, pairs
        self._mapping = Mapping.of(histories, num_items, params)
        self.user_embeddings = np.zeros((len(histories), params.dim), np.float32)
        self.item_embeddings = np.zeros((num_items, params.dim), np.float32)
        self.item_spectrum = np.zeros(params.dim, np.float32)

    def run_epoch(self) -> float:
        """Run max_epochs iterations from the start; loss L per observed pair, as of ImplicitALS."""
        # Imported here: Spark is an extra that only this solver needs.
        from pyspark.ml.recommendation import ALS
        from pyspark.sql.functions import lit

        als = ALS(
            rank=self._params.dim,
            maxIter=self._params.max_epochs,
            regParam=self._mapping.regularization,
            alpha=self._mapping.alpha,
            implicitPrefs=True,
            userCol="user",
            itemCol="item",
            ratingCol="observed",
            seed=self._seed,
            intermediateStorageLevel="MEMORY_AND_DISK",
            finalStorageLevel="MEMORY_AND_DISK",
        )
        # Factors are taken within: where an executor is lost, Spark makes its share again, from the pairs on.
        with self._pairs(self._histories) as exchange:
            model = als.fit(exchange.pairs.withColumn("observed", lit(1.0)))
            # Rows without events stay 0.
            for ids, rows in exchange.blocks(model.userFactors):
                self.user_embeddings[ids] = rows * np.float32(self._mapping.user_scale)
            for ids, rows in exchange.blocks(model.itemFactors):
                self.item_embeddings[ids] = rows * np.float32(self._mapping.item_scale)
        with Blocks.running(ThreadpoolController()) as blocks:
            self.item_spectrum, basis = blocks.eigenbasis(self.item_embeddings)
            blocks.rotate(self.item_embeddings, basis)
            blocks.rotate(self.user_embeddings, basis)
        return self._loss()

    def _loss(self) -> float:
        """L per observed pair, pairs in blocks."""
        x, y, params = self.user_embeddings, self.item_embeddings, self._params
        observed = 0.0
        for users, items in pairs_in_blocks(self._histories, _PAIRS_PER_BLOCK):
            scores = np.einsum("nd,nd->n", x[users], y[items])
            observed += float(((scores - 1) ** 2).sum(dtype=np.float64))
        everywhere = float(((x.T @ x) * np.diag(self.item_spectrum)).sum())
        norms = ridge(self._histories.lengths, len(y), params) @ np.einsum("nd,nd->n", x, x)
        norms += ridge(self._histories.item_counts(len(y)), len(x), params) @ np.einsum("nd,nd->n", y, y)
        return float((observed + params.unobserved_weight * everywhere + norms) / max(len(self._histories.items), 1))


def _multiple(frequencies: NDArray[np.integer], other_size: int, params: MFParams) -> float:
    """ρ: what the rows' numbers of pairs, not all 0, are multiplied with to come nearest to their λ."""
    pairs = frequencies.astype(np.float64)
    return float(ridge(frequencies, other_size, params) @ pairs / (pairs @ pairs))
