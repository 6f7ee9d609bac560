"""GRU4Rec (Hidasi et al. 2016, "Session-based recommendations with recurrent neural networks") in PyTorch.

One layer of gated recurrent units over a user's whole history, with cross-entropy over the catalogue in place of the
paper's ranking losses on sampled items.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from peers.data import Data
from peers.lists import Scorer
from peers.sequences import train_network


class GRU4Rec(nn.Module):
    """Items → embeddings → GRU → states."""

    def __init__(self, num_items: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.items = nn.Embedding(num_items + 1, dim, padding_idx=num_items)
        nn.init.normal_(self.items.weight, 0, 0.02)
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(dim, dim, batch_first=True)

    def forward(self, sequences: torch.Tensor) -> torch.Tensor:
        """States [B, L, d]; what fills up stands on the right, after all that is read."""
        states: torch.Tensor = self.gru(self.dropout(self.items(sequences) * self.items.embedding_dim**0.5))[0]
        return self.dropout(states)


def train(data: Data, setting: Mapping[str, Any], seed: int, threads: int) -> Iterator[Scorer]:
    """`dim`, `dropout`, and what `train_network` takes."""
    torch.manual_seed(seed)
    network = GRU4Rec(data.num_items, setting["dim"], setting["dropout"])
    return train_network(network, data, setting, np.random.default_rng(seed), threads)
