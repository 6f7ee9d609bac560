"""Lists that are less popular, or more diverse, than the best by score: the formulas in NumPy.

`list_options_graph` has the same in TensorFlow, for exported models.
"""

from collections.abc import Container, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bakeoff.data.features.encoding import EncodedFeatures, TableEncoding

CANDIDATES_PER_PLACE = 10
"""A diverse list of k items is chosen among the best 10 k."""

LONGEST_DIVERSE = 100
"""Items of a diverse list that a request may ask for: each place compares all candidates with the item before."""

BEST = 100
"""Scores whose spread says what popularity may cost."""

MOST_KINDS = 128
"""Categories and tags by which items are compared; where there are more, embeddings take less memory."""

FloatArray = NDArray[np.float32]


def kinds_of_items(table: pd.DataFrame, encoding: TableEncoding) -> csr_array | None:
    """Categories and tags of n items, by which diverse lists compare them: see `EncodedFeatures.directions`, [n, F].

    None where there are none, or more than MOST_KINDS: then items are compared by their embeddings.

    Args:
        table: n rows with raw features; those that it lacks are left out.
        encoding: of item features.
    """
    return kinds_of(only(encoding, ("categorical", "tags"), table).encode(table))


def kinds_of(encoded: EncodedFeatures) -> csr_array | None:
    """The same of items whose categories and tags are encoded."""
    found = encoded.directions
    return found if 0 < found.shape[1] <= MOST_KINDS else None


def only(encoding: TableEncoding, kinds: Iterable[str], names: Container[str]) -> TableEncoding:
    """The encoding of those features alone that are of these kinds and have one of these names."""

    def chosen(features: Mapping[str, Any]) -> dict[str, Any]:
        return {name: fitted for name, fitted in features.items() if name in names}

    return TableEncoding(**{kind: chosen(getattr(encoding, kind)) for kind in kinds})


def standard_log_popularity(counts: NDArray[np.integer]) -> FloatArray:
    """Logarithm of φ(i), standardised over the catalogue: mean 0, standard deviation 1; all 0 where items don't differ.

    Args:
        counts: [n], interactions of each item; one without any counts as if it had one.
    """
    logs = np.log(np.maximum(counts, 1))
    return np.asarray((logs - logs.mean()) / (logs.std() or 1), np.float32)


def debiased(scores: FloatArray, popularity: FloatArray, debias: float) -> FloatArray:
    """Scores less β σ_s z_i, float32 [B, n].

    Menon et al. (ICLR 2021), "Long-tail learning via logit adjustment", subtract τ log φ(i) from logits. Scores of MF
    are no logits, and models differ in scale: here τ is β σ_s / σ_logφ, with σ_s the standard deviation of the query's
    BEST highest scores. So one β has similar effects on different models (benchmarks/results/query_time.md).

    Args:
        scores: float32 [B, n], of all items.
        popularity: float32 [n], z, from `standard_log_popularity`.
        debias: β ≥ 0; 0: scores stay as they are.
    """
    best = min(BEST, scores.shape[1])
    spread = np.partition(scores, -best, axis=1)[:, -best:].std(axis=1, keepdims=True)
    return np.asarray(scores - np.float32(debias) * spread * popularity)


def diverse(scores: FloatArray, vectors: FloatArray, k: int, diversity: float) -> NDArray[np.int64]:
    """Choose k of m candidates by maximal marginal relevance (Carbonell & Goldstein, SIGIR 1998).

    One after the other, the candidate with the largest (1 − λ) r_i − λ max_j cos(v_i, v_j), j among those that were
    chosen. r is the score brought to [0, 1] over the candidates. The paper's λ is 1 − λ here: 0 is no diversity.

    Args:
        scores: float32 [m], descending.
        vectors: float32 [m, d], kinds or embeddings of the items.
        k: length of the list.
        diversity: λ in [0, 1]; 0: the first k; 1: after the first one, scores play no part.

    Returns:
        places of candidates int64 [min(k, m)], in the order of the list.
    """
    relevance = (scores - scores.min(initial=np.inf)) / max(np.ptp(scores) if len(scores) else 0, 1e-30)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1)
    weight = np.float32(diversity)
    chosen, nearest, value = np.zeros(min(k, len(scores)), np.int64), np.full(len(scores), -1, np.float32), relevance
    for rank in range(len(chosen)):
        best = chosen[rank] = value.argmax()
        nearest = np.maximum(nearest, unit @ unit[best])
        value = (1 - weight) * relevance - weight * nearest
        value[chosen[: rank + 1]] = -np.inf
    return chosen
