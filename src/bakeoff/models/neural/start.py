"""Warm start of the networks: the row of each item, value and word in an earlier model's weights."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories
from bakeoff.data.features.encoding import TableEncoding
from bakeoff.data.prepared.tables import Prepared
from bakeoff.models.base.start import FIT_IN_FULL, Start, StartError, from_neighbours, rows_of
from bakeoff.models.neural.query_tower import USER_ID

ITEM_IDS, INPUTS = "item_tower/id_embeddings:0", "item_tower/feature_embeddings:0"
WARM_RATE = 0.02
"""Peak learning rate after a warm start, as a share of that of a full fit. A few epochs at a high rate undo more than
they can anneal: on the first night of benchmarks/warm_start.py NDCG@10 on validation was 0.2489 at a tenth and 0.2499
at a fiftieth, with 0.2502 of a full fit; on the second, a chain at the full rate had fallen to 0.2472."""

OWN_VECTORS, FEATURE = "query_tower/user_embeddings:0", "query_tower/feature_{}/embeddings:0"


def started_weights(
    initial: Mapping[str, NDArray[np.float32]], start: Start, prepared: Prepared, histories: Histories
) -> dict[str, NDArray[np.float32]]:
    """Weights of a new training, by name.

    Rows of items are found by id, rows of categorical values, tags and words by feature and value, and all else is
    taken as it is, the scale of the activity measures with it. A new item starts at the mean of its neighbours
    (`from_neighbours`), a new value where a full fit would have started. An item without an event to learn from has 0.

    Args:
        initial: as a full fit would start.
        start: weights to start from.
        prepared: of the new training.
        histories: that it learns from.

    Raises:
        StartError: the user features or a shape are others.
    """
    theirs, ours = start.encoding.user, prepared.encoding.user
    named = [(list(each.dense), list(each.categorical), list(each.vector.items())) for each in (theirs, ours)]
    if named[0] != named[1]:
        raise StartError(
            f"The model to start from has the user features {', '.join(theirs.names) or 'none'}, and the data have "
            f"{', '.join(ours.names) or 'none'}. {FIT_IN_FULL}"
        )
    rows = {ITEM_IDS: start.item_rows(prepared.item_ids)}
    rows[INPUTS] = rows_of(input_labels(start.encoding.item), input_labels(prepared.encoding.item))
    for place, name in enumerate(ours.categorical):
        values = rows_of(theirs.categorical[name], ours.categorical[name])
        # Row 0 is of the unknown value.
        table = OWN_VECTORS if name == USER_ID else FEATURE.format(place)
        rows[table] = np.concatenate([[0], np.where(values >= 0, values + 1, -1)])
    found = {
        name: start.take(name, rows[name], weight) if name in rows else start.same(name, weight)
        for name, weight in initial.items()
    }
    if ITEM_IDS in found:
        is_trained = histories.item_counts(prepared.num_items) > 0
        is_known = (rows[ITEM_IDS] >= 0) & is_trained
        is_known[is_known] = start.array(ITEM_IDS)[rows[ITEM_IDS][is_known]].any(axis=1)
        from_neighbours(found[ITEM_IDS], is_known, histories)
        found[ITEM_IDS][~is_trained] = 0
    return found


def input_labels(encoding: TableEncoding) -> list[str]:
    """What each row of the feature embeddings is of, in the order of `ItemInputs`."""
    labels = [f"{name}{power}" for power in ("", "²") for name in encoding.dense]
    labels += [f"{name}[{place}]" for name, size in encoding.vector.items() for place in range(size)]
    for sets in (encoding.categorical, encoding.tags, encoding.text):
        labels += [f"{name}={value}" for name, values in sets.items() for value in values]
    return labels
