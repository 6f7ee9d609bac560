"""How features of users and items become numbers: fitted once, then the same for training and serving."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.sparse import csr_array, hstack

from bakeoff.core.errors import BakeoffError, shortened
from bakeoff.data.features.value_sets import unit_vectors, value_sets, words_of

Encoded = tuple[NDArray[np.float32], NDArray[np.int32]]
"""Dense and categorical features of one user."""

TAG_SEPARATOR = "|"
"""Joins the values of a `tags` column."""

SHOWN_VALUES = 5
"""Known values of a categorical feature that a message shows: they may be ids of users, and many."""


@dataclass(frozen=True)
class EncodedFeatures:
    """Features of n users or n items as arrays.

    Attributes:
        dense: float32 [n, D], numbers, standardised, 0 (the mean) where missing; then the components of vectors,
            each vector of length 1, all 0 where missing.
        categorical: int32 [n, C], code 0 where missing or not known, code i + 1 for the value with index i.
        categorical_sizes: C numbers of values, the code 0 not counted: codes of column c lie in
            [0, categorical_sizes[c]].
        tag_sets: for each tags column, bool [n, values], the tags that a row carries; none for users.
        word_sets: for each text column, bool [n, values], the words that stand in it; none for users.
        num_components: last columns of `dense`, which are those of vectors.
    """

    dense: NDArray[np.float32]
    categorical: NDArray[np.int32]
    categorical_sizes: tuple[int, ...]
    tag_sets: tuple[csr_array, ...] = ()
    word_sets: tuple[csr_array, ...] = ()
    num_components: int = 0

    @property
    def num_features(self) -> int:
        """Columns of all kinds; values of categorical features, tags, words and components count one by one."""
        num_in_sets = sum(each.shape[1] for each in (*self.tag_sets, *self.word_sets))
        return int(self.dense.shape[1] + sum(self.categorical_sizes) + num_in_sets)

    @property
    def category_sets(self) -> list[csr_array]:
        """For each categorical column, bool [n, values], the value that a row has."""
        rows, columns = np.arange(len(self.categorical)), zip(self.categorical.T, self.categorical_sizes, strict=True)
        return [value_sets(rows, codes - 1, len(rows), size) for codes, size in columns]

    @cached_property
    def directions(self) -> csr_array:
        """Which categories and tags each row has, float64 [n, F], scaled to length 1; a row without any stays 0.

        Numbers and words are left out: a number has no angle, and the words of a title name an item.
        """
        columns = [csr_array((len(self.categorical), 0)), *self.category_sets, *self.tag_sets]
        together = csr_array(hstack(columns, "csr", np.float64))
        together.data /= np.sqrt(np.repeat(counts := np.diff(together.indptr), counts))
        return together


class _Fitted(BaseModel):
    """What was learned from data; texts may be any."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Scale(_Fitted):
    """Standardisation of a dense feature: (value − mean) / std."""

    mean: float
    """Mean of the values that are known."""
    std: float
    """Their standard deviation (of the population); 1 where they do not differ."""


