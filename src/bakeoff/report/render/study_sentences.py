"""What to see in each chart of the study, in sentences made from its figures."""

import math
from collections.abc import Sequence

from bakeoff.report import formats
from bakeoff.report.study import (
    CORRECTED,
    OTHER,
    TOP_K,
    UNCORRECTED,
    UNIFORM,
    ConvergedSampler,
    SampledVariant,
    SamplingStudy,
)

CLEARLY = 10
"""A sampler needs the correction if without it the KL divergence is at least this many times as large."""


def quality_caption(shown: SamplingStudy) -> str:
    """Which variant is ahead, and how many differ from the shipped settings by their intervals."""
    best = max(shown.trained, key=lambda row: -math.inf if math.isnan(row.mean) else row.mean)
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


def _other_models(shown: SamplingStudy) -> list[str]:
    """How many variants of the softmax DNN each other model beats, by their means."""
    if not shown.others:
        return []
    parts = [
        f"{_named(row)} ({formats.decimal(row.mean)}, above "
        f"{sum(row.mean > each.mean for each in shown.trained)} of its {len(shown.trained)} means)"
        for row in shown.others
    ]
    return [f"For comparison: {formats.listing(parts)}."]


def correction_caption(shown: SamplingStudy) -> str:
    """Effect of the correction on the primary metric, over the pools that were tried both ways."""
    pairs = both_ways(shown)
    if not pairs:
        return "No sampler was tried both with and without correction."
    gains = {pool: with_it.mean - without.mean for pool, (with_it, without) in pairs.items()}
    most = max(gains, key=lambda pool: abs(gains[pool]))
    return (
        f"The correction raises the mean {formats.metric_label(shown.metric)} for "
        f"{sum(gain > 0 for gain in gains.values())} of {len(pairs)} pools; it matters most for {most} "
        f"({formats.signed(gains[most])})."
    )


def lift_caption(shown: SamplingStudy) -> str:
    """Effect of the correction on the popularity of lists, likewise, and the popularity of other models' lists."""
    pairs = {
        pool: (with_it.lift, without.lift)
        for pool, (with_it, without) in both_ways(shown).items()
        if not math.isnan(with_it.lift - without.lift)
    }
    if not pairs:
        return "The effect of the correction on the popularity of lists was not measured."
    most = max(pairs, key=lambda pool: abs(pairs[pool][0] - pairs[pool][1]))
    with_it, without = map(formats.signed_percent, pairs[most])
    text = (
        f"The correction raises the popularity lift for {sum(one > other for one, other in pairs.values())} of "
        f"{len(pairs)} pools; the largest change is that of {most}, from {without} to {with_it}. Without it, "
        "items that a sampler draws often are pushed down."
    )
    others = [f"{_named(row)} ({formats.signed_percent(row.lift)})" for row in shown.others if not math.isnan(row.lift)]
    return f"{text} For comparison: {formats.listing(others)}." if others else text


def folding_caption(shown: SamplingStudy) -> str:
    """Which variants fold most and least, and whether accuracy shows it."""
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


def steps_caption(shown: SamplingStudy) -> str:
    """Time of a step, and the false negatives among its candidates."""
    known = [row for row in shown.trained if not math.isnan(row.step_seconds)]
    if not known:
        return "The time of a step was not measured."
    slow, fast = (choose(known, key=lambda row: row.step_seconds) for choose in (max, min))
    text = (
        f"A step takes from {milliseconds(fast.step_seconds)} ({fast.pool}) to {milliseconds(slow.step_seconds)} "
        f"({slow.pool}), {formats.times(slow.step_seconds / fast.step_seconds)} as long, on this catalogue. A "
        "step of the full softmax scores every item of the catalogue, a step against samples only those that were "
        "drawn."
    )
    caught = [row for row in shown.trained if not math.isnan(row.batch_false_negatives)]
    if not caught:
        return text
    worst = max(caught, key=lambda row: row.batch_false_negatives)
    return (
        f"{text} {formats.sentence(worst.pool)} draws most of the user's own items, "
        f"{formats.decimal(worst.batch_false_negatives, 0)} per batch ({formats.decimal(worst.false_negatives, 1)} per "
        "query), which the mask removes from the loss."
    )


def unbiasedness_caption(shown: SamplingStudy) -> str:
    """Distance from the true distribution at the end of training, with and without correction."""
    known = [row for row in shown.converged if not math.isnan(row.kl)]
    drawn = [row for row in known if TOP_K not in row.pool]
    ends = []
    for series in (CORRECTED, UNCORRECTED):
        worst = max((row for row in drawn if row.series == series), key=lambda row: row.kl, default=None)
        if worst is not None:
            ends.append(f"{series} at most {formats.decimal(worst.kl)} nats ({worst.pool})")
    if not ends:
        return "No sampler was trained to convergence."
    references = [row.reference for row in shown.converged if not math.isnan(row.reference)]
    full = f"; the full softmax ends at {formats.decimal(references[0])}" if references else ""
    text = (
        f"At convergence the distance of the learned distribution from the true one is {formats.listing(ends)}{full}."
    )
    return " ".join([text, *_top_k(known), *_uniform(drawn)])


def _top_k(known: Sequence[ConvergedSampler]) -> list[str]:
    """Where training against the highest-scored negatives ends."""
    ends = [f"{formats.decimal(row.kl)} {row.series}" for row in known if TOP_K in row.pool]
    if not ends:
        return []
    return [
        f"Top-k selection ends at {formats.listing(ends)}: it keeps only the highest-scored candidates, for which no "
        "correction is exact."
    ]


def _uniform(drawn: Sequence[ConvergedSampler]) -> list[str]:
    """Whether even the uniform sampler needs the correction, and why."""
    found = {row.series: row.kl for row in drawn if row.pool == UNIFORM}
    if not {CORRECTED, UNCORRECTED} <= set(found):
        return []
    with_it, without = found[CORRECTED], found[UNCORRECTED]
    ends = f"{formats.decimal(without)} without correction and {formats.decimal(with_it)} with it"
    if without <= CLEARLY * with_it:
        return [f"The uniform sampler ends at {ends}."]
    return [
        f"Even the uniform sampler needs the correction, with {ends}: the positives of a query are always among its "
        "candidates and other items only by chance, so that popular items are pushed down more often. The "
        "more positives a query has, the stronger the effect."
    ]


def both_ways(shown: SamplingStudy) -> dict[str, tuple[SampledVariant, SampledVariant]]:
    """Pool → the variant with and the one without correction, of pools that have both."""
    found = {(row.pool, row.series): row for row in shown.trained}
    return {
        pool: (found[pool, CORRECTED], found[pool, UNCORRECTED])
        for pool in dict.fromkeys(row.pool for row in shown.trained)
        if (pool, CORRECTED) in found and (pool, UNCORRECTED) in found
    }


def milliseconds(seconds: float) -> str:
    """The time of a step; an en dash if it was not measured."""
    return formats.NO_VALUE if math.isnan(seconds) else f"{1000 * seconds:.1f} ms"


def _named(row: SampledVariant) -> str:
    """Another model within a sentence."""
    return row.pool.removeprefix(OTHER)
