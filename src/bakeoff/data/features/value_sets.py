"""Features of many values per row as arrays: sets of tags or words, how a text becomes words, and vectors."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

MIN_ROWS = 2
"""A word of a single row teaches nothing that carries over to another."""

MAX_WORDS = 2_000
"""Words that are kept, the most frequent ones."""

_WORD = r"[^\W_]{2,}"
"""Letters and digits of any script, two of them at least."""


def value_sets(rows: NDArray[np.integer], codes: NDArray[np.integer], num_rows: int, size: int) -> csr_array:
    """A set of values for each row, bool [num_rows, size]: a million titles of five words take 29 MB, not 2 GB.

    Args:
        rows: [P], in [0, num_rows), of pairs of a row and a value, in any order; repeated pairs count once.
        codes: [P], in [0, size); −1 is no value.
        num_rows: number of rows.
        size: number of values that there are.
    """
    known = codes >= 0
    pairs = rows[known].astype(np.int32), codes[known].astype(np.int32)
    return csr_array((np.ones(known.sum(), np.bool_), pairs), (num_rows, size))


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