class TableEncoding(_Fitted):
    """Encoding of one table's features; the order of the keys is the order of the arrays' columns."""

    dense: dict[str, Scale] = Field(default_factory=dict)
    """Scale of each dense feature."""
    categorical: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Values of each categorical feature."""
    tags: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Values of each tags feature."""
    text: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Words of each text feature."""
    vector: dict[str, int] = Field(default_factory=dict)
    """Number of components of each vector feature."""

    def encode(self, table: pd.DataFrame) -> EncodedFeatures:
        """Features of every row of a table that holds the raw columns."""
        found = {name: encode(table[name]) for name, encode in self._functions().items()}
        dense = _columns([found[name] for name in (*self.dense, *self.vector)], len(table), np.float32)
        categorical = _columns([found[name] for name in self.categorical], len(table), np.int32)
        return self.features(dense, categorical, [found[name] for name in (*self.tags, *self.text)])

    def features(
        self, dense: NDArray[np.float32], categorical: NDArray[np.int32], sets: Sequence[csr_array]
    ) -> EncodedFeatures:
        """What was encoded; the sets are those of the tags, then those of the text features."""
        sizes, of_tags = tuple(self.categorical_sizes.values()), len(self.tags)
        components = sum(self.vector.values())
        return EncodedFeatures(dense, categorical, sizes, tuple(sets[:of_tags]), tuple(sets[of_tags:]), components)

    def encode_columns(self, table: pd.DataFrame) -> dict[str, pa.Array]:
        """Likewise, by feature: float32 where it is dense, int32 where it is categorical, list<int32> of tags and text.

        Vectors, which are lists of numbers, become list<float32>.
        """
        return {name: _as_arrow(encode(table[name])) for name, encode in self._functions().items()}

    def _functions(self) -> dict[str, Callable[[pd.Series], Any]]:
        """Feature → what encodes a column: as an array, or as sets where it is tags or text."""
        found: dict[str, Callable[[pd.Series], Any]]
        found = {name: partial(standardised, scale=scale) for name, scale in self.dense.items()}
        for encode, values_of in ((codes_of, self.categorical), (tags_of, self.tags), (words_in, self.text)):
            found |= {name: partial(encode, known=pd.Index(values, dtype=object)) for name, values in values_of.items()}
        return found | {name: partial(unit_vectors, size=size) for name, size in self.vector.items()}

    @property
    def categorical_sizes(self) -> dict[str, int]:
        """Number of values of each categorical feature, in the order of the columns."""
        return {name: len(values) for name, values in self.categorical.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """All features: dense, then categorical, tags, text and vectors."""
        return (*self.dense, *self.categorical, *self.tags, *self.text, *self.vector)

    @property
    def num_dense(self) -> int:
        """Columns of `EncodedFeatures.dense`."""
        return len(self.dense) + sum(self.vector.values())

    @cached_property
    def codes(self) -> Mapping[str, Mapping[str, int]]:
        """Categorical or tags feature → value → code, from 1."""
        features = (self.categorical | self.tags).items()
        return {name: {value: code for code, value in enumerate(values, 1)} for name, values in features}

    def encode_user(self, given: Mapping[str, object], whose: str = "users") -> Encoded:
        """Encode what is known of one person, as `encode` would a row of the table.

        Args:
            given: raw feature values by name; text is read as a number where the feature is dense, and a vector may be
                text with `|` between its numbers. A feature that is not named, None or empty is missing.
            whose: features these are, for messages.

        Returns:
            dense float32 [1, D] and categorical int32 [1, C].

        Raises:
            BakeoffError: a name that is no feature, a dense value that is not a number, a vector that is none or of
                another length, or a category that no warm user has.
        """
        for name in given:
            if name not in self.names:
                has = f"they have {', '.join(self.names)}" if self.names else "they have none"
                raise BakeoffError(f"{shortened(name)} is not a feature of {whose}: {has}.")
        dense = np.array([[number_of(name, given.get(name)) for name in self.dense]], np.float64)
        means, deviations = np.array([(scale.mean, scale.std) for scale in self.dense.values()]).reshape(-1, 2).T
        codes = [category_code(name, given.get(name), self.codes[name]) for name in self.categorical]
        vectors = {name: pd.Series([vector_of(name, given.get(name), size)]) for name, size in self.vector.items()}
        units = [unit_vectors(vector, self.vector[name]) for name, vector in vectors.items()]
        return np.concatenate([_scaled(dense, means, deviations), *units], axis=1), np.array([codes], np.int32)


class FeatureEncoding(_Fitted):
    """`features.json`: how the features of users and items are encoded."""

    user: TableEncoding = TableEncoding()
    """Fitted on warm users."""
    item: TableEncoding = TableEncoding()
    """Fitted on the catalogue."""


def standardised(column: pd.Series, scale: Scale) -> NDArray[np.float32]:
    """(value − mean) / std of each number, float32 [n]; 0 where it is missing or no float32 holds it."""
    return _scaled(column.to_numpy(np.float64, na_value=np.nan), scale.mean, scale.std)


def _scaled(
    values: NDArray[np.float64], mean: float | NDArray[np.float64], std: float | NDArray[np.float64]
) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        scaled = ((np.where(is_known(values), values, np.nan) - mean) / std).astype(np.float32)
    return np.where(np.isfinite(scaled), scaled, np.float32(0))


def is_known(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether a float32, which exported models take, holds each value of a dense feature; else it counts as missing."""
    return np.abs(values) <= np.finfo(np.float32).max


