"""How every contender is trained: epochs in one process (`epochs`), or in several (`team`, `leading`)."""

from bakeoff.models.training.epochs import (
    AfterEpoch,
    Progress,
    Row,
    Selection,
    Trainer,
    best_epoch,
    choose_epoch,
    count_weights,
    keep_best,
    refit,
    seed_everything,
    silent,
)

__all__ = [
    "AfterEpoch",
    "Progress",
    "Row",
    "Selection",
    "Trainer",
    "best_epoch",
    "choose_epoch",
    "count_weights",
    "keep_best",
    "refit",
    "seed_everything",
    "silent",
]
