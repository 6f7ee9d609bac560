"""Features fitted on data frames, by way of the embedded engine."""

import ibis
import pandas as pd
import pyarrow as pa

from bakeoff.data.features import feature_encoder as fitting
from bakeoff.data.features.encoding import FeatureEncoding


def fit_features(users: pd.DataFrame, items: pd.DataFrame, user_features: dict, item_features: dict) -> FeatureEncoding:
    """As `fitting.fit_features`; a column of nothing is one of text."""
    tables = (ibis.memtable(_typed(users, user_features)), ibis.memtable(_typed(items, item_features)))
    return fitting.fit_features(*tables, user_features, item_features, lambda table: iter([table.to_pyarrow()]))


def _typed(frame: pd.DataFrame, features: dict) -> pa.Table:
    kinds = {name: features.get(name) for name in frame.columns}
    types = {None: None, "dense": pa.float64()}
    columns = {
        name: pa.array(frame[name], types.get(kind, pa.string()), from_pandas=True) for name, kind in kinds.items()
    }
    return pa.table(columns)
