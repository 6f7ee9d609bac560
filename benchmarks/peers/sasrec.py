"""SASRec (Kang & McAuley 2018, "Self-attentive sequential recommendation") in PyTorch, with full cross-entropy.

Learned positions; blocks of causal attention and a ReLU layer, normalised before each (pre-norm) and after the last.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from peers.data import Data
from peers.lists import Scorer
from peers.sequences import train_network


class SASRec(nn.Module):
    """Items → embeddings with positions → blocks → states."""

    def __init__(self, num_items: int, length: int, dim: int, blocks: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.items = nn.Embedding(num_items + 1, dim, padding_idx=num_items)
        self.positions = nn.Embedding(length, dim)
        self.dropout = nn.Dropout(dropout)
        block = nn.TransformerEncoderLayer(dim, heads, dim, dropout, "relu", batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(block, blocks, nn.LayerNorm(dim), enable_nested_tensor=False)
        for table in (self.items, self.positions):
            nn.init.normal_(table.weight, 0, 0.02)

    def forward(self, sequences: torch.Tensor) -> torch.Tensor:
        """States [B, L, d]; what fills up stands on the right, where no earlier state reads it."""
        length = sequences.shape[1]
        inputs = self.items(sequences) * self.items.embedding_dim**0.5 + self.positions.weight[:length]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        states: torch.Tensor = self.blocks(self.dropout(inputs), mask=mask, is_causal=True)
        return states


def train(data: Data, setting: Mapping[str, Any], seed: int, threads: int) -> Iterator[Scorer]:
    """`dim`, `blocks`, `heads`, `dropout`, and what `train_network` takes."""
    torch.manual_seed(seed)
    shape = (setting[name] for name in ("length", "dim", "blocks", "heads", "dropout"))
    return train_network(SASRec(data.num_items, *shape), data, setting, np.random.default_rng(seed), threads)
