"""Item embeddings: a vector per id, plus what the item's features say."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.data.features.encoding import EncodedFeatures
from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.division import Division
from bakeoff.models.neural.item_inputs import ItemInputs
from bakeoff.models.neural.params import SoftmaxParams, TwoTowerParams
from bakeoff.models.neural.part_step import number_and_part

ROWS_PER_DRAW = 1 << 18
"""Random embeddings that are made at once: 64 MiB of 64 dimensions."""


class ItemTower(tf.keras.layers.Layer):
    """Maps item indices to item embeddings: E_j + f(x_j · B), of length 1 where the settings normalise.

    E_j is the vector of the id, x_j the item's inputs (`ItemInputs`) and B their embeddings. f is the identity in the
    softmax DNN; in the two-tower model it adds a ReLU network, f(z) = z + network(z), and E_j is dropped at random
    in training, so that the features alone can stand for an item. Nothing scales the rest up for it: an item without
    a train event has no E_j, which is just what training without it looks like (Volkovs et al. 2017, DropoutNet).
    Words are dropped as well: the few that a title has tell items apart like an id, and are learned as one.
    """

    def __init__(
        self,
        params: SoftmaxParams,
        features: EncodedFeatures | None,
        is_trained: NDArray[np.bool_],
        seed: int = 0,
        division: Division | None = None,
    ) -> None:
        """Take the catalogue.

        Args:
            params: settings; those of the two-tower model make the item side one.
            features: features of all n items; None: embeddings by id alone.
            is_trained: [n], items with an event to learn from. The id of any other says nothing: its vector is 0, and
                so is that of a tag or word that only they have.
            seed: of the dropout.
            division: of the vectors by id among workers; None: this process has all of them.
        """
        super().__init__(name="item_tower")
        self._params = params
        self._is_trained = is_trained
        self._seed = seed
        self._inputs = None if features is None else ItemInputs(features, is_trained)
        two_tower = params if isinstance(params, TwoTowerParams) and self._inputs is not None else None
        self._use_id = two_tower is None or two_tower.use_item_id
        self.division = division if self._use_id else None
        self._id_dropout = 0.0 if two_tower is None else two_tower.item_id_dropout
        self._text_dropout = 0.0 if two_tower is None else two_tower.item_text_dropout
        self._hidden = [
            tf.keras.layers.Dense(width, "relu", kernel_initializer="he_normal", name=f"item_hidden_{depth}")
            for depth, width in enumerate(() if two_tower is None else two_tower.item_hidden)
        ]
        # The network starts small beside the sum of the features' embeddings, as on the query side. It has no bias:
        # an item of which nothing is left would learn one at the slope of a normalisation at 0.
        start = tf.keras.initializers.VarianceScaling(0.01)
        self._output = tf.keras.layers.Dense(params.dim, use_bias=False, kernel_initializer=start, name="item_output")

    def build(self, input_shape: Any) -> None:
        """Create the weights that are not layers of their own."""
        dim = self._params.dim
        deviation = dim**-0.5
        if self._use_id:
            self.id_embeddings = self._embeddings("id_embeddings", self._is_trained * deviation, self.division)
        if self._inputs is not None:
            # A third of the id's scale: features tilt an embedding, they do not drown it. Most words are rare: what
            # they start with stays with them.
            deviations = self._inputs.is_trained * np.where(self._inputs.is_word, deviation / 100, deviation / 3)
            self.feature_embeddings = self._embeddings("feature_embeddings", deviations)
        super().build(input_shape)

    def call(self, item_ids: Any, drop_at: Any | None = None, id_vectors: Any | None = None) -> Any:
        """Item embeddings.

        Args:
            item_ids: item indices int32 [M], which must be distinct in training.
            drop_at: number of the training step, or a `PartStep`, which decides on whose ids and words are dropped;
                None: none.
            id_vectors: float32 [M, d], the vectors of their ids where those are divided among workers.

        Returns:
            float32 [M, d].
        """
        keeps_ids, keeps_words = self._draw_kept(tf.shape(item_ids)[0], drop_at)
        parts = []
        if self._use_id:
            ids = tf.gather(self.id_embeddings, item_ids) if id_vectors is None else id_vectors
            parts.append(ids if keeps_ids is None else ids * tf.cast(keeps_ids, tf.float32)[:, tf.newaxis])
        if self._inputs is not None:
            parts.append(self._transformed(self._inputs.embed(item_ids, self.feature_embeddings, keeps_words)))
        embeddings = tf.add_n(parts)
        return tf.math.l2_normalize(embeddings, axis=-1) if self._params.normalize else embeddings

    def renormalize(self) -> None:
        """Bring the vectors of all ids back to length 1: Adam's steps keep their size while cosines forget lengths."""
        if self._use_id:
            self.id_embeddings.assign(tf.math.l2_normalize(self.id_embeddings, axis=-1))

    def _embeddings(self, name: str, deviations: NDArray[np.float64], division: Division | None = None) -> Any:
        """A table of random embeddings, a row for each of these standard deviations; a worker's own rows of it."""
        num_rows, dim = len(deviations), self._params.dim
        num_own = num_rows if division is None else division.num_own
        table = self.add_weight(name=name, shape=(num_own, dim), initializer="zeros")
        filled = 0
        for start in range(0, num_rows, ROWS_PER_DRAW):
            scales = deviations[start : start + ROWS_PER_DRAW, np.newaxis].astype(np.float32)
            # Every worker draws what one process does, and takes its own.
            drawn = tf.keras.initializers.RandomNormal(stddev=1.0)((len(scales), dim)) * scales
            if division is not None:
                drawn = drawn[division.own_from(start)]
            table[filled : filled + len(drawn)].assign(drawn)
            filled += len(drawn)
        return table

    def _transformed(self, sums: Any) -> Any:
        """The map f, of the sums [M, d] of what the features say."""
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
        number, part = number_and_part(drop_at)
        seed = tf.stack([self._seed, -1 - tf.cast(number, tf.int32)])
        draws = tf.random.stateless_uniform([2, num_items if part is None else part.total], seed, alg="philox")
        if part is not None:
            draws = tf.gather(draws, part.places, axis=1)
        return draws[0] >= self._id_dropout, draws[1] >= self._text_dropout
