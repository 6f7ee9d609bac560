"""What to see in each chart of the study, in sentences made from its figures."""

import math
from typing import Any

import pandas as pd

from bakeoff.report import formats
from bakeoff.report.study import CORRECTED, OTHER, TOP_K, UNCORRECTED, UNIFORM, SamplingStudy

CLEARLY = 10
"""A sampler needs the correction if without it the KL divergence is at least this many times as large."""


def quality_caption(shown: SamplingStudy) -> str:
    """Which variant is ahead, and how many differ from the shipped settings by their intervals."""
    best = shown.trained.sort_values("mean", ascending=False, kind="stable").iloc[0]
    others = shown.trained[~shown.trained.base]
    above, below = (others.difference_low > 0).sum(), (others.difference_high < 0).sum()
    shipped = "; these are the shipped settings" if best.base else ""
    text = (
        f"{formats.sentence(best.pool)}, {best.series}, has the highest mean of the softmax DNN "
        f"({formats.decimal(best['mean'])}{shipped}). "
        f"By the intervals of their differences to the shipped settings, each taken by itself, {above} of "
        f"{len(others)} variants are better and {below} worse."
    )
    means = shown.trained["mean"]
    return text + _compared(
        [
            f"{_named(row)} ({formats.decimal(row.mean)}, above {(row.mean > means).sum()} of its {len(means)} means)"
            for row in shown.others.itertuples()
        ]
    )


def correction_caption(shown: SamplingStudy) -> str:
    """Effect of the correction on the primary metric, over the pools that were tried both ways."""
    pairs = both_ways(shown, "mean")
    if pairs.empty:
        return "No sampler was tried both with and without correction."
    gain = pairs.corrected - pairs.uncorrected
    most = gain.abs().idxmax()
    return (
        f"The correction raises the mean {formats.metric_label(shown.metric)} for {(gain > 0).sum()} of {len(pairs)} "
        f"pools; it matters most for {most} ({formats.signed(gain[most])})."
    )


def lift_caption(shown: SamplingStudy) -> str:
    """Effect of the correction on the popularity of lists, likewise, and the popularity of other models' lists."""
    pairs = both_ways(shown, "lift")
    if pairs.empty:
        return "The effect of the correction on the popularity of lists was not measured."
    gain = pairs.corrected - pairs.uncorrected
    most = gain.abs().idxmax()
    before, after = (formats.signed_percent(pairs[side][most]) for side in ("uncorrected", "corrected"))
    text = (
        f"The correction raises the popularity lift for {(gain > 0).sum()} of {len(pairs)} pools; the largest change "
        f"is that of {most}, from {before} to {after}. Without it, items that a sampler draws often are pushed down."
    )
    others = shown.others.dropna(subset="lift").itertuples()
    return text + _compared([f"{_named(row)} ({formats.signed_percent(row.lift)})" for row in others])


def folding_caption(shown: SamplingStudy) -> str:
    """Which variants fold most and least, and whether accuracy shows it."""
    known = shown.trained.dropna(subset="folding")
    if known.empty:
        return "Folding was not measured."
    most, least = _extremes(known, "folding")
    return (
        f"Of the softmax DNN's variants {most.pool} ({most.series}) folds most, {formats.decimal(most.folding, 3)}, "
        f"and {least.pool} ({least.series}) least, {formats.decimal(least.folding, 3)}; their accuracy is "
        f"{formats.decimal(most['mean'])} and {formats.decimal(least['mean'])}. Relatedness is read from an ALS fit, "
        "which favours what resembles MF."
    )


