"""The users of a model that was exported without users.parquet, read from its graph."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import Histories, Queries
from bakeoff.models.base.storage import KnownUsers


def known_users_of_graph(module: Any, num_items: int) -> KnownUsers:
    """Take the users out of a loaded ServingModule, as versions that were promoted up to Bakeoff 0.1 need it.

    A SavedModel keeps its variables and tables by name, and the constants of a function as what the function captured:
    offsets of the histories are the only vector of int64 there, encoded features the only matrices.

    Args:
        module: as `load_serving` gives it.
        num_items: size of the catalogue.

    Raises:
        BakeoffError: the module is of another make.
    """
    from bakeoff.models.base.tensorflow import tf

    keys, values = tf.raw_ops.LookupTableExportV2(
        table_handle=module._users.resource_handle, Tkeys=tf.string, Tvalues=tf.int32
    )
    # The table holds one key more: "", which is nobody's.
    rows = {key.decode(): int(row) for key, row in zip(keys.numpy(), values.numpy(), strict=True) if row >= 0}
    captured = module.recommend_for_users.concrete_functions[0].captured_inputs
    offsets = _only(captured, tf.int64, 1)[:-1]  # the last row is that of a stranger
    items, times = (np.asarray(each) for each in (module._history_items, module._history_times))
    dense, categorical = _only(captured, tf.float32, 2)[:-1], _only(captured, tf.int32, 2)[:-1]
    histories = Histories(offsets, items, times)
    fits = len(rows) == len(histories) == len(dense) == len(categorical) and offsets[-1] == len(items) == len(times)
    if not fits or (len(items) and not 0 <= items.min() <= items.max() < num_items):
        raise BakeoffError("The users in the SavedModel don't fit each other: train the model again.")
    return KnownUsers(rows, Queries(histories, dense, categorical))


def _only(captured: Any, dtype: Any, rank: int) -> NDArray[Any]:
    """The one constant of this type and rank among what a function captured."""
    found = [each for each in captured if each.dtype == dtype and each.shape.rank == rank]
    if len(found) != 1:
        raise BakeoffError(
            f"The SavedModel holds {len(found)} constants of type {dtype.name} and rank {rank} where one was expected: "
            "it was exported by another version of Bakeoff. Train the model again."
        )
    return np.asarray(found[0])
