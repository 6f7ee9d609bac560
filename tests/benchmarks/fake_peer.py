"""A peer that does as it is told: `orders` are the rankings that it gives to everybody, one for each epoch."""

import numpy as np


def train(data, setting, seed, threads):
    if "raise" in setting:
        raise RuntimeError(setting["raise"])
    for order in setting["orders"]:
        scores = np.zeros(data.num_items, np.float32)
        scores[order] = np.arange(len(order), 0, -1)
        if setting.get("nan"):
            scores[:] = np.nan
        yield lambda rows, scores=scores: np.broadcast_to(scores, (len(rows), data.num_items))
