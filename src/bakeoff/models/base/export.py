"""The SavedModel `models/<name>/saved_model`, and what a server reads next to it."""

import json
import shutil
from pathlib import Path

from bakeoff.models.base import specs
from bakeoff.models.base.encoder import Encoder
from bakeoff.models.base.list_options import kinds_of_items
from bakeoff.models.base.loading import EXTRAS
from bakeoff.models.base.serving_module import SIGNATURES, Catalogue, ServingModule
from bakeoff.models.base.storage import (
    CATALOGUE,
    MODEL,
    load_trained,
    read_encoding,
    read_filterable,
    read_known_users,
    read_titles,
)
from bakeoff.models.base.tensorflow import tf


def export_trained(trained: Path, into: Path) -> None:
    """Write the SavedModel of a trained model, with the items, features and users that a server reads.

    The latter lie in `assets.extra`, which the format reserves for files that TensorFlow does not read.

    Args:
        trained: directory of a model that `write_model` wrote.
        into: an existing, empty directory.

    Raises:
        BakeoffError: there is no trained model, or a file of it is damaged.
    """
    retriever = load_trained(trained)
    name = json.loads((trained / MODEL).read_text(encoding="utf-8"))["model"]
    users = read_known_users(trained)
    items = read_titles(trained)["item_id"].astype(str).tolist()
    encoder: Encoder = specs.resolve(specs.spec(name).graph)(retriever)
    encoding = read_encoding(trained)
    found = kinds_of_items(read_filterable(trained, encoding.item), encoding.item)
    kinds = None if found is None else found.toarray() > 0
    export(ServingModule(encoder, Catalogue(items, list(users.rows), users.queries, encoding, kinds)), str(into))
    extras = into / EXTRAS
    extras.mkdir()
    for file in CATALOGUE:
        shutil.copyfile(trained / file, extras / file)


def export(module: ServingModule, path: str) -> None:
    """Write the SavedModel into a directory that is empty or does not exist yet.

    The file fingerprint.pb is dropped: it differs from
    run to run, and DVC already has a hash of every file.
    """
    tf.saved_model.save(module, path, signatures={name: getattr(module, name) for name in SIGNATURES})
    tf.io.gfile.remove(f"{path}/fingerprint.pb")
