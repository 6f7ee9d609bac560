"""Figures of the study of negative sampling, from its files."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev
from typing import Any

import pandas as pd

from bakeoff.report.evidence import figure
from bakeoff.report.models import SOFTMAX, model_noun, not_asked

CORRECTED, UNCORRECTED, NEITHER = "with logQ correction", "without correction", "nothing to correct"
"""The three series of the softmax DNN."""
OTHER_MODEL = "another model, as shipped"
"""The series of all other models."""
OTHER = "model: "
"""Before the name of another model, since popularity is the name of a sampler too."""
NEGATIVES = "softmax.negatives."
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


def both_ways(shown: SamplingStudy, column: str) -> pd.DataFrame:
    """One figure by pool, corrected and uncorrected, and the gain from it, of pools that have both."""
    known = shown.trained.drop_duplicates(["pool", "series"], keep="last").set_index("pool")
    sides = {"corrected": CORRECTED, "uncorrected": UNCORRECTED}
    both = pd.DataFrame({side: known[known.series == series][column] for side, series in sides.items()}).dropna()
    return both.assign(gain=both.corrected - both.uncorrected)
