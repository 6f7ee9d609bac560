"""The study of negative sampling: what its files say, as rows and sentences."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bakeoff.report import formats, models

CORRECTED, UNCORRECTED, NEITHER = "with logQ correction", "without correction", "nothing to correct"
"""The three series of the softmax DNN."""
BESIDE = "another model, as shipped"
"""The series of the models that stand beside it."""
OTHER = "model: "
"""Before the name of another model: popularity is a sampler too."""
NEGATIVES = "softmax.negatives."


@dataclass(frozen=True)
class Trained:
    """One variant of the softmax DNN, trained with its own negatives, or a model beside it; judged on validation.

    Attributes:
        pool: where its negatives come from; of another model its name.
        series: CORRECTED, UNCORRECTED, NEITHER or BESIDE.
        base: whether these are the shipped settings of the softmax DNN.
        mean: of the primary metric over users; low and high end of its interval.
        low: see mean.
        high: see mean.
        difference: mean, low and high of its difference to the shipped settings on the same users.
        lift: popularity lift of its lists.
        long_tail: long-tail share of its lists.
        coverage: share of the catalogue in its lists.
        folding: mean excess of calibrated scores over relatedness.
        spurious: share of list places that go to unrelated items.
        false_negatives: items of the user's own among the candidates of a query, which the mask caught.
        batch_false_negatives: the same of all queries of a batch together.
        step_seconds: measured time of a training step.

    All figures are NaN where there is none.
    """

    pool: str
    series: str
    base: bool
    mean: float
    low: float
    high: float
    difference: tuple[float, float, float]
    lift: float
    long_tail: float
    coverage: float
    folding: float
    spurious: float
    false_negatives: float
    batch_false_negatives: float
    step_seconds: float


@dataclass(frozen=True)
class Converged:
    """One sampler on a catalogue that is small enough to know the truth.

    Attributes:
        pool: the sampler.
        series: CORRECTED, UNCORRECTED or NEITHER.
        kl: of the distribution that training ends in from the true one, in nats.
        gradient_error: of the mean gradient, beside that of the full softmax.
        gradient_cosine: of the angle between the two.
        exact: kl with the classical form of the correction, which leaves the targets as they are; NaN where there is
            none.
        reference: kl of the full softmax after as many steps; NaN where it is not known.
    """

    pool: str
    series: str
    kl: float
    gradient_error: float
    gradient_cosine: float
    exact: float
    reference: float


@dataclass(frozen=True)
class Study:
    """Everything on the page.

    Attributes:
        dataset: title of the data set.
        sentence: what was done.
        metric: the primary metric.
        cutoff: its k.
        trained: one row per variant of the softmax DNN.
        beside: one row per other model.
        left_out: sentences on models that could not be trained.
        world: name → value, of the small catalogue.
        method: what was done there.
        converged: one row per sampler and correction.
    """

    dataset: str
    sentence: str
    metric: str
    cutoff: str
    trained: Sequence[Trained]
    beside: Sequence[Trained]
    left_out: Sequence[str]
    world: Mapping[str, str]
    method: str
    converged: Sequence[Converged]

    @property
    def everyone(self) -> Sequence[Trained]:
        """The softmax DNN's variants and the models beside."""
        return [*self.trained, *self.beside]


def study(
    sampling: Mapping[str, Any], cost: Mapping[str, Any], unbiasedness: Mapping[str, Any], dataset: Mapping[str, str]
) -> Study:
    """Read the three files of the study.

    Args:
        sampling: studies/sampling.json.
        cost: studies/sampling_cost.json.
        unbiasedness: studies/unbiasedness.json.
        dataset: data/dataset.json.
    """
    variants = sampling["variants"]
    metric = str(variants[0]["metric"])
    cutoff = metric.partition("@")[2]
    seconds = cost.get("variants", {})
    rows = [_trained(variant, seconds.get(variant["name"], {}), cutoff) for variant in variants]
    return Study(
        dataset=dataset["title"],
        sentence=str(sampling["sentence"]),
        metric=metric,
        cutoff=cutoff,
        trained=[row for row in rows if row.series != BESIDE],
        beside=[row for row in rows if row.series == BESIDE],
        left_out=models.not_asked(sampling.get("left_out", {})),
        world={_words(name): _value(value) for name, value in unbiasedness.get("world", {}).items()},
        method=str(unbiasedness.get("sentence", "")),
        converged=[_converged(row) for row in unbiasedness["samplers"]],
    )


