"""Mult-VAE (Liang et al. 2018, "Variational autoencoders for collaborative filtering") in PyTorch.

Multinomial likelihood; one tanh layer on either side of the code; input of length 1 under dropout; KL weighted by β,
which grows from 0 to `beta` over `anneal_steps` steps; Adam.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from peers.data import Data
from peers.lists import Scorer


class MultVAE(nn.Module):
    """Encoder items → hidden → (μ, log σ²) of the code; decoder code → hidden → logits of the items."""

    def __init__(self, num_items: int, hidden: int, code: int, dropout: float) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(num_items, hidden), nn.Tanh(), nn.Linear(hidden, 2 * code))
        self.decoder = nn.Sequential(nn.Linear(code, hidden), nn.Tanh(), nn.Linear(hidden, num_items))
        self.dropout = nn.Dropout(dropout)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_normal_(layer.weight)
                nn.init.normal_(layer.bias, 0, 0.001)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits [B, num_items] and the KL divergence from N(0, I), a mean over the batch."""
        mean, log_variance = self.encoder(self.dropout(functional.normalize(x))).chunk(2, dim=1)
        kl = 0.5 * (log_variance.exp() + mean**2 - 1 - log_variance).sum(1).mean()
        code = mean + torch.randn_like(mean) * (0.5 * log_variance).exp() if self.training else mean
        return self.decoder(code), kl


def train(data: Data, setting: Mapping[str, Any], seed: int, threads: int) -> Iterator[Scorer]:
    """`hidden`, `code`, `dropout`, `beta`, `anneal_steps`, `learning_rate`, `users_per_batch`, `epochs`."""
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    rng = np.random.default_rng(seed)
    pairs = data.matrix()
    users = np.flatnonzero(np.diff(data.offsets))
    model = MultVAE(data.num_items, setting["hidden"], setting["code"], setting["dropout"])
    optimizer = torch.optim.Adam(model.parameters(), lr=setting["learning_rate"])
    step = 0
    for _ in range(setting["epochs"]):
        model.train()
        order = rng.permutation(users)
        for start in range(0, len(order), setting["users_per_batch"]):
            x = torch.from_numpy(pairs[order[start : start + setting["users_per_batch"]]].toarray())
            logits, kl = model(x)
            likelihood = (functional.log_softmax(logits, dim=1) * x).sum(1).mean()
            loss = min(setting["beta"], step / setting["anneal_steps"]) * kl - likelihood
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
        yield _scorer(model, pairs)


def _scorer(model: MultVAE, pairs: Any) -> Scorer:
    def scores(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        model.eval()
        with torch.no_grad():
            return np.asarray(model(torch.from_numpy(pairs[rows].toarray()))[0])

    return scores
