"""Time of one training step: softmax over the whole catalogue against a sampled one, on made histories.

Both are SoftmaxTrainer with 64 dimensions and ids only. The two take turns, so that whatever else the machine does
meets both; a step's time is the median over the turns.
"""

from dataclasses import dataclass

import numpy as np

from bakeoff.core.histories import Histories, Queries
from bakeoff.data.features.encoding import EncodedFeatures
from bakeoff.evaluation.stats.timing_intervals import interval_json, middle
from bakeoff.experiments.latency import take_turns
from bakeoff.models.neural.spec import NegativesParams, SoftmaxParams
from bakeoff.models.neural.trainer import SoftmaxTrainer

DIM = 64
CUTS_PER_USER = 8
HISTORY_LENGTH = 50

COPIES = 16
"""Arrays of items × DIM that both trainers hold at the worst: weights, two moments, gradient and what makes them."""

FEWEST_TURNS = 3
"""Of which the median has an interval that says something."""


@dataclass(frozen=True)
class Steps:
    """How steps are made and measured."""

    sampler: str = "in-batch"
    num_sampled: int = 512
    """Negatives of a sampler that draws them."""
    users_per_batch: int = 32
    full: int = 3
    """Full steps of one turn: few enough that they end."""
    sampled: int = 30
    """Sampled steps of one turn: enough that starting an epoch does not count."""
    turns: int = 5
    """That are measured, after a first one in which code is traced."""
    seconds: float = float("inf")
    """After which no further turn begins; FEWEST_TURNS are always measured."""

    @property
    def queries_per_step(self) -> int:
        """In both kinds of step."""
        return self.users_per_batch * CUTS_PER_USER


def measure_steps(num_items: int, steps: Steps, seed: int) -> dict[str, float]:
    """Time both kinds of step on a catalogue of this size.

    Returns:
        `full_step_seconds` and `sampled_step_seconds`, medians with the ends of their intervals (`…_low`, `…_high`),
        and `repeats`, the number of turns that were measured.
    """
    counts = {"full": steps.full, "sampled": steps.sampled}
    trainers = {kind: _trainer(kind, num_items, steps, count, seed) for kind, count in counts.items()}
    turns = {kind: [trainer.run_epoch] * (1 + steps.turns) for kind, trainer in trainers.items()}
    taken = take_turns(turns, steps.turns, steps.seconds / len(turns), warm_up=1, fewest=FEWEST_TURNS)
    found: dict[str, float] = {"repeats": len(taken["full"])}
    for kind, count in counts.items():
        found |= interval_json(f"{kind}_step_seconds", middle([epoch / count for epoch in taken[kind]]))
    return found


def needed_bytes(num_items: int, steps: Steps) -> int:
    """Memory that measuring a catalogue of this size takes at most."""
    floats = COPIES * DIM + 3 * steps.queries_per_step  # logits, their gradient and a copy
    return 4 * num_items * floats


def made_queries(num_items: int, num_users: int, seed: int) -> Queries:
    """Users with histories of distinct items, drawn so that few items are frequent and most are rare."""
    rng = np.random.default_rng(seed)
    popular_first = (num_items ** rng.random((num_users, 4 * HISTORY_LENGTH))).astype(np.int64) - 1
    rows = [np.unique(row)[:HISTORY_LENGTH] for row in popular_first]
    items = np.concatenate([rng.permutation(row) for row in rows])
    users = np.repeat(np.arange(num_users), [len(row) for row in rows])
    histories = Histories.from_rows(users, items, np.arange(len(items)) + 1, num_users)
    return Queries(histories, np.zeros((num_users, 0), np.float32), np.zeros((num_users, 0), np.int32))


def _trainer(kind: str, num_items: int, steps: Steps, count: int, seed: int) -> SoftmaxTrainer:
    """A trainer whose epoch has `count` steps."""
    sampler = "full" if kind == "full" else steps.sampler
    params = SoftmaxParams(
        dim=DIM,
        hidden=(DIM,),
        max_epochs=steps.turns + 1,
        users_per_batch=steps.users_per_batch,
        cuts_per_user=CUTS_PER_USER,
        use_user_features=False,
        use_item_features=False,
        negatives=NegativesParams.model_validate({"sampler": sampler, "num_sampled": steps.num_sampled}),
    )
    queries = made_queries(num_items, steps.users_per_batch * count, seed)
    nothing = EncodedFeatures(np.zeros((num_items, 0), np.float32), np.zeros((num_items, 0), np.int32), ())
    return SoftmaxTrainer(queries, num_items, nothing, {}, params, seed)
