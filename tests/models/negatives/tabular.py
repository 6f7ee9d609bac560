"""One logit per item of a small catalogue, trained with the project's own samplers and loss."""

from dataclasses import dataclass, replace

import numpy as np

from bakeoff.models.negatives import CatalogueSampler, InBatchSampler, PopularitySampler, UniformSampler
from bakeoff.models.softmax.loss import MultiHotSampledSoftmax
from bakeoff.models.tensorflow import tf
from small import histories

NUM_ITEMS = 50
NUM_SAMPLED = 10
ROWS = 10
"""Queries of a batch. A query is one positive drawn from P_TRUE; its own item is masked."""

BATCHES = 40
"""Independent batches per step: the mask of own items keeps them apart."""

P_TRUE = (w := 1 / np.arange(1, NUM_ITEMS + 1)) / w.sum()

FREQUENCIES = np.round(2000 * P_TRUE).astype(int)
USERS = histories([[item] for item, count in enumerate(FREQUENCIES) for _ in range(count)])
P_USERS = FREQUENCIES / FREQUENCIES.sum()
"""P_TRUE as the users of the batches have it."""


def make(name):
    match name:
        case "uniform":
            return UniformSampler(NUM_ITEMS, NUM_SAMPLED)
        case "popularity":
            return PopularitySampler(FREQUENCIES, NUM_SAMPLED, exponent=1.0)
        case "in-batch":
            return InBatchSampler(np.ones(len(USERS.items)), USERS, ROWS)
        case _:
            return CatalogueSampler(NUM_ITEMS)


@dataclass(frozen=True)
class Correction:
    """What is made of a sampler's log expected counts: 1 as the project does, 0 nothing, −1 the wrong sign."""

    factor: float = 1.0


def batches(sampler, rng, correction=1.0):
    """BATCHES independent batches side by side: positives, candidates, their log counts, and who masks what."""
    positives, candidates = [], []
    for _ in range(BATCHES):
        targets = USERS.items[rng.choice(len(USERS), ROWS, replace=False)]
        positives.append(targets)
        candidates.append(sampler.draw(targets, rng))
    ids = np.concatenate([c.ids for c in candidates])
    batch_of_row = np.repeat(np.arange(BATCHES), ROWS)
    batch_of_candidate = np.repeat(np.arange(BATCHES), [len(c.ids) for c in candidates])
    rows = np.concatenate(positives)
    own = (rows[:, None] == ids) | (batch_of_row[:, None] != batch_of_candidate)
    counts = correction * np.concatenate([c.log_expected_count for c in candidates])
    return rows, ids, counts.astype(np.float32), own


_loss = MultiHotSampledSoftmax()


@tf.function(
    input_signature=[
        tf.TensorSpec([NUM_ITEMS], tf.float32),
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([None], tf.float32),
        tf.TensorSpec([None, None], tf.bool),
    ]
)
def gradient(logits, rows, ids, counts, own):
    """Gradient of the mean loss of the rows, [NUM_ITEMS]."""
    with tf.GradientTape() as tape:
        tape.watch(logits)
        target = tf.gather(logits, rows)[:, None, None]
        candidates = tf.tile(tf.gather(logits, ids)[None, None], [tf.shape(rows)[0], 1, 1])
        loss = _loss(target, tf.ones_like(target, tf.bool), candidates, counts, own)
    return tf.convert_to_tensor(tape.gradient(loss, logits))


def train(name, correction=1.0, steps=500):
    """Logits at convergence: Adam with a rate that falls to 0."""
    rng = np.random.default_rng(0)
    sampler = make(name)
    logits, m, v = np.zeros(NUM_ITEMS), np.zeros(NUM_ITEMS), np.zeros(NUM_ITEMS)
    for step in range(steps):
        g = gradient(logits.astype(np.float32), *batches(sampler, rng, correction)).numpy()
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
        rate = 0.1 * (1 - step / steps)
        logits -= rate * (m / (1 - 0.9 ** (step + 1))) / (np.sqrt(v / (1 - 0.99 ** (step + 1))) + 1e-8)
    return logits


def softmax(logits):
    e = np.exp(logits - logits.max())
    return e / e.sum()


def kl(logits):
    """KL(p ‖ softmax(logits)) in nats."""
    return float(np.sum(P_USERS * np.log(P_USERS / softmax(logits))))


def mean_gradient(name, logits, correction=1.0, repeats=100):
    rng = np.random.default_rng(1)
    sampler = make(name)
    return np.mean(
        [gradient(logits.astype(np.float32), *batches(sampler, rng, correction)).numpy() for _ in range(repeats)], axis=0
    )


def full_gradient(logits):
    """Of the full softmax: softmax(s) − p."""
    return softmax(logits) - P_USERS


def replace_correction(correction, factor):
    return replace(correction, factor=factor)
