"""Item embeddings: a vector per id, plus the embeddings of the item's features."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.data.features.encoding import EncodedFeatures, TableEncoding
from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.new_items import PREFIX, numbers_of_items, values_of_items
from bakeoff.models.neural.pooling import pool
from bakeoff.models.neural.spec import SoftmaxParams, TwoTowerParams

ROWS_PER_DRAW = 1 << 18
"""Random embeddings that are made at once: 64 MiB of 64 dimensions."""

SHRINKAGE = 10
"""A word of n trained items weighs n / (n + SHRINKAGE): the embedding of a word that few items
have describes these items rather than the word."""


class ItemTower(tf.keras.layers.Layer):
    """Maps item indices to item embeddings: E_j + f(x_j · B), of length 1 where the settings normalise.

    E_j is the vector of the id, x_j the item's inputs (`ItemInputs`) and B their embeddings. f is the identity in the
    softmax DNN; in the two-tower model it adds a ReLU network, f(z) = z + network(z), and E_j is dropped at random
    in training, so that the features alone can stand for an item. Nothing scales the rest up for it: an item without
    a train event has no E_j, which is just what training without it looks like (Volkovs et al. 2017, DropoutNet).
    Words are dropped as well: the few that a title has tell items apart like an id, and are learned as one.
    """

    def __init__(
        self, params: SoftmaxParams, features: EncodedFeatures | None, is_trained: NDArray[np.bool_], seed: int = 0
    ) -> None:
        """Take the catalogue.

        Args:
            params: settings; those of the two-tower model make the item side one.
            features: features of all n items; None: embeddings by id alone.
            is_trained: [n], items with an event to learn from. The id of any other says nothing: its vector begins at
                0, and so does that of a tag or word that only they have; negatives drawn from the whole catalogue
                move it.
            seed: of the dropout.
        """
        super().__init__(name="item_tower")
        self._params = params
        self._is_trained = is_trained
        self._seed = seed
        self._inputs = None if features is None else ItemInputs(features, is_trained)
        two_tower = params if isinstance(params, TwoTowerParams) and self._inputs is not None else None
        self._use_id = two_tower is None or two_tower.use_item_id
        self._id_dropout = 0.0 if two_tower is None else two_tower.item_id_dropout
        self._text_dropout = 0.0 if two_tower is None else two_tower.item_text_dropout
        self._hidden = [
            tf.keras.layers.Dense(width, "relu", kernel_initializer="he_normal", name=f"item_hidden_{depth}")
            for depth, width in enumerate(() if two_tower is None else two_tower.item_hidden)
        ]
        # The network starts small compared with the sum of the features' embeddings, as on the query side. It has no
        # bias: an item without any input left would learn one at the slope of a normalisation at 0.
        start = tf.keras.initializers.VarianceScaling(0.01)
        self._output = tf.keras.layers.Dense(params.dim, use_bias=False, kernel_initializer=start, name="item_output")

    def build(self, input_shape: Any) -> None:
        """Create the weights that are not layers of their own."""
        dim = self._params.dim
        deviation = dim**-0.5
        if self._use_id:
            self.id_embeddings = self._embeddings("id_embeddings", self._is_trained * deviation)
        if self._inputs is not None:
            # A third of the id's scale: features tilt an embedding, they do not drown it. Most words are rare: what
            # they start with stays with them.
            deviations = self._inputs.is_trained * np.where(self._inputs.is_word, deviation / 100, deviation / 3)
            self.feature_embeddings = self._embeddings("feature_embeddings", deviations)
        super().build(input_shape)

    def call(self, item_ids: Any, drop_at: Any | None = None) -> Any:
        """Item embeddings.

        Args:
            item_ids: item indices int32 [M], which must be distinct in training.
            drop_at: number of the training step, which decides on whose ids and words are dropped; None: none.

        Returns:
            float32 [M, d].
        """
        keeps_ids, keeps_words = self._draw_kept(tf.shape(item_ids)[0], drop_at)
        parts = []
        if self._use_id:
            ids = tf.gather(self.id_embeddings, item_ids)
            parts.append(ids if keeps_ids is None else ids * tf.cast(keeps_ids, tf.float32)[:, tf.newaxis])
        if self._inputs is not None:
            parts.append(self._transformed(self._inputs.embed(item_ids, self.feature_embeddings, keeps_words)))
        embeddings = tf.add_n(parts)
        return tf.math.l2_normalize(embeddings, axis=-1) if self._params.normalize else embeddings

    def feature_weights(self) -> dict[str, NDArray[np.float32]]:
        """All that embeds an item without an id: B times the trust in each input, then the network, by stored name.

        Empty where there is no network: the features then tilt what an id says, and say little without it.
        """
        if self._inputs is None or not self._hidden:
            return {}
        network = [weight.numpy() for layer in (*self._hidden, self._output) for weight in layer.weights]
        weights = [self.feature_embeddings.numpy() * self._inputs.trust[:, np.newaxis], *network]
        return {f"{PREFIX}{place:02}": each for place, each in enumerate(weights)}

    def _embeddings(self, name: str, deviations: NDArray[np.float64]) -> Any:
        """A table of random embeddings, one row per standard deviation."""
        num_rows, dim = len(deviations), self._params.dim
        table = self.add_weight(name=name, shape=(num_rows, dim), initializer="zeros")
        [local] = tf.distribute.get_strategy().experimental_local_results(table)  # itself, but for several workers
        for start in range(0, num_rows, ROWS_PER_DRAW):
            scales = deviations[start : start + ROWS_PER_DRAW, np.newaxis].astype(np.float32)
            drawn = tf.keras.initializers.RandomNormal(stddev=1.0)((len(scales), dim)) * scales
            local[start : start + len(scales)].assign(drawn)
        return table

    def _transformed(self, sums: Any) -> Any:
        """The map f, of the sums [M, d] of the features' embeddings."""
        if not self._hidden:
            return sums
        hidden = sums
        for layer in self._hidden:
            hidden = layer(hidden)
        return sums + self._output(hidden)

    def _draw_kept(self, num_items: Any, drop_at: Any | None) -> tuple[Any | None, Any | None]:
        """Bool [M] whether each item keeps its id, and its words; None where all do."""
        if drop_at is None or not (self._id_dropout or self._text_dropout):
            return None, None
        # Not the step itself: the query tower's dropout draws with that.
        seed = tf.stack([self._seed, -1 - tf.cast(drop_at, tf.int32)])
        draws = tf.random.stateless_uniform([2, num_items], seed, alg="philox")
        return draws[0] >= self._id_dropout, draws[1] >= self._text_dropout


