"""gSASRec in PyTorch: the network of SASRec, trained with many sampled negatives by generalised binary cross-entropy.

Petrov & Macdonald 2023, "gSASRec: reducing overconfidence in sequential recommendation trained with negative sampling".
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from peers.data import Data
from peers.lists import Scorer
from peers.sasrec import SASRec
from peers.sequences import Loss, train_network


def generalised_bce(num_negatives: int, calibration: float) -> Loss:
    """Mean of −(β log σ(s⁺) + Σ log(1 − σ(s⁻))) / (k + 1), with k negatives drawn uniformly for each event.

    The paper's gBCE: β = α (t (1 − 1/α) + 1/α), where α is the share of the other items that is sampled. With t = 0 it
    is binary cross-entropy, and with t = 1 the probabilities σ(s) are calibrated. Negatives are taken out of the scores
    of all items, which for some thousand items is quicker than to gather the embeddings of 256 per event.

    Args:
        num_negatives: k.
        calibration: t.
    """

    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        num_items = logits.shape[1]
        share = num_negatives / (num_items - 1)
        beta = share * (calibration * (1 - 1 / share) + 1 / share)
        negatives = logits.gather(1, torch.randint(num_items, (len(logits), num_negatives)))
        positives = logits.gather(1, targets[:, None]).squeeze(1)
        total = beta * functional.softplus(-positives) + functional.softplus(negatives).sum(1)
        return total.mean() / (num_negatives + 1)

    return loss


def train(data: Data, setting: Mapping[str, Any], seed: int, threads: int) -> Iterator[Scorer]:
    """As SASRec, and `num_negatives` for each event and their `calibration`, from 0 to 1."""
    torch.manual_seed(seed)
    shape = (setting[name] for name in ("length", "dim", "blocks", "heads", "dropout"))
    network, rng = SASRec(data.num_items, *shape), np.random.default_rng(seed)
    loss = generalised_bce(setting["num_negatives"], setting["calibration"])
    return train_network(network, data, setting, rng, threads, loss)
