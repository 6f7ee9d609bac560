"""The SavedModel `models/<name>/saved_model`, and what a server reads next to it."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Queries
from bakeoff.models.base import specs
from bakeoff.models.base.encoder import Encoder
from bakeoff.models.base.list_options import CatalogueFeatures
from bakeoff.models.base.loading import EXTRAS
from bakeoff.models.base.serving_module import SIGNATURES, ServingModule
from bakeoff.models.base.storage import CATALOGUE, load_trained, read_items, read_known_users, read_stored
from bakeoff.models.base.tensorflow import tf

LARGEST = 1 << 24
"""Precomputed users at most: a query gives its row as a feature, and float32 holds the integers up to here."""


class PrecomputedUsers(tf.Module):
    """An encoder that looks up the stored embedding of a known user by the row that is the query's only feature."""

    def __init__(self, query_embeddings: NDArray[np.float32], item_embeddings: NDArray[np.float32]) -> None:
        """Hold embeddings of users [n, d], n ≤ LARGEST, and of items [num_items, d]."""
        super().__init__(name="stored")
        self._vectors = tf.Variable(query_embeddings, trainable=False, name="query_embeddings")
        self.item_embeddings = tf.Variable(item_embeddings, trainable=False, name="item_embeddings")

    def embed_queries(self, history: Any, timestamps: Any, dense: Any, categorical: Any) -> Any:
        """Float32 [B, d] of the rows in `dense`, [B, 1]; nothing else is read."""
        # A sum, since SavedModels are traced for raw features too, and these queries have none.
        return tf.gather(self._vectors, tf.cast(tf.reduce_sum(dense, axis=1), tf.int32))

    def uses_fallback(self, history: Any) -> Any:
        """Unknown, so False, bool [B]: stored embeddings include those of the model's fallback."""
        return tf.zeros(tf.shape(history)[:1], tf.bool)


def rows_as_features(queries: Queries) -> Queries:
    """The same histories, with each query's row in place of its features."""
    rows = np.arange(len(queries), dtype=np.float32)[:, np.newaxis]
    return Queries(queries.histories, rows, np.zeros((len(queries), 0), np.int32))


def export_trained(trained: Path, into: Path) -> None:
    """Write the SavedModel of a trained model, with the items, features and users that a server reads.

    The latter lie in `assets.extra`, which the format reserves for files that TensorFlow does not read.

    Args:
        trained: directory of a model that `write_model` wrote.
        into: an existing, empty directory.

    Raises:
        BakeoffError: there is no trained model, or a file of it is damaged.
    """
    retriever, users, items = load_trained(trained), read_known_users(trained), read_items(trained)
    name, stored = read_stored(trained)
    encoder: Encoder = specs.resolve(specs.spec(name).graph)(retriever)
    ids, features = items["item_id"].astype(str).tolist(), CatalogueFeatures.of(items, stored.encoding.item)
    export(ServingModule(encoder, ids, users, stored.encoding.user, features), str(into))
    extras = into / EXTRAS
    extras.mkdir()
    for file in CATALOGUE:
        shutil.copyfile(trained / file, extras / file)


def export(module: ServingModule, path: str) -> None:
    """Write the SavedModel into a directory that is empty or does not exist yet.

    The file fingerprint.pb is dropped: it differs from run to run, and DVC already has a hash of every file.
    """
    tf.saved_model.save(module, path, signatures={name: getattr(module, name) for name in SIGNATURES})
    tf.io.gfile.remove(f"{path}/fingerprint.pb")