def steps_caption(shown: SamplingStudy) -> str:
    """Time of a step, and the false negatives among its candidates."""
    known = shown.trained.dropna(subset="step_seconds")
    if known.empty:
        return "The time of a step was not measured."
    slow, fast = _extremes(known, "step_seconds")
    text = (
        f"A step takes from {milliseconds(fast.step_seconds)} ({fast.pool}) to {milliseconds(slow.step_seconds)} "
        f"({slow.pool}), {formats.times(slow.step_seconds / fast.step_seconds)} as long, on this catalogue. A "
        "step of the full softmax scores every item of the catalogue, a step against samples only those that were "
        "drawn."
    )
    caught = shown.trained.dropna(subset="batch_false_negatives")
    if caught.empty:
        return text
    worst, _ = _extremes(caught, "batch_false_negatives")
    return (
        f"{text} {formats.sentence(worst.pool)} draws most of the user's own items, "
        f"{formats.decimal(worst.batch_false_negatives, 0)} per batch ({formats.decimal(worst.false_negatives, 1)} per "
        "query), which the mask removes from the loss."
    )


def unbiasedness_caption(shown: SamplingStudy) -> str:
    """Distance from the true distribution at the end of training, with and without correction."""
    known = shown.converged.dropna(subset="kl")
    is_top_k = known.pool.str.contains(TOP_K)
    drawn, ends = known[~is_top_k], []
    for series in (CORRECTED, UNCORRECTED):
        rows = drawn[drawn.series == series]
        if len(rows):
            worst, _ = _extremes(rows, "kl")
            ends.append(f"{series} at most {formats.decimal(worst.kl)} nats ({worst.pool})")
    if not ends:
        return "No sampler was trained to convergence."
    references = shown.converged.reference.dropna()
    full = f"; the full softmax ends at {formats.decimal(references.iloc[0])}" if len(references) else ""
    text = (
        f"At convergence the distance of the learned distribution from the true one is {formats.listing(ends)}{full}."
    )
    return " ".join([text, *_top_k(known[is_top_k]), *_uniform(drawn[drawn.pool == UNIFORM])])


def _top_k(rows: pd.DataFrame) -> list[str]:
    """Where training against the highest-scored negatives ends."""
    if rows.empty:
        return []
    ends = [f"{formats.decimal(row.kl)} {row.series}" for row in rows.itertuples()]
    return [
        f"Top-k selection ends at {formats.listing(ends)}: it keeps only the highest-scored candidates, for which no "
        "correction is exact."
    ]


def _uniform(rows: pd.DataFrame) -> list[str]:
    """Whether even the uniform sampler needs the correction, and why."""
    kl = rows.set_index("series").kl
    if not {CORRECTED, UNCORRECTED} <= set(kl.index):
        return []
    ends = f"{formats.decimal(kl[UNCORRECTED])} without correction and {formats.decimal(kl[CORRECTED])} with it"
    if kl[UNCORRECTED] <= CLEARLY * kl[CORRECTED]:
        return [f"The uniform sampler ends at {ends}."]
    return [
        f"Even the uniform sampler needs the correction, with {ends}: the positives of a query are always among its "
        "candidates and other items only by chance, so that popular items are pushed down more often. The "
        "more positives a query has, the stronger the effect."
    ]


def both_ways(shown: SamplingStudy, column: str) -> pd.DataFrame:
    """One figure by pool, with and without correction (columns corrected, uncorrected), of pools that have both."""
    known = shown.trained.set_index("pool")
    sides = {"corrected": CORRECTED, "uncorrected": UNCORRECTED}
    return pd.DataFrame({side: known[known.series == series][column] for side, series in sides.items()}).dropna()


def milliseconds(seconds: float) -> str:
    """The time of a step; an en dash if it was not measured."""
    return formats.NO_VALUE if math.isnan(seconds) else f"{1000 * seconds:.1f} ms"


def _extremes(rows: pd.DataFrame, column: str) -> tuple[Any, Any]:
    """The rows with the highest and the lowest value."""
    return rows.loc[rows[column].idxmax()], rows.loc[rows[column].idxmin()]


def _compared(others: list[str]) -> str:
    """What the other models reach, for comparison."""
    return f" For comparison: {formats.listing(others)}." if others else ""


def _named(row: Any) -> str:
    """Another model within a sentence."""
    return str(row.pool).removeprefix(OTHER)