def codes_of(column: pd.Series, known: pd.Index) -> NDArray[np.int32]:
    """1 + the place of each text among the known values, int32 [n]; 0 where it is missing, empty or none of them."""
    codes: NDArray[np.integer[Any]] = known.get_indexer(_text(column))
    return (codes + 1).astype(np.int32)


def tags_of(column: pd.Series, known: pd.Index) -> csr_array:
    """The known tags of each text, n rows."""
    rows = _text(column).reset_index(drop=True).dropna().str.split(TAG_SEPARATOR, regex=False).explode()
    rows = rows.astype(object).str.strip()
    return _sets(rows[rows.notna() & (rows != "")], known, len(column))


def words_in(column: pd.Series, known: pd.Index) -> csr_array:
    """The known words of each text, n rows."""
    return _sets(words_of(_text(column).reset_index(drop=True)), known, len(column))


def _text(column: pd.Series) -> pd.Series:
    """Values as text, None where missing or empty."""
    text = column.astype(object)
    return text.where(text.notna() & (text != ""), None)


def _sets(values: pd.Series, known: pd.Index, num_rows: int) -> csr_array:
    """Sets of the known ones among values that stand under the index of their row."""
    codes = known.get_indexer(values)
    return value_sets(values.index.to_numpy(np.int64), codes, num_rows, len(known))


def _as_arrow(encoded: Any) -> pa.Array:
    if isinstance(encoded, csr_array):
        return pa.ListArray.from_arrays(*(pa.array(each, pa.int32()) for each in (encoded.indptr, encoded.indices)))
    if encoded.ndim == 1:
        return pa.array(encoded)
    return pa.ListArray.from_arrays(np.arange(len(encoded) + 1, dtype=np.int32) * encoded.shape[1], encoded.ravel())


def _columns(columns: list[Any], num_rows: int, dtype: type) -> NDArray[Any]:
    return np.column_stack(columns) if columns else np.zeros((num_rows, 0), dtype)


def number_of(name: str, value: object) -> float:
    """A dense value as a number; NaN where none is given.

    Raises:
        BakeoffError: it is none.
    """
    if value is None or value == "":
        return float("nan")
    try:
        return float(str(value))
    except ValueError:
        raise BakeoffError(f"{name}={shortened(value)} is not a number, but {name} is a dense feature.") from None


def vector_of(name: str, value: Any, size: int) -> NDArray[np.float32]:
    """A vector, as a list or as text with `|` between its numbers, [size]; 0 where none is given.

    Raises:
        BakeoffError: it is none, or of another length.
    """
    parts = value.split(TAG_SEPARATOR) if isinstance(value, str) and value else value or [0.0] * size
    try:
        with np.errstate(over="ignore"):
            vector = np.array(parts, np.float32)
    except (TypeError, ValueError):
        vector = np.array(np.nan, np.float32)
    if vector.shape != (size,) or not np.isfinite(vector).all():
        raise BakeoffError(f"{name}={shortened(value)} is not {size} numbers, which the vector {name} has.")
    return vector


def category_code(name: str, value: object, codes: Mapping[str, int]) -> int:
    """The code of a category; 0 where none is given.

    Raises:
        BakeoffError: the value is not known; names at most a few that are.
    """
    if value is None or value == "":
        return 0
    code = codes.get(str(value))
    if code is None:
        shown = ", ".join(known[:40] for known in islice(codes, SHOWN_VALUES))
        known = f"it must be one of {shown}" if len(codes) <= SHOWN_VALUES else f"known are {shown} and others"
        raise BakeoffError(f"{name}={shortened(value)} is not known: {known}.")
    return code
