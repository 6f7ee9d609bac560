"""What a request may ask of a list beyond the best by score: some items only, less popular or more diverse ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.models.base.list_options import CANDIDATES_PER_PLACE, LONGEST_DIVERSE, diverse
from bakeoff.ops.item_features import Filter, ItemFeatures
from bakeoff.ops.server.search import ExactSearch, SearchResult

MOST_FILTERS = 20
"""Of one request."""

LARGEST_DEBIAS = 10.0
"""By far: at 1 lists are less popular than what people already like."""


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


def find(
    search: ExactSearch,
    query: NDArray[np.float32],
    exclude: NDArray[np.integer],
    k: int,
    options: ListOptions,
    features: ItemFeatures,
    popularity: NDArray[np.float32],
) -> SearchResult:
    """The list of one query.

    Args:
        search: over the item embeddings.
        query: float32 [1, d].
        exclude: item indices that are left out.
        k: length of the list, at most the size of the catalogue n.
        options: that `check` has accepted.
        features: of the items.
        popularity: float32 [n], from `standard_log_popularity`.

    Returns:
        items in the order of the list, and their scores by the model: with diversity or debias they don't descend.
    """
    if options.allow is not None or options.filters:
        allowed = features.meeting(options.filters)
        if options.allow is not None:
            named = np.zeros(len(popularity), np.bool_)
            named[options.allow] = True
            allowed &= named
        exclude = np.concatenate([exclude, np.flatnonzero(~allowed)])
    length = min(CANDIDATES_PER_PLACE * k, len(popularity)) if options.diversity else k
    if options.debias:
        found, value = search.find_debiased(query, exclude, length, popularity, options.debias)
    else:
        [found] = search.find(query, [exclude], length)
        value = found.scores
    if not options.diversity:
        return found
    vectors = features.vectors(found.items)
    places = diverse(value, search.vectors(found.items) if vectors is None else vectors, k, options.diversity)
    return SearchResult(found.items[places], found.scores[places])
