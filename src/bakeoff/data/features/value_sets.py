"""Features of many values per row as arrays: sets of tags or words, how a text becomes words, and vectors."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.core.histories import offsets_of

MIN_ROWS = 2
"""A word of a single row teaches nothing that carries over to another."""

MAX_WORDS = 2_000
"""Words that are kept, the most frequent ones."""

_WORD = r"[^\W_]{2,}"
"""Letters and digits of any script, two of them at least."""


@dataclass(frozen=True)
class ValueSets:
    """A set of values for each of n rows. A million titles of five words take 28 MB, as a dense matrix 2 GB.

    Attributes:
        offsets: int64 [n + 1]; row i has the entries offsets[i] to offsets[i + 1] (excluded).
        codes: int32 [nnz], distinct and ascending within a row, in [0, size).
        size: number of values that there are.
    """

    offsets: NDArray[np.int64]
    codes: NDArray[np.int32]
    size: int

    @classmethod
    def from_pairs(cls, rows: NDArray[np.integer], codes: NDArray[np.integer], num_rows: int, size: int) -> Self:
        """Pairs of a row and a value, in any order.

        Args:
            rows: [P], in [0, num_rows).
            codes: [P], in [0, size); −1 is no value.
            num_rows: n.
            size: number of values that there are.
        """
        known = codes >= 0
        pairs = np.unique(rows[known].astype(np.int64) * max(size, 1) + codes[known])
        lengths = np.bincount(pairs // max(size, 1), minlength=num_rows)
        return cls(offsets_of(lengths), (pairs % max(size, 1)).astype(np.int32), size)

    def __len__(self) -> int:
        """Number of rows n."""
        return len(self.offsets) - 1

    @property
    def rows(self) -> NDArray[np.int64]:
        """[nnz], row of each entry."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def lists(self) -> pa.ListArray:
        """The codes of each row, list<int32> [n]."""
        return pa.ListArray.from_arrays(pa.array(self.offsets, pa.int32()), pa.array(self.codes))

    def matrix(self) -> NDArray[np.bool_]:
        """Dense bool [n, size]: for small tables."""
        matrix = np.zeros((len(self), self.size), np.bool_)
        matrix[self.rows, self.codes] = True
        return matrix


def words_of(text: pd.Series) -> pd.Series:
    """Lower-cased words, one a row, under the index of the row that they stand in; repeated where they are.

    Args:
        text: strings, None where missing; each row has an index of its own.
    """
    lower = text.dropna().astype(object).str.normalize("NFKC").str.lower()
    return lower.str.findall(_WORD).explode().dropna()


def count_words(text: pd.Series) -> Counter[str]:
    """Number of rows that hold each word.

    Args:
        text: strings, None where missing.
    """
    words = words_of(text.reset_index(drop=True))
    each_row_once = words[~pd.MultiIndex.from_arrays([words.index, words]).duplicated()]
    return Counter(each_row_once.value_counts().to_dict())


def most_common(counts: Mapping[str, int]) -> tuple[str, ...]:
    """The MAX_WORDS words that most rows have, ties in alphabetical order; none of fewer than MIN_ROWS rows.

    Args:
        counts: as `count_words` gives them, of all rows.

    Returns:
        in alphabetical order.
    """
    often = [(-count, word) for word, count in counts.items() if count >= MIN_ROWS]
    return tuple(sorted(word for _, word in sorted(often)[:MAX_WORDS]))


def components(column: pd.Series, size: int) -> NDArray[np.float32]:
    """Lists of numbers as rows, float32 [n, size]; 0 where a list is missing or of another length."""
    rows = np.zeros((len(column), size), np.float32)
    fits = (column.astype(object).str.len() == size).to_numpy()
    if fits.any():
        rows[fits] = np.stack(column[fits].to_numpy())
    return rows


def unit_vectors(column: pd.Series, size: int) -> NDArray[np.float32]:
    """Lists of finite numbers, each scaled to length 1, float32 [n, size]; 0 where missing, or of another length."""
    rows = components(column, size)
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))[:, np.newaxis]
    np.divide(rows, lengths, out=rows, where=lengths > 0, casting="same_kind")
    return rows
