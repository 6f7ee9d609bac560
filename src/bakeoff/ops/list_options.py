"""What a request may ask of a list beyond the best by score: some items only, less popular or more diverse ones.

Which items there may be is asked by their ids, or by filters on their features.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.sparse import csc_array, csr_array, vstack

from bakeoff.core.errors import BakeoffError, shortened
from bakeoff.data.features.encoding import TAG_SEPARATOR, TableEncoding, category_code
from bakeoff.models.base.list_options import (
    CANDIDATES_PER_PLACE,
    FILTER,
    LONGEST_DIVERSE,
    CatalogueFeatures,
    diverse,
)
from bakeoff.ops.server.search import ExactSearch, Excluded, SearchResult

MOST_FILTERS = 20
"""Of one request."""

LARGEST_DEBIAS = 10.0
"""By far: at 1 lists are less popular than what people already like."""

MOST_VALUES = 100
"""Values of one filter."""

Values = Annotated[list[str], Field(min_length=1, max_length=MOST_VALUES)]
Bound = Annotated[float, Field(allow_inf_nan=False)]


class Sent(BaseModel):
    """What a client sends: nothing that is not known, and ids may be numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True, use_attribute_docstrings=True)


class Filter(Sent):
    """A condition on one feature; an item whose feature is unknown meets `none_of` alone."""

    feature: str
    """Name of an item feature: see item_features of GET /model."""
    any_of: Values | None = None
    """Values or tags. An item must have at least one of them."""
    none_of: Values | None = None
    """Values or tags. An item must have none of them."""
    min: Bound | None = None
    """Least value of a number."""
    max: Bound | None = None
    """Largest value of a number."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if all(asked is None for asked in (self.any_of, self.none_of, self.min, self.max)):
            raise ValueError("a filter needs any_of, none_of, min or max")
        return self

    @classmethod
    def parse(cls, text: str) -> "Filter":
        """A filter as people write it: `genres=Comedy|Drama`, `genres!=Horror`, `year>=1990` or `year<=1999`.

        Raises:
            BakeoffError: it is none of these.
        """
        found = re.fullmatch(FILTER, text)
        if found:
            feature, sign, value = (part.strip() for part in found.groups())
            name = {"=": "any_of", "!=": "none_of", ">=": "min", "<=": "max"}[sign]
            given = [part.strip() for part in value.split(TAG_SEPARATOR)] if name.endswith("_of") else value
            try:
                return cls.model_validate({"feature": feature, name: given})
            except ValueError:  # of pydantic: not a number, or too many values
                pass
        raise BakeoffError(
            f"--filter {shortened(text)} must be like genres=Comedy|Drama, genres!=Horror, year>=1990 or year<=1999 "
            f"(with at most {MOST_VALUES} values)."
        )


class ItemFeatures:
    """Features of the n items of a catalogue that lists can be filtered by: numbers, categories and tags.

    Attributes:
        names: of these features; empty where there are none, or where the model was stored without them.
    """

    def __init__(
        self, table: pd.DataFrame, encoding: TableEncoding, model: str, before: CatalogueFeatures | None = None
    ) -> None:
        """Take raw features of all items.

        Args:
            table: n rows, from `read_items`.
            encoding: of item features.
            model: name of the model, for messages.
            before: features of further items, which stand before those of the table.
        """
        self._columns, self._encoding, self._model = table.columns, encoding, model
        of_table = CatalogueFeatures.of(table, encoding)
        self._values = of_table if before is None else _joined(before, of_table)
        self.names = (*self._values.numbers, *self._values.codes)

    def extended(self, table: pd.DataFrame) -> "ItemFeatures":
        """The same with further items behind the n, whose raw features the table has."""
        return ItemFeatures(table.reindex(columns=self._columns), self._encoding, self._model, before=self._values)

    def vectors(self, items: NDArray[np.integer]) -> NDArray[np.float32] | None:
        """Kinds of m items, by which diverse lists compare them, [m, F]; None: their embeddings do better."""
        return None if (kinds := self._values.kinds) is None else kinds[items].toarray().astype(np.float32)

    def check(self, filters: Sequence[Filter]) -> None:
        """Refuse filters that make no sense here.

        Raises:
            BakeoffError: an unknown feature or value, a value of a number, or a bound of what is none.
        """
        for each in filters:
            if not self.names:
                raise BakeoffError(
                    f"{self._model} knows no features of items to filter by: the data has none, or an older version "
                    f"stored the model without them; then run `bakeoff train {self._model}` and `bakeoff export "
                    f"{self._model}`."
                )
            if each.feature not in self.names:
                known = ", ".join(self.names)
                raise BakeoffError(f"{shortened(each.feature)} is not a feature to filter items by: there are {known}.")
            is_number = each.feature in self._values.numbers
            if is_number and (each.any_of or each.none_of):
                raise BakeoffError(f"{each.feature} is a number: filter it by min and max instead of by values.")
            if not is_number and (each.min is not None or each.max is not None):
                raise BakeoffError(f"{each.feature} is not a number: filter it by any_of or none_of, not by a range.")
            self._codes_of(each.feature, [*(each.any_of or ()), *(each.none_of or ())])

    def meeting(self, filters: Sequence[Filter]) -> NDArray[np.bool_]:
        """Bool [n], which items meet all of these filters, which `check` has accepted."""
        allowed = np.ones(len(self._values), np.bool_)
        for each in filters:
            if each.any_of:
                allowed &= self._with(each.feature, each.any_of)
            if each.none_of:
                allowed &= ~self._with(each.feature, each.none_of)
            if each.min is not None:
                allowed &= self._values.numbers[each.feature] >= each.min
            if each.max is not None:
                allowed &= self._values.numbers[each.feature] <= each.max
        return allowed

    def _with(self, feature: str, values: Sequence[str]) -> NDArray[np.bool_]:
        """Bool [n], which items have one of the values."""
        items, found = self._values.items[feature], np.zeros(len(self._values), np.bool_)
        for code in self._codes_of(feature, values):
            found[items.indices[items.indptr[code - 1] : items.indptr[code]]] = True
        return found

    def _codes_of(self, feature: str, values: Sequence[str]) -> list[int]:
        codes = [category_code(feature, value, self._values.codes[feature]) for value in values]
        if 0 in codes:
            raise BakeoffError(f"A filter on {feature} names an empty value.")
        return codes


def _joined(first: CatalogueFeatures, second: CatalogueFeatures) -> CatalogueFeatures:
    """The items of two catalogues that are encoded alike, one after the other."""
    items = {name: csc_array(vstack([each, second.items[name]], "csc")) for name, each in first.items.items()}
    numbers = {name: np.concatenate([each, second.numbers[name]]) for name, each in first.numbers.items()}
    parts = first.encoded, second.encoded
    dense, categorical = (np.concatenate([getattr(each, kind) for each in parts]) for kind in ("dense", "categorical"))
    tags = tuple(csr_array(vstack(sets, "csr")) for sets in zip(*(each.tag_sets for each in parts), strict=True))
    encoded = replace(first.encoded, dense=dense, categorical=categorical, tag_sets=tags)
    return CatalogueFeatures(first.codes, items, numbers, encoded)


@dataclass(frozen=True)
class ListOptions:
    """What a request asks of its list.

    Attributes:
        allow: indices of the items that the list may contain; None: any.
        filters: that its items meet, all of them.
        diversity: λ of `list_options.diverse`.
        debias: β of `list_options.debiased`.
    """

    allow: NDArray[np.integer] | None = None
    filters: Sequence[Filter] = ()
    diversity: float = 0.0
    debias: float = 0.0

    @property
    def is_plain(self) -> bool:
        """Whether nothing is asked for."""
        return self.allow is None and not self.filters and not self.diversity and not self.debias

    def allowed(self, features: ItemFeatures, exclude: NDArray[np.integer], num_items: int) -> NDArray[np.bool_] | None:
        """Bool [n], which items the list may contain, without those that are left out; None: any other."""
        if self.allow is None and not self.filters:
            return None
        allowed = features.meeting(self.filters)
        if self.allow is not None:
            named = np.zeros(num_items, np.bool_)
            named[self.allow] = True
            allowed &= named
        allowed[exclude] = False
        return allowed

    def check(self, k: int, features: ItemFeatures) -> None:
        """Refuse what makes no sense for a list of k items.

        Raises:
            BakeoffError: says what to change.
        """
        if not (0 <= self.diversity <= 1 and 0 <= self.debias <= LARGEST_DEBIAS):  # nan too
            raise BakeoffError(
                f"diversity {self.diversity:g} and debias {self.debias:g} are not possible: they must lie between 0 "
                f"and 1, and between 0 and {LARGEST_DEBIAS:g}."
            )
        if self.diversity and k > LONGEST_DIVERSE:
            raise BakeoffError(f"k {k} is not possible with diversity: at most {LONGEST_DIVERSE} items are chosen.")
        if len(self.filters) > MOST_FILTERS:
            raise BakeoffError(f"{len(self.filters)} filters are too many: at most {MOST_FILTERS} are possible.")
        features.check(self.filters)


PLAIN = ListOptions()
"""The best by score."""

FEW = 32
"""Where at most one item in so many may be in the list, the others are not scored: to gather vectors takes longer than
to multiply them."""


def find(
    search: ExactSearch,
    queries: NDArray[np.float32],
    exclude: Excluded,
    k: Sequence[int],
    options: Sequence[ListOptions],
    features: ItemFeatures,
    popularity: NDArray[np.float32],
) -> list[SearchResult]:
    """The lists of B queries; what can be scored for several at once is.

    Args:
        search: over the item embeddings.
        queries: float32 [B, d].
        exclude: for each query the item indices that are left out.
        k: length of each list, at most the size of the catalogue n.
        options: of each query, that `check` has accepted.
        features: of the items.
        popularity: float32 [n], from `standard_log_popularity`.

    Returns:
        items in the order of each list, and their scores by the model: with diversity or debias they don't descend.
    """
    num_items, found = len(popularity), dict[int, tuple[SearchResult, NDArray[np.float32]]]()
    lengths = [
        min(CANDIDATES_PER_PLACE * wanted, num_items) if asked.diversity else wanted
        for wanted, asked in zip(k, options, strict=True)
    ]
    allowed = [asked.allowed(features, seen, num_items) for asked, seen in zip(options, exclude, strict=True)]
    by_score, by_debiased = list[int](), list[int]()
    for row, mask in enumerate(allowed):
        if options[row].debias:
            by_debiased.append(row)
        elif mask is None:
            by_score.append(row)
        else:
            if np.count_nonzero(mask) * FEW <= num_items:
                best = search.find_among(queries[row], np.flatnonzero(mask), lengths[row])
            else:  # by itself: what many queries leave out would take much memory
                [best] = search.find(queries[row : row + 1], [np.flatnonzero(~mask)], lengths[row])
            found[row] = best, best.scores
    if by_score:
        longest = max(lengths[row] for row in by_score)
        lists = search.find(queries[by_score], [exclude[row] for row in by_score], longest)
        found |= {row: (best, best.scores) for row, best in zip(by_score, lists, strict=True)}
    if by_debiased:
        longest, strengths = max(lengths[row] for row in by_debiased), [options[row].debias for row in by_debiased]
        masks = ((row, allowed[row]) for row in by_debiased)
        left_out = (exclude[row] if mask is None else np.flatnonzero(~mask) for row, mask in masks)
        pairs = search.find_debiased(queries[by_debiased], left_out, longest, popularity, strengths)
        found |= zip(by_debiased, pairs, strict=True)
    return [_chosen(search, features, *found[row], k[row], asked.diversity) for row, asked in enumerate(options)]


def _chosen(
    search: ExactSearch,
    features: ItemFeatures,
    best: SearchResult,
    value: NDArray[np.float32],
    k: int,
    diversity: float,
) -> SearchResult:
    """The list of one query, of its best candidates and the scores by which they are the best."""
    if not diversity:
        return SearchResult(best.items[:k], best.scores[:k])
    items, value = best.items[: CANDIDATES_PER_PLACE * k], value[: CANDIDATES_PER_PLACE * k]
    vectors = features.vectors(items)
    places = diverse(value, search.vectors(items) if vectors is None else vectors, k, diversity)
    return SearchResult(items[places], best.scores[places])
