"""The same as in `list_options` in TensorFlow, for exported models."""

from typing import Any

import numpy as np
from scipy.sparse import csc_array, hstack

from bakeoff.core.histories import PAD
from bakeoff.data.features.encoding import TAG_SEPARATOR
from bakeoff.models.base.list_options import BEST, CANDIDATES_PER_PLACE, FILTER, CatalogueFeatures
from bakeoff.models.base.tensorflow import graph, lookup_table, tf

_BETWEEN = "\x1f"
"""Between the name of a feature and a value, where values of all features are looked up together."""


_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
"""A finite number, as text; what TensorFlow can't read it refuses in words that name no filter."""


class ItemFilters(tf.Module):
    """Which items of a catalogue meet filters on their features."""

    def __init__(self, values: CatalogueFeatures) -> None:
        """Take what all n items can be filtered by."""
        super().__init__(name="filters")
        self._known = ", ".join((*values.codes, *values.numbers)) or "none"
        self._num_sets, self._num_items = len(values.codes), len(values)
        self._features = lookup_table([*values.codes, *values.numbers])
        named = (f"{name}{_BETWEEN}{value}" for name, codes in values.codes.items() for value in codes)
        self._values = lookup_table([*named])
        sets = csc_array(hstack([csc_array((len(values), 0)), *values.items.values()], "csc"))
        self._starts = tf.Variable(sets.indptr.astype(np.int64), trainable=False, name="starts")
        self._items = tf.Variable(sets.indices.astype(np.int32), trainable=False, name="items")
        numbers = np.array([*values.numbers.values(), np.full(len(values), np.nan)])  # the last: of what is no number
        self._numbers = tf.Variable(numbers, trainable=False, name="numbers")

    @graph(input_signature=[tf.TensorSpec([None], tf.string)])
    def met(self, filters: Any) -> Any:
        """Bool [n], which items meet all filters, as `bakeoff recommend --filter` takes them.

        That is genres=Comedy|Drama (one of these), genres!=Horror (none of these), year>=1990 or year<=1999. An item
        whose feature is unknown meets != alone. Empty texts are no filters.

        Args:
            filters: string [F].

        Raises:
            tf.errors.InvalidArgumentError: a text is no filter, or a feature or value is unknown.
        """
        filters = tf.boolean_mask(filters, tf.strings.strip(filters) != "")
        like = "filters must be like genres=Comedy|Drama, genres!=Horror, year>=1990 or year<=1999:"
        filters = _require(tf.strings.regex_full_match(filters, FILTER), like, filters, filters)
        name, sign, text = (tf.strings.strip(tf.strings.regex_replace(filters, FILTER, rf"\{n}")) for n in (1, 2, 3))
        feature = self._features.lookup(name)
        unknown = f"unknown feature to filter items by (there are: {self._known}) among"
        feature = _require(feature != PAD, unknown, name, feature)
        by_value = (sign == "=") | (sign == "!=")
        kind = "numbers are filtered by >= and <=, other features by = and !=:"
        by_value = _require(by_value == (feature < self._num_sets), kind, filters, by_value)
        text = _require(by_value | tf.strings.regex_full_match(text, _NUMBER), like, filters, text)

        has = self._with_values(name, tf.where(by_value, text, ""), by_value)
        bound = tf.strings.to_number(tf.where(by_value, "0", text), tf.float64)[:, tf.newaxis]
        number = tf.gather(self._numbers, tf.where(by_value, tf.shape(self._numbers)[0] - 1, feature - self._num_sets))
        within = tf.where((sign == ">=")[:, tf.newaxis], number >= bound, number <= bound)
        return tf.reduce_all(tf.where(by_value[:, tf.newaxis], has == (sign == "=")[:, tf.newaxis], within), axis=0)

    def _with_values(self, name: Any, texts: Any, by_value: Any) -> Any:
        """Bool [F, n], which items have one of the values that a filter names; False for filters on numbers."""
        split = tf.strings.split(texts, TAG_SEPARATOR)
        rows, values = split.value_rowids(), tf.strings.strip(split.flat_values)
        asked = tf.gather(by_value, rows)
        rows, values = tf.boolean_mask(rows, asked), tf.boolean_mask(values, asked)
        columns = self._values.lookup(tf.strings.join([tf.gather(name, rows), values], _BETWEEN))
        columns = _require(columns != PAD, "filters name a value that is not known, among", values, columns)
        places = tf.ragged.range(tf.gather(self._starts, columns), tf.gather(self._starts, columns + 1))
        items = tf.cast(tf.gather(self._items, places.flat_values), tf.int64)
        pairs = tf.stack([tf.gather(rows, places.value_rowids()), items], axis=1)
        nothing = tf.fill([tf.shape(texts)[0], self._num_items], False)
        return tf.tensor_scatter_nd_update(nothing, pairs, tf.fill(tf.shape(items), True))


