"""Words of a text feature."""

from collections import Counter
from collections.abc import Mapping

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


def count_words(text: pd.Series) -> Counter[str]:
    """In how many rows each word stands.

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
