"""Features of people as an exported model takes them."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.data.features.encoding import TableEncoding


def raw_features(encoding: TableEncoding, users: pd.DataFrame) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Raw values in the order in which a model takes them: dense [n, D], NaN where unknown, and text [n, K], "".

    A column that the current data no longer have is unknown for everyone.
    """
    nothing = np.zeros((len(users), 0))
    there = users.reindex(columns=[*encoding.dense, *encoding.categorical])
    dense = [pd.to_numeric(there[name], errors="coerce").to_numpy(np.float32) for name in encoding.dense]
    text = [there[name].astype("str").where(there[name].notna(), "").to_numpy(np.str_) for name in encoding.categorical]
    return (
        np.stack(dense, axis=1) if dense else nothing.astype(np.float32),
        np.stack(text, axis=1) if text else nothing.astype(np.str_),
    )