def _trained(variant: Mapping[str, Any], cost: Mapping[str, Any], cutoff: str) -> Trained:
    pool, series = _names(variant)
    metrics, folding = variant["metrics"], variant.get("folding") or {}
    interval, difference = variant["interval"], variant["difference_to_base"]
    return Trained(
        pool=pool,
        series=series,
        base=bool(variant["base"]) and series != BESIDE,
        mean=_number(interval["mean"]),
        low=_number(interval["low"]),
        high=_number(interval["high"]),
        difference=(_number(difference["mean"]), _number(difference["low"]), _number(difference["high"])),
        lift=_number(metrics.get(f"popularity_lift@{cutoff}")),
        long_tail=_number(metrics.get(f"long_tail_share@{cutoff}")),
        coverage=_number(metrics.get(f"coverage@{cutoff}")),
        folding=_number(folding.get("folding")),
        spurious=_number(folding.get("spurious@10")),
        false_negatives=_number(variant.get("false_negatives_per_query")),
        batch_false_negatives=_number(variant.get("false_negatives_per_batch")),
        step_seconds=_number(cost.get("seconds_per_step")),
    )


def _names(variant: Mapping[str, Any]) -> tuple[str, str]:
    """Pool and series."""
    if variant["model"] != models.SOFTMAX:
        return f"{OTHER}{models.model_noun(variant['model'])}", BESIDE
    settings = {name.removeprefix(NEGATIVES): value for name, value in variant["settings"].items()}
    sampler = str(settings["sampler"])
    pool = _pool(sampler, str(settings.get("selection", "none")))
    return pool, _series(sampler, settings.get("logq_correction"))


def _converged(row: Mapping[str, Any]) -> Converged:
    sampler = str(row["sampler"])
    return Converged(
        pool=_pool(sampler, "none"),
        series=_series(sampler, row.get("corrected")),
        kl=_number(row["kl"]),
        gradient_error=_number(row["gradient_error"]),
        gradient_cosine=_number(row["gradient_cosine"]),
        exact=_number((row.get("exact_targets") or {}).get("kl")),
        reference=_number(row.get("reference")),
    )


def quality(shown: Study) -> str:
    """Which variant is ahead, and how many differ from the shipped settings by their intervals."""
    best = max(shown.trained, key=_sortable(lambda row: row.mean))
    others = [row for row in shown.trained if not row.base]
    above, below = sum(row.difference[1] > 0 for row in others), sum(row.difference[2] < 0 for row in others)
    shipped = "; these are the shipped settings" if best.base else ""
    text = (
        f"{formats.sentence(best.pool)}, {best.series}, has the highest mean of the softmax DNN "
        f"({formats.decimal(best.mean)}{shipped}). "
        f"By the intervals of their differences to the shipped settings, each taken by itself, {above} of "
        f"{len(others)} variants are better and {below} worse."
    )
    return " ".join([text, *_other_models(shown)])


def _other_models(shown: Study) -> list[str]:
    """How many variants each model beside the softmax DNN is ahead of, by their means."""
    if not shown.beside:
        return []
    parts = [
        f"{row.pool.removeprefix(OTHER)} ({formats.decimal(row.mean)}, above "
        f"{sum(row.mean > each.mean for each in shown.trained)} of its {len(shown.trained)} means)"
        for row in shown.beside
    ]
    return [f"Beside them stand {formats.listing(parts)}."]


def correction(shown: Study) -> str:
    """What the correction does to quality and to popularity, over the pools that were tried both ways."""
    pairs = both_ways(shown)
    if not pairs:
        return "No sampler was tried both with and without correction."
    raised = [pool for pool, (with_it, without) in pairs.items() if with_it.mean > without.mean]
    gains = {pool: with_it.mean - without.mean for pool, (with_it, without) in pairs.items()}
    most = max(gains, key=lambda pool: abs(gains[pool]))
    tamed = sum(with_it.lift < without.lift for with_it, without in pairs.values())
    return (
        f"The correction raises the mean for {len(raised)} of {len(pairs)} pools; it matters most for {most} "
        f"({formats.signed(gains[most])}). It lowers the popularity lift for {tamed} of {len(pairs)}: without it, "
        "whatever a sampler draws often is pushed down."
    )


