"""What networks over sequences share: the training loop, the loss, and scores by the last event.

A network maps items int64 [B, L], oldest first and filled up with the id `num_items`, to states [B, L, d]; the score of
an item is the state's inner product with its embedding. Each event is predicted from those before it, unless another
loss is named by cross-entropy over the whole catalogue (Klenitskiy & Vasilev 2023, "Turning dross into gold loss", who
find it better for SASRec than sampled negatives).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from peers.data import Data
from peers.lists import Scorer
from peers.windows import padded, windows

USERS_PER_BLOCK = 128

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Of the logits [m, n] of all items at m events, and the items int64 [m] that these were."""


def train_network(
    network: Any,
    data: Data,
    setting: Mapping[str, Any],
    rng: np.random.Generator,
    threads: int,
    loss_of: Loss = functional.cross_entropy,
) -> Iterator[Scorer]:
    """Train a module with `items`, an embedding table whose last row fills up, and yield a scorer after each epoch.

    The setting: `length` of a window, `learning_rate`, `windows_per_batch`, `epochs`. Adam's rate rises in epoch one.
    """
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    optimizer = torch.optim.Adam(network.parameters(), lr=setting["learning_rate"], betas=(0.9, 0.98))
    size, step = setting["windows_per_batch"], 0
    for _ in range(setting["epochs"]):
        network.train()
        drawn = windows(data, setting["length"], rng)
        steps = -(-len(drawn) // size)
        for batch in np.array_split(drawn[rng.permutation(len(drawn))], steps):
            step += 1
            optimizer.param_groups[0]["lr"] = setting["learning_rate"] * min(1.0, step / steps)
            loss = loss_of(*predictions(network, torch.from_numpy(batch), data.num_items))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        yield scorer_of(network, data, setting["length"])


def predictions(network: Any, batch: torch.Tensor, num_items: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What a loss takes, of the events of windows [B, L + 1] that have one before them."""
    states, targets = network(batch[:, :-1]), batch[:, 1:]
    known = targets != num_items
    return states[known] @ network.items.weight[:num_items].T, targets[known]


def scorer_of(network: Any, data: Data, length: int) -> Scorer:
    """Scores by the state at the last event; of the last `length` events."""

    def scores(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        network.eval()
        found = np.zeros((len(rows), data.num_items), np.float32)
        ends = data.offsets[rows + 1]
        starts = np.maximum(data.offsets[rows], ends - length)
        for first in range(0, len(rows), USERS_PER_BLOCK):
            block = slice(first, first + USERS_PER_BLOCK)
            bounds = zip(starts[block].tolist(), ends[block].tolist(), strict=True)
            sequences = padded([data.items[start:end] for start, end in bounds], length, data.num_items)
            last = torch.from_numpy(np.maximum(ends[block] - starts[block] - 1, 0))
            with torch.no_grad():
                states = network(torch.from_numpy(sequences))[torch.arange(len(last)), last]
                found[block] = (states @ network.items.weight[: data.num_items].T).numpy()
        return found

    return scores
