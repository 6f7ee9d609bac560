"""Lists of some items alone, less popular or more diverse than the best by score: in NumPy.

`list_options_graph` has the same in TensorFlow, for exported models.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from bakeoff.data.features.encoding import EncodedFeatures, TableEncoding

CANDIDATES_PER_PLACE = 10
"""A diverse list of k items is chosen among the best 10 k."""

LONGEST_DIVERSE = 100
"""Items of a diverse list that a request may ask for: each place compares all candidates with the item before."""

BEST = 100
"""Scores whose spread says what popularity may cost."""

MOST_KINDS = 128
"""Categories and tags by which items are compared; where there are more, embeddings take less memory."""

FILTER = r"(?s)\s*([^=<>!]+)(=|!=|>=|<=)(.+)"
"""A filter as people write it: a feature, a sign, and a number or values, in the syntax of both `re` and RE2."""

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class CatalogueFeatures:
    """What the n items of a catalogue can be filtered and compared by: their numbers, categories and tags.

    Attributes:
        codes: by feature with categories or tags, value → code, from 1.
        items: by the same features, bool [n, values], which items have which value; code c is column c − 1.
        numbers: by feature with numbers, float64 [n], NaN where unknown.
        encoded: categories and tags of all items.
    """

    codes: Mapping[str, Mapping[str, int]]
    items: Mapping[str, csc_array]
    numbers: Mapping[str, NDArray[np.float64]]
    encoded: EncodedFeatures

    def __len__(self) -> int:
        """The number of items n."""
        return len(self.encoded.categorical)

    @classmethod
    def of(cls, table: pd.DataFrame, encoding: TableEncoding) -> "CatalogueFeatures":
        """Of n rows with raw features, by the encoding of item features; those that the table lacks are left out."""
        names = [name for name in filterable(encoding) if name in table]
        codes = {name: codes for name, codes in encoding.codes.items() if name in names}
        encoded = only(encoding, ("categorical", "tags"), names).encode(table)
        items = [each.tocsc() for each in (*encoded.category_sets, *encoded.tag_sets)]
        dense = [name for name in encoding.dense if name in names]
        numbers = {name: pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64) for name in dense}
        return cls(codes, dict(zip(codes, items, strict=True)), numbers, encoded)

    @cached_property
    def kinds(self) -> csr_array | None:
        """By which diverse lists compare items, float64 [n, F]: see `EncodedFeatures.directions`.

        None where there are none, or more than MOST_KINDS: then items are compared by their embeddings.
        """
        found = self.encoded.directions
        return found if 0 < found.shape[1] <= MOST_KINDS else None


def filterable(encoding: TableEncoding) -> list[str]:
    """Item features by which lists can be filtered: all but texts and vectors."""
    return [*encoding.dense, *encoding.categorical, *encoding.tags]


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
    """Scores minus β σ_s z_i, float32 [B, n].

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
