"""Figures of the study of negative sampling, from its files, and what to see in each of its charts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev
from typing import Any

import pandas as pd

from bakeoff.report import formats
from bakeoff.report.evidence import figure
from bakeoff.report.models import SOFTMAX, model_noun, not_asked

CORRECTED, UNCORRECTED, NEITHER = "with logQ correction", "without correction", "nothing to correct"
"""The three series of the softmax DNN."""
OTHER_MODEL = "another model, as shipped"
"""The series of all other models."""
OTHER = "model: "
"""Before the name of another model, since popularity is the name of a sampler too."""
NEGATIVES = "softmax.negatives."
UNIFORM, TOP_K = "uniform", "top-k"
"""A sampler that ignores popularity, and a selection for which no correction is exact."""
CLEARLY = 10
"""A sampler needs the correction if without it the KL divergence is at least this many times as large."""
SAMPLER_FIGURES = ("kl", "gradient_error", "gradient_cosine", "exact", "reference")


@dataclass(frozen=True)
class SamplingStudy:
    """Everything on the page. Figures that were not measured are NaN.

    Attributes:
        dataset: title of the data set.
        sentence: what was done.
        metric: the primary metric.
        cutoff: its k.
        trained: one row per variant of the softmax DNN, each trained with its own negatives and judged on validation:
            pool: where its negatives come from;
            series: CORRECTED, UNCORRECTED or NEITHER;
            base: whether these are the shipped settings;
            mean, low, high: the primary metric over users with its interval;
            seeds, spread: how many, and the standard deviation of the primary metric over them;
            difference, difference_low, difference_high: to the shipped settings on the same users;
            clear: 1 where the difference is above 0 by its intervals over users and over seeds, −1 where below, or 0;
            lift, long_tail, coverage: popularity lift, long-tail share and coverage of its lists;
            folding, spurious: mean excess of calibrated scores over relatedness, share of list places that go to
            unrelated items;
            false_negatives, batch_false_negatives: the user's own items among the candidates of a query, or of all
            queries of a batch together, which the mask removed;
            step_seconds: measured time of a training step.
        others: one row per other model, with the same columns: its name as `pool`, OTHER_MODEL as `series`.
        left_out: sentences on models that could not be trained.
        world: name → value, of the small catalogue.
        method: what was done there.
        converged: one row per sampler and correction on a catalogue that is small enough to know the true distribution:
            pool, series: as above;
            kl: of the distribution at the end of training from the true one, in nats;
            gradient_error, gradient_cosine: of the mean gradient, relative to that of the full softmax;
            exact: kl with the classical form of the correction, which leaves the targets as they are;
            reference: kl of the full softmax after as many steps.
    """

    dataset: str
    sentence: str
    metric: str
    cutoff: str
    trained: pd.DataFrame
    others: pd.DataFrame
    left_out: Sequence[str]
    world: Mapping[str, Any]
    method: str
    converged: pd.DataFrame

    @property
    def everyone(self) -> pd.DataFrame:
        """The variants of the softmax DNN, then the other models."""
        return pd.concat([self.trained, self.others], ignore_index=True)


def read_study(
    sampling: Mapping[str, Any], cost: Mapping[str, Any], unbiasedness: Mapping[str, Any], dataset: Mapping[str, str]
) -> SamplingStudy:
    """The study from the content of its files.

    Args:
        sampling: studies/sampling.json.
        cost: studies/sampling_cost.json.
        unbiasedness: studies/unbiasedness.json.
        dataset: data/dataset.json.
    """
    metric = str(sampling["variants"][0]["metric"])
    cutoff, seconds = metric.partition("@")[2], cost.get("variants", {})
    variants = sampling["variants"]
    rows = pd.DataFrame([_variant(variant, seconds.get(variant["name"], {}), cutoff) for variant in variants])
    is_other = rows.series == OTHER_MODEL
    return SamplingStudy(
        dataset=dataset["title"],
        sentence=str(sampling["sentence"]),
        metric=metric,
        cutoff=cutoff,
        trained=rows[~is_other].reset_index(drop=True),
        others=rows[is_other].reset_index(drop=True),
        left_out=not_asked(sampling.get("left_out", {})),
        world=unbiasedness.get("world", {}),
        method=str(unbiasedness.get("sentence", "")),
        converged=pd.DataFrame(
            [_converged(row) for row in unbiasedness["samplers"]], columns=["pool", "series", *SAMPLER_FIGURES]
        ),
    )


def _variant(variant: Mapping[str, Any], cost: Mapping[str, Any], cutoff: str) -> dict[str, Any]:
    pool, series = _names(variant)
    metrics, interval, change = variant["metrics"], variant["interval"], variant["difference_to_base"]
    seeds, both = variant.get("seeds", ()), [change, variant.get("difference_over_seeds", change)]
    return {
        "pool": pool,
        "series": series,
        "base": bool(variant["base"]) and series != OTHER_MODEL,
        **{end: figure(interval, end) for end in ("mean", "low", "high")},
        "difference": figure(change, "mean"),
        "difference_low": figure(change, "low"),
        "difference_high": figure(change, "high"),
        "clear": int(all(each["low"] > 0 for each in both)) - int(all(each["high"] < 0 for each in both)),
        "seeds": max(1, len(seeds)),
        "spread": stdev(seeds) if len(seeds) > 1 else math.nan,
        "lift": figure(metrics, f"popularity_lift@{cutoff}"),
        "long_tail": figure(metrics, f"long_tail_share@{cutoff}"),
        "coverage": figure(metrics, f"coverage@{cutoff}"),
        "folding": figure(variant.get("folding"), "folding"),
        "spurious": figure(variant.get("folding"), "spurious@10"),
        "false_negatives": figure(variant, "false_negatives_per_query"),
        "batch_false_negatives": figure(variant, "false_negatives_per_batch"),
        "step_seconds": figure(cost, "seconds_per_step"),
    }


def _converged(row: Mapping[str, Any]) -> dict[str, Any]:
    pool, series = _sampler_names(str(row["sampler"]), row.get("corrected"))
    figures = {**row, "exact": figure(row.get("exact_targets"), "kl")}
    return {"pool": pool, "series": series, **{name: figure(figures, name) for name in SAMPLER_FIGURES}}


def _names(variant: Mapping[str, Any]) -> tuple[str, str]:
    """Pool and series."""
    if variant["model"] != SOFTMAX:
        return f"{OTHER}{model_noun(variant['model'])}", OTHER_MODEL
    settings = {name.removeprefix(NEGATIVES): value for name, value in variant["settings"].items()}
    sampler, selection = str(settings["sampler"]), str(settings.get("selection", "none"))
    pool, series = _sampler_names(sampler, settings.get("logq_correction"))
    return pool if selection == "none" else f"{selection} among {pool}", series


def _sampler_names(sampler: str, corrected: bool | None) -> tuple[str, str]:
    if sampler == "full":
        return "full softmax", NEITHER
    return sampler, NEITHER if corrected is None else CORRECTED if corrected else UNCORRECTED


def quality_caption(shown: SamplingStudy) -> str:
    """Which variant is ahead, and how many differ from the shipped settings by their intervals."""
    best = shown.trained.sort_values("mean", ascending=False, kind="stable").iloc[0]
    others = shown.trained[~shown.trained.base]
    above, below, seeds = (others.clear > 0).sum(), (others.clear < 0).sum(), others.seeds.max()
    shipped = "; these are the shipped settings" if best.base else ""
    text = (
        f"{formats.sentence(best.pool)}, {best.series}, has the highest mean of the softmax DNN "
        f"({formats.decimal(best['mean'])}{shipped}). "
        f"By the intervals of their differences to the shipped settings{_over(seeds)}, each taken by itself, {above} "
        f"of {len(others)} variants are better and {below} worse."
    )
    means, rows = shown.trained["mean"], shown.others.itertuples()
    ranks = [(row, f"above {(row.mean > means).sum()} of its {len(means)} means") for row in rows]
    return text + _compared([f"{row.pool} ({formats.decimal(row.mean)}, {rank})" for row, rank in ranks])


def _over(seeds: int) -> str:
    return f", over users and over {seeds} seeds" if seeds > 1 else ""


def correction_caption(shown: SamplingStudy) -> str:
    """Effect of the correction on the primary metric, over the pools that were tried both ways."""
    pairs = both_ways(shown, "mean")
    if pairs.empty:
        return "No sampler was tried both with and without correction."
    most = pairs.gain.abs().idxmax()
    return (
        f"The correction raises the mean {formats.metric_label(shown.metric)} for {(pairs.gain > 0).sum()} of "
        f"{len(pairs)} pools; it matters most for {most} ({formats.signed(pairs.gain[most])})."
    )


def lift_caption(shown: SamplingStudy) -> str:
    """Effect of the correction on the popularity of lists, likewise, and the popularity of other models' lists."""
    pairs = both_ways(shown, "lift")
    if pairs.empty:
        return "The effect of the correction on the popularity of lists was not measured."
    most = pairs.gain.abs().idxmax()
    before, after = (formats.signed_percent(pairs[side][most]) for side in ("uncorrected", "corrected"))
    text = (
        f"The correction raises the popularity lift for {(pairs.gain > 0).sum()} of {len(pairs)} pools; the largest "
        f"change is that of {most}, from {before} to {after}. Without it, items that a sampler draws often are pushed "
        "down."
    )
    others = shown.others.dropna(subset="lift").itertuples()
    return text + _compared([f"{row.pool} ({formats.signed_percent(row.lift)})" for row in others])


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
    most, least = (formats.duration(row.step_seconds) for row in (slow, fast))
    text = (
        f"A step takes from {least} ({fast.pool}) to {most} ({slow.pool}), "
        f"{formats.times(slow.step_seconds / fast.step_seconds)} as long, on this catalogue. A step of the full "
        "softmax scores every item of the catalogue, a step against samples only those that were drawn."
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
    kl = rows.drop_duplicates("series", keep="last").set_index("series").kl
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
    """One figure by pool, corrected and uncorrected, and the gain from it, of pools that have both."""
    known = shown.trained.drop_duplicates(["pool", "series"], keep="last").set_index("pool")
    sides = {"corrected": CORRECTED, "uncorrected": UNCORRECTED}
    both = pd.DataFrame({side: known[known.series == series][column] for side, series in sides.items()}).dropna()
    return both.assign(gain=both.corrected - both.uncorrected)


def _extremes(rows: pd.DataFrame, column: str) -> tuple[Any, Any]:
    """The rows with the highest and the lowest value."""
    return rows.loc[rows[column].idxmax()], rows.loc[rows[column].idxmin()]


def _compared(others: list[str]) -> str:
    """What the other models reach, for comparison; each text starts with a pool."""
    return f" For comparison: {formats.listing([text.removeprefix(OTHER) for text in others])}." if others else ""