def _require(condition: Any, otherwise: str, data: Any, value: Any) -> Any:
    """The value where the condition holds throughout; else an error that says so, with some of the data."""
    # Without this dependency, what the value is used for can fail first, with words of its own.
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(condition), [otherwise, data])]):
        return tf.identity(value)


def without(scores: Any, index: Any) -> Any:
    """Scores float32 [B, n] with −∞ at these rows and columns, int64 [m, 2]."""
    return tf.tensor_scatter_nd_update(scores, index, tf.fill(tf.shape(index)[:1], -float("inf")))


def choose(value: Any, vectors: Any, k: Any, diversity: Any) -> tuple[Any, Any]:
    """The best items, or diverse ones among the best.

    Args:
        value: float32 [B, n], by which items are ranked; −∞: not this one.
        vectors: [n, d], by which items are compared; any type that can be cast.
        k: length of the lists, at most n.
        diversity: λ in [0, 1].

    Returns:
        items int32 [B, k], and bool [B, k], where there is one.
    """
    most = tf.where(diversity > 0, tf.minimum(CANDIDATES_PER_PLACE * k, tf.shape(value)[1]), k)
    best, items = tf.math.top_k(value, k=most)
    places = tf.cond(
        diversity > 0,
        lambda: diverse(best, tf.cast(tf.gather(vectors, items), tf.float32), k, diversity),
        lambda: tf.tile(tf.range(k)[tf.newaxis], [tf.shape(best)[0], 1]),
    )
    # A diverse list takes candidates that there are first, so that as many of its places are filled.
    return tf.gather(items, places, batch_dims=1), tf.math.is_finite(best[:, :k])


def debiased(scores: Any, popularity: Any, debias: Any) -> Any:
    """See `list_options.debiased`."""
    best, _ = tf.math.top_k(scores, k=tf.minimum(BEST, tf.shape(scores)[1]), sorted=False)
    return scores - debias * tf.math.reduce_std(best, axis=1, keepdims=True) * popularity


def diverse(scores: Any, vectors: Any, k: Any, diversity: Any) -> Any:
    """See `list_options.diverse`; for B queries at once.

    Args:
        scores: float32 [B, m], descending; −∞ where there is no candidate.
        vectors: float32 [B, m, d].
        k: length of the lists, at most m.
        diversity: float32, in [0, 1].

    Returns:
        int32 [B, k], places of candidates; without meaning where there are fewer than k.
    """
    there = tf.math.is_finite(scores)
    least = tf.reduce_min(tf.where(there, scores, scores[:, :1]), axis=1, keepdims=True)
    relevance = tf.where(there, tf.math.divide_no_nan(scores - least, scores[:, :1] - least), 0.0)
    unit = tf.math.l2_normalize(vectors, axis=2)

    def pick(rank: Any, chosen: Any, nearest: Any, left: Any) -> tuple[Any, ...]:
        value = tf.where(rank == 0, relevance, (1 - diversity) * relevance - diversity * nearest)
        best = tf.argmax(tf.where(left, value, -float("inf")), axis=1, output_type=tf.int32)
        similarity = tf.linalg.matvec(unit, tf.gather(unit, best, batch_dims=1))
        left &= tf.range(tf.shape(scores)[1]) != best[:, tf.newaxis]
        return rank + 1, chosen.write(rank, best), tf.maximum(nearest, similarity), left

    chosen = tf.TensorArray(tf.int32, size=k, element_shape=[None])
    start = tf.constant(0), chosen, tf.fill(tf.shape(scores), -1.0), there
    _, chosen, _, _ = tf.while_loop(lambda rank, *_: rank < k, pick, start)
    return tf.transpose(chosen.stack())
