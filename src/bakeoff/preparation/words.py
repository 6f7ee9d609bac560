"""Words of a text feature."""

import pandas as pd

MIN_ROWS = 2
"""A word of a single row teaches nothing that carries over to another."""

MAX_WORDS = 2_000
"""Words that are kept, the most frequent ones."""

_WORD = r"[^\W_]{2,}"
"""Letters and digits of any script, two of them at least."""


def words_of(text: pd.Series) -> pd.Series:
    """Lower-cased words, one a row, under the index of the row that they stand in; repeated where they are.

    Args:
        text: strings, None where missing; each row has an index of its own.
    """
    lower = text.dropna().astype(object).str.normalize("NFKC").str.lower()
    return lower.str.findall(_WORD).explode().dropna()


def fit_words(text: pd.Series) -> tuple[str, ...]:
    """The MAX_WORDS words that most rows have, ties in alphabetical order; none of fewer than MIN_ROWS rows.

    Returns:
        in alphabetical order.
    """
    words = words_of(text)
    each_row_once = words[~pd.MultiIndex.from_arrays([words.index, words]).duplicated()]
    counts = each_row_once.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    return tuple(sorted(counts[counts >= MIN_ROWS].index[:MAX_WORDS]))
