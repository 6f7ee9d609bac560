"""What `bakeoff split` adds to events and vocabularies that a test wrote: indices, and features as numbers."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bakeoff.data.features.encoding import FeatureEncoding


def complete(workspace):
    """Index the events by the vocabularies, and encode their features as features.json says."""
    vocabulary = workspace.vocabulary
    tables = {name: pd.read_parquet(vocabulary / f"{name}s.parquet") for name in ("user", "item")}
    encoding = FeatureEncoding.model_validate_json((vocabulary / "features.json").read_bytes())
    for name, table in tables.items():
        features = getattr(encoding, name).encode_columns(table)
        places = pa.array(np.arange(len(table), dtype=np.int32))
        pq.write_table(pa.table({f"{name}_index": places, **features}), vocabulary / f"{name}_features.parquet")
    for path in workspace.split.glob("*.parquet"):
        index(path, *(table[f"{name}_id"] for name, table in tables.items()))


def index(path, user_ids, item_ids):
    """Add the columns user_index and item_index to a file of events; −1 where an id is not there."""
    events = pd.read_parquet(path)
    for name, ids in (("user", user_ids), ("item", item_ids)):
        events[f"{name}_index"] = pd.Index(ids).get_indexer(events[f"{name}_id"]).astype(np.int32)
    events.to_parquet(path, index=False)