class ItemInputs:
    """Inputs x_j of each item j: dense features, their squares, then values one by one.

    The squares can express a preference for the middle (films of one decade). A vector comes with length 1 and without
    squares: its rows of B are a linear projection without bias, and an unknown one, all 0, adds nothing. A categorical
    feature is one-hot; tags and words are multi-hot, divided by their number, and the rarer a word, the less it weighs.
    Dense inputs are a matrix; the others, nearly all of them 0, are sparse rows.
    """

    def __init__(self, features: EncodedFeatures, is_trained: NDArray[np.bool_]) -> None:
        """Lay out the features of all n items.

        Args:
            features: of all n items.
            is_trained: bool [n], items with an event to learn from.
        """
        values = values_of_items(features)
        inputs, size = values.indices, values.shape[1]
        num_trained = np.bincount(inputs[np.repeat(is_trained, np.diff(values.indptr))], minlength=size)
        self._first_word = size - sum(words.shape[1] for words in features.word_sets)
        trust = (num_trained / (num_trained + SHRINKAGE)).astype(np.float32)
        trust[: self._first_word] = 1
        self._dense = tf.constant(numbers_of_items(features))
        self._offsets = tf.constant(values.indptr, tf.int64)
        self._inputs = tf.constant(inputs, tf.int32)
        self._weights = tf.constant((values.data * trust[inputs])[:, np.newaxis])
        self._num_dense = int(self._dense.shape[1])
        self.trust = np.concatenate([np.ones(self._num_dense, np.float32), trust])
        """float32 [size], what the weight of each input is multiplied by."""
        self.size = self._num_dense + size
        """Number of inputs."""
        self.is_word = np.arange(self.size) >= self._num_dense + self._first_word
        """bool [size]."""
        self.is_trained = np.concatenate([np.ones(self._num_dense, np.bool_), num_trained > 0])
        """bool [size], whether an item with an event to learn from has the input. Nothing is known of any other."""

    def embed(self, item_ids: Any, input_embeddings: Any, keeps_words: Any | None = None) -> Any:
        """Σ x_j · B, the weighted sum of the embeddings of an item's inputs.

        Args:
            item_ids: integers [M].
            input_embeddings: float32 [size, d], B.
            keeps_words: bool [M], whether the words of an item count; None: those of all do.

        Returns:
            float32 [M, d].
        """
        ids = tf.cast(item_ids, tf.int64)
        entries = tf.ragged.range(tf.gather(self._offsets, ids), tf.gather(self._offsets, ids + 1))
        inputs, weights = tf.gather(self._inputs, entries.values), tf.gather(self._weights, entries.values)
        if keeps_words is not None:
            is_kept = tf.gather(keeps_words, entries.value_rowids()) | (inputs < self._first_word)
            weights *= tf.cast(is_kept, tf.float32)[:, tf.newaxis]
        embeddings = tf.convert_to_tensor(input_embeddings)
        dense, values = embeddings[: self._num_dense], embeddings[self._num_dense :]
        sums = tf.squeeze(pool(values, entries.row_splits, inputs, weights), axis=1)
        return sums + tf.matmul(tf.gather(self._dense, ids), dense)


def input_labels(encoding: TableEncoding) -> list[str]:
    """What each row of the feature embeddings is of, in the order of `ItemInputs`."""
    labels = [f"{name}{power}" for power in ("", "²") for name in encoding.dense]
    labels += [f"{name}[{place}]" for name, size in encoding.vector.items() for place in range(size)]
    for sets in (encoding.categorical, encoding.tags, encoding.text):
        labels += [f"{name}={value}" for name, values in sets.items() for value in values]
    return labels