def folding(shown: Study) -> str:
    """Who folds most and least, and whether quality tells."""
    known = [row for row in shown.trained if not math.isnan(row.folding)]
    if not known:
        return "Folding was not measured."
    most, least = (choose(known, key=lambda row: row.folding) for choose in (max, min))
    return (
        f"Of the softmax DNN's variants {most.pool} ({most.series}) folds most, {formats.decimal(most.folding, 3)}, "
        f"and {least.pool} ({least.series}) least, {formats.decimal(least.folding, 3)}; their accuracy is "
        f"{formats.decimal(most.mean)} and {formats.decimal(least.mean)}. Relatedness is read from an ALS fit, which "
        "favours what resembles MF."
    )


def steps(shown: Study) -> str:
    """Time of a step, beside the false negatives that came with it."""
    known = [row for row in shown.trained if not math.isnan(row.step_seconds)]
    if not known:
        return "The time of a step was not measured."
    slow, fast = (choose(known, key=lambda row: row.step_seconds) for choose in (max, min))
    text = (
        f"A step takes from {milliseconds(fast.step_seconds)} ({fast.pool}) to {milliseconds(slow.step_seconds)} "
        f"({slow.pool}), {formats.times(slow.step_seconds / fast.step_seconds)} as long, on this catalogue; the cost "
        "of the full softmax grows with the catalogue, that of samples does not."
    )
    caught = [row for row in shown.trained if not math.isnan(row.batch_false_negatives)]
    if not caught:
        return text
    worst = max(caught, key=lambda row: row.batch_false_negatives)
    return (
        f"{text} {formats.sentence(worst.pool)} draws most of the user's own items, "
        f"{formats.decimal(worst.batch_false_negatives, 0)} per batch ({formats.decimal(worst.false_negatives, 1)} per "
        "query), which the mask keeps out of the loss."
    )


def unbiasedness(shown: Study) -> str:
    """How far training ends from the truth with and without correction."""
    groups = {
        series: [row for row in shown.converged if row.series == series and not math.isnan(row.kl)]
        for series in (CORRECTED, UNCORRECTED)
    }
    texts = []
    for series, rows in groups.items():
        if rows:
            worst = max(rows, key=lambda row: row.kl)
            texts.append(f"{series} at most {formats.decimal(worst.kl)} nats ({worst.pool})")
    reference = next((row.reference for row in shown.converged if not math.isnan(row.reference)), 0.0)
    return (
        f"At convergence the learned distribution lies from the true one {formats.listing(texts)}; the full softmax "
        f"ends at {formats.decimal(reference)}. A sampler that comes near that without correction needs none. Here not "
        "even a uniform one does: all positives of a query are always among its candidates and other items by chance, "
        "so that what is popular is met, and pushed down, more often, the more so the more positives a query has."
    )


def both_ways(shown: Study) -> dict[str, tuple[Trained, Trained]]:
    """Pool → the variant with and the one without correction, of pools that have both."""
    found = {(row.pool, row.series): row for row in shown.trained}
    return {
        pool: (found[pool, CORRECTED], found[pool, UNCORRECTED])
        for pool in dict.fromkeys(row.pool for row in shown.trained)
        if (pool, CORRECTED) in found and (pool, UNCORRECTED) in found
    }


def milliseconds(seconds: float) -> str:
    """The time of a step; an en dash where it was not measured."""
    return formats.NO_VALUE if math.isnan(seconds) else f"{1000 * seconds:.1f} ms"


def _pool(sampler: str, selection: str) -> str:
    name = "full softmax" if sampler == "full" else sampler
    return name if selection == "none" else f"{selection} among {name}"


def _series(sampler: str, corrected: object) -> str:
    if sampler == "full" or corrected is None:
        return NEITHER
    return CORRECTED if corrected else UNCORRECTED


def _sortable(figure: Callable[[Trained], float]) -> Callable[[Trained], float]:
    """The figure, with NaN below everything."""
    return lambda row: -math.inf if math.isnan(figure(row)) else figure(row)


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _words(name: str) -> str:
    return formats.sentence(name.replace("_", " "))


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
