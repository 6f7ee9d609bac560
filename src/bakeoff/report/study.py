"""Figures of the study of negative sampling, from its files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bakeoff.report.formats import sentence
from bakeoff.report.models import SOFTMAX, model_noun, not_asked

CORRECTED, UNCORRECTED, NEITHER = "with logQ correction", "without correction", "nothing to correct"
"""The three series of the softmax DNN."""
OTHER_MODEL = "another model, as shipped"
"""The series of all other models."""
OTHER = "model: "
"""Before the name of another model, since popularity is the name of a sampler too."""
ENDS = ("mean", "low", "high")
NEGATIVES = "softmax.negatives."
UNIFORM, TOP_K = "uniform", "top-k"
"""A sampler that ignores popularity, and a selection for which no correction is exact."""


@dataclass(frozen=True)
class SampledVariant:
    """A variant of the softmax DNN, trained with its own negatives, or another model; judged on validation.

    Attributes:
        pool: where its negatives come from; of another model its name.
        series: CORRECTED, UNCORRECTED, NEITHER or OTHER_MODEL.
        base: whether these are the shipped settings of the softmax DNN.
        mean: of the primary metric over users.
        low: lower end of its interval.
        high: upper end.
        difference: mean, low and high of its difference to the shipped settings on the same users.
        lift: popularity lift of its lists.
        long_tail: long-tail share of its lists.
        coverage: share of the catalogue in its lists.
        folding: mean excess of calibrated scores over relatedness.
        spurious: share of list places that go to unrelated items.
        false_negatives: the user's own items among the candidates of a query, which the mask removed.
        batch_false_negatives: the same of all queries of a batch together.
        step_seconds: measured time of a training step.

    Figures that were not measured are NaN.
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
class ConvergedSampler:
    """A sampler on a catalogue that is small enough to know the true distribution.

    Attributes:
        pool: the sampler.
        series: CORRECTED, UNCORRECTED or NEITHER.
        kl: of the distribution at the end of training from the true one, in nats.
        gradient_error: of the mean gradient, relative to that of the full softmax.
        gradient_cosine: of the angle between the two.
        exact: kl with the classical form of the correction, which leaves the targets as they are; NaN if there is none.
        reference: kl of the full softmax after as many steps; NaN if it is not known.
    """

    pool: str
    series: str
    kl: float
    gradient_error: float
    gradient_cosine: float
    exact: float
    reference: float


@dataclass(frozen=True)
class SamplingStudy:
    """Everything on the page.

    Attributes:
        dataset: title of the data set.
        sentence: what was done.
        metric: the primary metric.
        cutoff: its k.
        trained: one row per variant of the softmax DNN.
        others: one row per other model.
        left_out: sentences on models that could not be trained.
        world: name → value, of the small catalogue.
        method: what was done there.
        converged: one row per sampler and correction.
    """

    dataset: str
    sentence: str
    metric: str
    cutoff: str
    trained: Sequence[SampledVariant]
    others: Sequence[SampledVariant]
    left_out: Sequence[str]
    world: Mapping[str, str]
    method: str
    converged: Sequence[ConvergedSampler]

    @property
    def everyone(self) -> Sequence[SampledVariant]:
        """The variants of the softmax DNN, then the other models."""
        return [*self.trained, *self.others]


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
    rows = [_variant(variant, seconds.get(variant["name"], {}), cutoff) for variant in sampling["variants"]]
    world = unbiasedness.get("world", {})
    return SamplingStudy(
        dataset=dataset["title"],
        sentence=str(sampling["sentence"]),
        metric=metric,
        cutoff=cutoff,
        trained=[row for row in rows if row.series != OTHER_MODEL],
        others=[row for row in rows if row.series == OTHER_MODEL],
        left_out=not_asked(sampling.get("left_out", {})),
        world={
            sentence(name.replace("_", " ")): f"{value:g}" if isinstance(value, float) else str(value)
            for name, value in world.items()
        },
        method=str(unbiasedness.get("sentence", "")),
        converged=[_converged(row) for row in unbiasedness["samplers"]],
    )


def _variant(variant: Mapping[str, Any], cost: Mapping[str, Any], cutoff: str) -> SampledVariant:
    pool, series = _names(variant)
    metrics, folding = variant["metrics"], variant.get("folding") or {}
    mean, low, high = (_number(variant["interval"][end]) for end in ENDS)
    by, by_low, by_high = (_number(variant["difference_to_base"][end]) for end in ENDS)
    return SampledVariant(
        pool=pool,
        series=series,
        base=bool(variant["base"]) and series != OTHER_MODEL,
        mean=mean,
        low=low,
        high=high,
        difference=(by, by_low, by_high),
        lift=_number(metrics.get(f"popularity_lift@{cutoff}")),
        long_tail=_number(metrics.get(f"long_tail_share@{cutoff}")),
        coverage=_number(metrics.get(f"coverage@{cutoff}")),
        folding=_number(folding.get("folding")),
        spurious=_number(folding.get("spurious@10")),
        false_negatives=_number(variant.get("false_negatives_per_query")),
        batch_false_negatives=_number(variant.get("false_negatives_per_batch")),
        step_seconds=_number(cost.get("seconds_per_step")),
    )


def _converged(row: Mapping[str, Any]) -> ConvergedSampler:
    sampler = str(row["sampler"])
    return ConvergedSampler(
        pool=_pool(sampler, "none"),
        series=_series(sampler, row.get("corrected")),
        kl=_number(row["kl"]),
        gradient_error=_number(row["gradient_error"]),
        gradient_cosine=_number(row["gradient_cosine"]),
        exact=_number((row.get("exact_targets") or {}).get("kl")),
        reference=_number(row.get("reference")),
    )


def _names(variant: Mapping[str, Any]) -> tuple[str, str]:
    """Pool and series."""
    if variant["model"] != SOFTMAX:
        return f"{OTHER}{model_noun(variant['model'])}", OTHER_MODEL
    settings = {name.removeprefix(NEGATIVES): value for name, value in variant["settings"].items()}
    sampler = str(settings["sampler"])
    return _pool(sampler, str(settings.get("selection", "none"))), _series(sampler, settings.get("logq_correction"))


def _pool(sampler: str, selection: str) -> str:
    name = "full softmax" if sampler == "full" else sampler
    return name if selection == "none" else f"{selection} among {name}"


def _series(sampler: str, corrected: object) -> str:
    if sampler == "full" or corrected is None:
        return NEITHER
    return CORRECTED if corrected else UNCORRECTED


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
