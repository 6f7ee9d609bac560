"""Query embeddings; those of known users are remembered, since what a model knows of them never changes."""

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Queries
from bakeoff.models.base.retriever import Retriever
from bakeoff.ops.server.questions import EncodedQuery, joined

REMEMBERED_BYTES = 1 << 29
"""Embeddings beyond which none are remembered: those of 10⁶ users with 128 dimensions are just within."""

_BLOCK = 1024


class Embedder:
    """Embeds blocks of questions. For one thread at a time."""

    def __init__(self, retriever: Retriever, dim: int, num_users: int) -> None:
        """Embed by this retriever; memory is taken as users become known."""
        self._retriever, self._dim = retriever, dim
        remembered = num_users if 4 * dim * num_users <= REMEMBERED_BYTES else 0
        self._embeddings = np.empty((remembered, dim), np.float32)
        self._known = np.zeros(remembered, np.bool_)

    def remember(self, users: Queries, seconds: float) -> None:
        """Embed as many of the known users as there is time for: nobody then waits for what could be had beforehand."""
        end = time.monotonic() + seconds
        for part, block in users.blocks(_BLOCK):
            if part.stop > len(self._known) or time.monotonic() > end:
                return
            self._embeddings[part], self._known[part] = self._retriever.embed_queries(block), True

    def embed(self, questions: Sequence[EncodedQuery]) -> NDArray[np.float32]:
        """[len(questions), dim] of at least one question."""
        users = np.array([-1 if question.user is None else question.user for question in questions])
        remembered = (users >= 0) & (users < len(self._known))
        known = remembered.copy()
        known[remembered] = self._known[users[remembered]]
        embedded = np.empty((len(questions), self._dim), np.float32)
        embedded[known] = self._embeddings[users[known]]
        asked = np.flatnonzero(~known)
        if len(asked):
            embedded[asked] = self._retriever.embed_queries(joined([questions[row] for row in asked.tolist()]))
            new = asked[remembered[asked]]
            self._embeddings[users[new]] = embedded[new]
            self._known[users[new]] = True
        return embedded
