"""Item-kNN: an item's embedding is its row of cosines with all items, a query's is the multi-hot history."""

import numpy as np

from bakeoff.models.base.retriever import Fitted


class ItemKNN:
    fallback = None

    def __init__(self, cosines):
        self.item_embeddings = cosines

    def embed_queries(self, queries):
        embeddings = np.zeros((len(queries), len(self.item_embeddings)), np.float32)
        embeddings[queries.histories.rows, queries.histories.items] = 1
        return embeddings

    def uses_fallback(self, queries):
        return np.zeros(len(queries), np.bool_)

    def arrays(self):
        return {"cosines": self.item_embeddings}


def load(stored):
    return ItemKNN(stored.arrays["cosines"])


def fit(prepared, queries, section, seed):
    has = ItemKNN(np.zeros((prepared.num_items, 1), np.float32)).embed_queries(queries)
    together = has.T @ has
    norms = np.sqrt(np.diag(together))
    cosines = together / (np.outer(norms, norms) + section.shrinkage)
    np.fill_diagonal(cosines, 0)
    summary = f"{prepared.num_items} × {prepared.num_items} cosines"
    return Fitted(ItemKNN(cosines.astype(np.float32)), cosines.size, summary, section.model_dump(mode="json"))
