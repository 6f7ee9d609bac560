"""Does training against each sampler end where training against the full softmax ends? On a catalogue of 50 logits.

A query has `num_positives` distinct positives, drawn one by one in proportion to Zipf's law; they are its own items.
The full softmax then ends at softmax(s) = the share of each item among all positives, whatever it starts from.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from bakeoff.core.histories import Histories
from bakeoff.models.base.tensorflow import graph, seed_everything, tf
from bakeoff.models.neural.model import MultiHotSampledSoftmax
from bakeoff.models.neural.proposals import NegativeSampler, all_targets, log_counts, make_sampler
from bakeoff.models.neural.selection import select
from bakeoff.models.neural.spec import NegativesParams

NUM_ITEMS = 50
NUM_USERS = 4_000
QUERIES = 10
"""Queries of a batch, each of a user of its own."""
BATCHES = 25
"""Independent batches per step, as a less noisy gradient; the mask of own items keeps them apart."""


class TabularWorld:
    """Users with their positives, and one logit per item that is trained against a sampler."""

    def __init__(
        self,
        make_sampler: Callable[[Histories], NegativeSampler],
        selection: NegativesParams | None = None,
        num_positives: int = 1,
        corrects_targets: bool = False,
    ) -> None:
        """Draw the users.

        Args:
            make_sampler: the sampler over the users' positives, which are all of their events and all targets.
            selection: settings of what narrows the candidates down; None: all of them act as negatives.
            num_positives: distinct positives of each user, 1 to NUM_ITEMS.
            corrects_targets: whether the loss corrects positives as it does candidates, as models are trained.
        """
        shares = 1 / np.arange(1, NUM_ITEMS + 1)
        noise = np.random.default_rng(7).gumbel(size=(NUM_USERS, NUM_ITEMS))
        self._positives = np.argsort(-(np.log(shares) + noise), axis=1)[:, :num_positives].astype(np.int32)
        items = self._positives.ravel()
        users = np.repeat(np.arange(NUM_USERS), num_positives)
        self._sampler = make_sampler(Histories.from_rows(users, items, np.zeros(len(items), np.int64), NUM_USERS))
        self._target_log_counts = np.zeros(NUM_ITEMS, np.float32)
        if corrects_targets:  # all events are targets
            inclusion = self._sampler.target_inclusion(np.arange(NUM_ITEMS), np.ones(NUM_ITEMS))
            self._target_log_counts = log_counts(inclusion)
        self.p_true = np.bincount(items, minlength=NUM_ITEMS) / len(items)
        self._gradient = _gradient_graph(selection)

    def kl_at_convergence(self, correction: float = 1.0, steps: int = 150) -> float:
        """KL(p_true ‖ softmax(s)) in nats, ≥ 0, after Adam with a rate that falls to 0.

        Args:
            correction: what log expected counts are multiplied by: 1 the project's, 0 none, −1 the wrong sign.
            steps: of Adam, to convergence.
        """
        rng = np.random.default_rng(0)
        logits, mean, square = np.zeros(NUM_ITEMS), np.zeros(NUM_ITEMS), np.zeros(NUM_ITEMS)
        for step in range(1, steps + 1):
            gradient = self._sampled_gradient(logits, correction, rng)
            mean, square = 0.9 * mean + 0.1 * gradient, 0.99 * square + 0.01 * gradient**2
            rate = 0.2 * (1 - step / steps)
            logits -= rate * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.99**step)) + 1e-8)
        return float(np.sum(self.p_true * np.log(self.p_true / softmax(logits))))

    def gradient_figures(self, correction: float = 1.0, repeats: int = 80) -> tuple[float, float]:
        """How far the mean gradient is from that of the full softmax, at random logits.

        Args:
            correction: as above.
            repeats: gradients that are averaged.

        Returns:
            ‖E[∇L_sampled] − ∇L_full‖₁ / ‖∇L_full‖₁, ≥ 0, and the cosine of the angle between the two.
        """
        logits = np.random.default_rng(5).normal(0, 1, NUM_ITEMS)
        rng = np.random.default_rng(0)
        full = softmax(logits) - self.p_true
        found = np.mean([self._sampled_gradient(logits, correction, rng) for _ in range(repeats)], axis=0)
        cosine = found @ full / np.linalg.norm(found) / np.linalg.norm(full)
        return float(np.abs(found - full).sum() / np.abs(full).sum()), float(cosine)

    def _sampled_gradient(
        self, logits: NDArray[np.float64], correction: float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        users = np.concatenate([rng.choice(NUM_USERS, QUERIES, replace=False) for _ in range(BATCHES)])
        positives = self._positives[users]
        draws = [self._sampler.draw(block.ravel(), rng) for block in np.split(positives, BATCHES)]
        candidates = np.concatenate([draw.ids for draw in draws])
        log_expected_count = np.concatenate([draw.log_expected_count for draw in draws])
        own = (positives[:, :, np.newaxis] == candidates).any(axis=1)
        batch_of_candidate = np.repeat(np.arange(BATCHES), [len(draw.ids) for draw in draws])
        own |= np.repeat(np.arange(BATCHES), QUERIES)[:, np.newaxis] != batch_of_candidate
        seed = rng.integers(0, 2**31, 2).astype(np.int32)
        scales = logits.astype(np.float32), self._target_log_counts, np.float32(correction)
        given = *scales, positives, candidates, log_expected_count, own, seed
        return np.asarray(self._gradient(*map(tf.constant, given)), np.float64)


@cache
def _gradient_graph(selection: NegativesParams | None) -> Any:
    """`_gradient` of a selection, traced once for all samplers."""
    return graph(partial(_gradient, selection), reduce_retracing=True)


def _gradient(selection: NegativesParams | None, logits: Any, *drawn: Any) -> Any:
    """Gradient float32 [NUM_ITEMS] of the loss of a block of users with respect to the logits."""
    target_log_counts, correction, positives, candidates, log_expected_count, own, seed = drawn
    with tf.GradientTape() as tape:
        tape.watch(logits)
        targets = tf.reshape(positives, [-1])
        rows = tf.repeat(tf.range(tf.shape(positives)[0]), tf.shape(positives)[1])
        pool = tf.tile(tf.gather(logits, candidates)[tf.newaxis, tf.newaxis], [tf.shape(positives)[0], 1, 1])
        is_own = own[:, tf.newaxis]
        if selection is not None:
            index, log_expected_count, is_own = select(selection, pool, log_expected_count, own, seed)
            pool = tf.gather(pool, index, batch_dims=2)
        of_targets = tf.gather(logits, targets), rows, tf.ones_like(targets, tf.float32)
        target_log_count = correction * tf.gather(target_log_counts, targets)
        counts = correction * log_expected_count
        value = MultiHotSampledSoftmax()(*of_targets, pool, counts, is_own, target_log_count)
    return tf.convert_to_tensor(tape.gradient(value, logits))


NUM_SAMPLED = 10
"""Of 50 items, and as many queries a batch for in-batch negatives."""

NUM_SELECTED = 5
"""Hard negatives and top-k, of what a mixed sampler draws."""

NUM_POSITIVES = 5
"""Of each user. With one, uniform candidates end slightly off the truth, see the tests of TabularWorld."""

STEPS, REPEATS = 150, 80

CASES = {
    **{name: {"sampler": name} for name in ("full", "uniform", "popularity", "log-uniform", "in-batch", "mixed")},
    **{name: {"sampler": "mixed", "selection": name} for name in ("hard", "top-k")},
}
"""Name in the study → settings of negatives. The whole catalogue has nothing to correct: it appears once, as the
reference."""


def measure_unbiasedness(seed: int, steps: int = STEPS, repeats: int = REPEATS) -> dict[str, Any]:
    """Train against every sampler with and without its correction; prints a line for each.

    Args:
        seed: of everything that is drawn.
        steps: of training.
        repeats: gradients that are averaged.

    Returns:
        content of unbiasedness.json.
    """
    seed_everything(seed)
    rows: list[dict[str, Any]] = []
    for name in CASES:
        for corrected in (False, True) if rows else (False,):
            row = _row(name, corrected, steps, repeats)
            rows.append(row | {"reference": rows[0]["kl"] if rows else None})
            exact, how = row["exact_targets"], "corrected" if corrected else "not corrected"
            classical = f" ({exact['kl']:.4f} with exact targets)" if exact else ""
            print(f"{name}, {how}: KL {row['kl']:.4f}{classical}", flush=True)
    world = {"items": NUM_ITEMS, "users": NUM_USERS, "positives": NUM_POSITIVES}
    drawn = {"sampled": NUM_SAMPLED, "selected": NUM_SELECTED, "queries": QUERIES, "batches": BATCHES}
    effort = {"steps": steps, "repeats": repeats}
    return {"world": world | drawn | effort, "samplers": rows}


def _row(name: str, corrected: bool, steps: int, repeats: int) -> dict[str, Any]:
    """Figures of the project's loss and, where they can differ, of the one whose targets are exact."""
    sizes = {"num_sampled": NUM_SAMPLED, "num_selected": NUM_SELECTED}
    negatives = NegativesParams.model_validate({**CASES[name], **sizes, "logq_correction": corrected})

    def make(events: Histories) -> NegativeSampler:
        return make_sampler(events, NUM_ITEMS, negatives, all_targets, QUERIES)

    def figures(corrects_targets: bool) -> dict[str, float]:
        selection = None if negatives.selection == "none" else negatives
        world = TabularWorld(make, selection, NUM_POSITIVES, corrects_targets)
        kl = world.kl_at_convergence(float(corrected), steps)
        error, cosine = world.gradient_figures(float(corrected), repeats)
        return {"kl": kl, "gradient_error": error, "gradient_cosine": cosine}

    exact = figures(corrects_targets=False) if corrected else None
    own = figures(corrects_targets=True)
    return {"sampler": name, "corrected": corrected, **own, "exact_targets": exact}
