"""The study of negative sampling: what its files say, as rows."""

from collections.abc import Mapping, Sequence
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
UNIFORM, TOP_K = "uniform", "top-k"
"""A sampler that knows nothing of popularity, and a selection that no correction makes unbiased."""


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


def _pool(sampler: str, selection: str) -> str:
    name = "full softmax" if sampler == "full" else sampler
    return name if selection == "none" else f"{selection} among {name}"


def _series(sampler: str, corrected: object) -> str:
    if sampler == "full" or corrected is None:
        return NEITHER
    return CORRECTED if corrected else UNCORRECTED


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _words(name: str) -> str:
    return formats.sentence(name.replace("_", " "))


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
