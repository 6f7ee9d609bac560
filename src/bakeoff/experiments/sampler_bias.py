"""Does training against each sampler end where training against the full softmax ends?"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, NamedTuple

from bakeoff.core.histories import Histories
from bakeoff.models.base.tensorflow import seed_everything
from bakeoff.models.neural.loss import MultiHotSampledSoftmax
from bakeoff.models.neural.negatives import unbiasedness
from bakeoff.models.neural.negatives.proposals import NegativeSampler, all_targets, make_sampler
from bakeoff.models.neural.negatives.selection import CandidateSelector, HardSelector, TopKSelector
from bakeoff.models.neural.spec import NegativesParams

NUM_SAMPLED = 10
"""Of 50 items, and as many queries a batch for in-batch negatives."""

NUM_SELECTED = 5
"""Hard negatives and top-k, of what a mixed sampler draws."""

NUM_POSITIVES = 5
"""Of each user. With one, uniform candidates end slightly off the truth, see the tests of TabularWorld."""

STEPS, REPEATS = 150, 80

SENTENCE = (
    "A softmax over 50 items has one logit each and nothing else to learn but how often each item is a positive. "
    "Trained against samples, does it end where training against the whole catalogue ends? `kl` is the divergence from "
    "the truth at the end, in nats; `reference` is that of the full softmax after as many steps. `gradient_error` and "
    "`gradient_cosine` compare the mean gradient with that of the full softmax. Corrected rows are those of the loss "
    "that models are trained with, which corrects positives as it does candidates; `exact_targets` are those of the "
    "classical form that leaves positives as they are."
)


class SamplerCase(NamedTuple):
    """A sampler, with what narrows its candidates down."""

    name: str
    """In the study."""
    sampler: str
    """As `negatives.sampler`."""
    selector: Callable[[bool], CandidateSelector] | None = None
    """With and without correction; none: all candidates act as negatives."""


CASES = (
    *(SamplerCase(name, name) for name in ("full", "uniform", "popularity", "log-uniform", "in-batch", "mixed")),
    SamplerCase("hard", "mixed", lambda corrected: HardSelector(NUM_SELECTED, corrected=corrected)),
    SamplerCase("top-k", "mixed", lambda corrected: TopKSelector(NUM_SELECTED, corrected)),
)
"""The whole catalogue has nothing to correct: it appears once, as the reference."""


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
    for case in CASES:
        for corrected in (False, True) if rows else (False,):
            row = _row(case, corrected, steps, repeats)
            rows.append(row | {"reference": rows[0]["kl"] if rows else None})
            _print(rows[-1])
    world = {
        "items": unbiasedness.NUM_ITEMS,
        "users": unbiasedness.NUM_USERS,
        "positives": NUM_POSITIVES,
        "sampled": NUM_SAMPLED,
        "selected": NUM_SELECTED,
        "queries": unbiasedness.QUERIES,
        "batches": unbiasedness.BATCHES,
        "steps": steps,
        "repeats": repeats,
    }
    return {"sentence": SENTENCE, "world": world, "samplers": rows}


def _print(row: dict[str, Any]) -> None:
    exact = row["exact_targets"]
    print(
        f"{row['sampler']}, {'corrected' if row['corrected'] else 'not corrected'}: KL {row['kl']:.4f}"
        + (f" ({exact['kl']:.4f} with exact targets)" if exact else ""),
        flush=True,
    )


def _row(case: SamplerCase, corrected: bool, steps: int, repeats: int) -> dict[str, Any]:
    """Figures of the project's loss and, where they can differ, of the one whose targets are exact."""
    negatives = NegativesParams.model_validate({"sampler": case.sampler, "num_sampled": NUM_SAMPLED})
    selector = None if case.selector is None else case.selector(corrected)

    def make(events: Histories) -> NegativeSampler:
        return make_sampler(events, unbiasedness.NUM_ITEMS, negatives, all_targets, unbiasedness.QUERIES)

    def figures(loss: Callable[..., Any]) -> dict[str, float]:
        world = unbiasedness.TabularWorld(make, selector, NUM_POSITIVES, loss)
        return asdict(world.figures(float(corrected), steps, repeats))

    exact = figures(unbiasedness.positives_exact) if corrected else None
    return {"sampler": case.name, "corrected": corrected, **figures(MultiHotSampledSoftmax()), "exact_targets": exact}
