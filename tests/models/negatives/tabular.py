"""One logit per item of a small catalogue, trained with the project's own samplers and loss.

A query has `num_positives` distinct positives, drawn one by one in proportion to P; they are its own items. The full
softmax then ends at softmax(s) = the share of each item among all positives.
"""

from dataclasses import dataclass, field

import numpy as np
from small import histories

from bakeoff.models.negatives import CatalogueSampler, InBatchSampler, PopularitySampler, UniformSampler
from bakeoff.models.softmax.loss import MultiHotSampledSoftmax
from bakeoff.models.tensorflow import tf

NUM_ITEMS = 50
ROWS = 10
"""Queries of a batch."""

BATCHES = 25
"""Independent batches per step: the mask of own items keeps them apart."""

NUM_USERS = 4_000
P = (weights := 1 / np.arange(1, NUM_ITEMS + 1)) / weights.sum()

_loss = MultiHotSampledSoftmax()


@tf.function(
    input_signature=[
        tf.TensorSpec([NUM_ITEMS], tf.float32),
        tf.TensorSpec([None, None], tf.int32),
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([None], tf.float32),
        tf.TensorSpec([None, None], tf.bool),
    ]
)
def gradient(logits, positives, candidates, log_counts, own):
    """Gradient of the mean loss, [NUM_ITEMS]."""
    with tf.GradientTape() as tape:
        tape.watch(logits)
        target = tf.gather(logits, positives)[:, None]
        negative = tf.tile(tf.gather(logits, candidates)[None, None], [tf.shape(positives)[0], 1, 1])
        loss = _loss(target, tf.ones_like(target, tf.bool), negative, log_counts, own)
    return tf.convert_to_tensor(tape.gradient(loss, logits))


@dataclass
class World:
    """Users with their positives, the sampler under test, and what is made of its log expected counts.

    correction: 1 as the project does it, 0 none, −1 the wrong sign.
    """

    sampler_name: str
    correction: float = 1.0
    num_positives: int = 1
    num_sampled: int = 10
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def __post_init__(self):
        noise = np.random.default_rng(7).gumbel(size=(NUM_USERS, NUM_ITEMS))
        self.positives = np.argsort(-(np.log(P) + noise), axis=1)[:, : self.num_positives].astype(np.int32)
        self.frequencies = np.bincount(self.positives.ravel(), minlength=NUM_ITEMS)
        self.p_true = self.frequencies / self.frequencies.sum()
        self.sampler = self._make_sampler()

    def _make_sampler(self):
        match self.sampler_name:
            case "uniform":
                return UniformSampler(NUM_ITEMS, self.num_sampled)
            case "popularity":
                return PopularitySampler(self.frequencies, self.num_sampled, exponent=0.75)
            case "in-batch":
                users = histories(self.positives.tolist())
                return InBatchSampler(np.ones(len(users.items)), users, ROWS)
            case _:
                return CatalogueSampler(NUM_ITEMS)

    def step(self):
        """Arguments of `gradient` after the logits: BATCHES batches side by side."""
        users = np.concatenate([self.rng.choice(NUM_USERS, ROWS, replace=False) for _ in range(BATCHES)])
        positives = self.positives[users]
        blocks = np.split(positives, BATCHES)
        draws = [self.sampler.draw(block.ravel(), self.rng) for block in blocks]
        candidates = np.concatenate([draw.ids for draw in draws])
        log_counts = self.correction * np.concatenate([draw.log_expected_count for draw in draws])
        batch_of_row = np.repeat(np.arange(BATCHES), ROWS)
        batch_of_candidate = np.repeat(np.arange(BATCHES), [len(draw.ids) for draw in draws])
        own = (positives[:, :, None] == candidates).any(axis=1)
        own |= batch_of_row[:, None] != batch_of_candidate
        return positives, candidates, log_counts.astype(np.float32), own

    def mean_gradient(self, logits, repeats=80):
        """Estimate of E[∇L] over samples."""
        return np.mean([gradient(logits.astype(np.float32), *self.step()).numpy() for _ in range(repeats)], axis=0)

    def full_gradient(self, logits):
        """Of the full softmax."""
        return softmax(logits) - self.p_true

    def kl_at_convergence(self, steps=150):
        """KL(p_true ‖ softmax(s)) in nats after Adam with a rate that falls to 0."""
        logits, m, v = np.zeros(NUM_ITEMS), np.zeros(NUM_ITEMS), np.zeros(NUM_ITEMS)
        for step in range(1, steps + 1):
            g = gradient(logits.astype(np.float32), *self.step()).numpy()
            m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
            rate = 0.2 * (1 - step / steps)
            logits -= rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.99**step)) + 1e-8)
        return float(np.sum(self.p_true * np.log(self.p_true / softmax(logits))))


def softmax(logits):
    e = np.exp(logits - logits.max())
    return e / e.sum()
