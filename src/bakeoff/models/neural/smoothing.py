"""Item embeddings moved towards the queries of their users, once, after training."""

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories
from bakeoff.models.neural.pooling import weighted_sums


def smooth(
    item_embeddings: NDArray[np.float32],
    query_embeddings: NDArray[np.float32],
    histories: Histories,
    strength: float,
) -> NDArray[np.float32]:
    """One step of propagation over the graph of users and items: V_i + a φ(i)^−½ Σ_{u ∋ i} ψ_u / |P_u|.

    What LightGCN does at every layer (He et al. 2020, eq. 3), with the queries of a trained tower in the place of
    user embeddings. The result is not normalised: ranking is by inner product.

    Args:
        item_embeddings: [n, d], V.
        query_embeddings: [U, d], ψ of the users that were trained on.
        histories: of these users, P_u.
        strength: a ≥ 0.

    Returns:
        float32 [n, d].
    """
    sums, counts = np.zeros(item_embeddings.shape, np.float32), np.zeros(len(item_embeddings), np.int64)
    for part, block in histories.blocks():
        by_item = Histories.from_rows(block.items, block.rows, block.timestamps, len(item_embeddings))
        shares = (1 / np.maximum(block.lengths, 1)).astype(np.float32)[by_item.items, np.newaxis]
        sums += weighted_sums(query_embeddings[part], by_item.offsets, by_item.items, shares)[:, 0]
        counts += by_item.lengths
    frequencies = np.maximum(counts, 1)[:, np.newaxis]
    return np.asarray(item_embeddings + strength * sums / np.sqrt(frequencies), np.float32)
