"""A group of variants trained, evaluated and compared with each other, and the tables that are written of it."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.data.prepared.tables import Prepared
from bakeoff.evaluation.metrics.formulas import num_relevant
from bakeoff.evaluation.ranking.protocol import Evaluated
from bakeoff.evaluation.stats.intervals import intervals
from bakeoff.evaluation.stats.timing_intervals import half_width, interval_json, middle
from bakeoff.experiments.params import CompareParams
from bakeoff.experiments.training.runner import Experiment, TrainedModel, progress_bar, train_keeping_best
from bakeoff.experiments.training.validation import validation_scores
from bakeoff.experiments.variants.groups import Group, Variant
from bakeoff.experiments.variants.protocol import VariantMetrics, VariantProtocol
from bakeoff.models.neural.spec import SoftmaxParams

LOOKS = 4
"""Times that validation is looked at, evenly spread over the epochs: each look costs a third of an epoch."""


@dataclass(frozen=True)
class VariantResult:
    """What came of a variant.

    Attributes:
        variant: it.
        entry: what the JSON file says.
        metrics: its metrics; of several seeds those of the first.
        scores: primary metric of each warm user, float64 [n]; means over seeds.
        cost: what it cost.
    """

    variant: Variant
    entry: dict[str, Any]
    metrics: VariantMetrics
    scores: NDArray[np.float64]
    cost: dict[str, Any]


def measure_variants(protocol: VariantProtocol) -> list[VariantResult]:
    """Train and evaluate one variant after the other; prints a line for each.

    Raises:
        BakeoffError: a variant can't be trained with its settings.
    """
    group, results = protocol.group, []
    print(f"{group.name}: {len(group.variants)} variants")
    for variant in group.variants:
        start, first = time.perf_counter(), group.shipped.seed
        runs = [_measure(protocol, variant, seed) for seed in range(first, first + group.seeds)]
        results.append(over_seeds(runs))
        _print_result(group, results[-1], time.perf_counter() - start)
    return results


def _measure(protocol: VariantProtocol, variant: Variant, seed: int) -> VariantResult:
    experiment = replace(variant.experiment(protocol.group.shipped, protocol.prepared), seed=seed)
    trained = train_variant(experiment)
    metrics = protocol.evaluate(trained.retriever)
    entry = _entry(variant, trained, metrics, experiment)
    scores = metrics.warm.accuracy[protocol.group.shipped.compare.primary_metric]
    return VariantResult(variant, entry, metrics, scores, _cost(trained, metrics, steps_per_epoch(experiment)))


def over_seeds(runs: Sequence[VariantResult]) -> VariantResult:
    """The means of a variant's runs, one per seed; a single run as it is.

    The entry also has `seeds`, the means over users of the primary metric, by seed.
    """
    if len(runs) == 1:
        return runs[0]
    scores = np.stack([each.scores for each in runs])
    entry = _mean([each.entry for each in runs]) | {"seeds": scores.mean(axis=1).tolist()}
    return replace(runs[0], entry=entry, scores=scores.mean(axis=0), cost=_mean([each.cost for each in runs]))


def _mean(values: Sequence[Any]) -> Any:
    """The mean of numbers, of each value of mappings, and what is the same in all."""
    first = values[0]
    if isinstance(first, Mapping):
        return {name: _mean([each[name] for each in values]) for name in first}
    known = [each for each in values if each is not None]
    return first if all(each == first for each in values) else fmean(known)


def train_variant(experiment: Experiment) -> TrainedModel:
    """Train on the train part and keep the model of the best epoch; the last one without validation events.

    Raises:
        BakeoffError: there is no train event, or the settings don't lead to a usable model.
    """
    prepared = experiment.prepared
    validate = validation_scores(prepared, np.flatnonzero(prepared.valid.lengths))
    return train_keeping_best(experiment, validate, LOOKS, pace=progress_bar)


def false_negatives(trained: TrainedModel) -> int | None:
    """Candidates that the mask of a user's own items caught up to the epoch that is kept; None without a mask."""
    masked = getattr(trained.trainer, "masked", None)
    return None if masked is None else int(masked[0])


def steps_per_epoch(experiment: Experiment) -> int | None:
    """Batches of an epoch; None for a model without batches."""
    settings = experiment.settings
    if not isinstance(settings, SoftmaxParams):
        return None
    return math.ceil(len(experiment.users) / settings.users_per_batch)


def _entry(variant: Variant, trained: TrainedModel, metrics: VariantMetrics, experiment: Experiment) -> dict[str, Any]:
    """What variants.json says about a variant; every epoch sees every user once."""
    caught = None if variant.build is not None else false_negatives(trained)
    epochs, steps = trained.epoch or 0, steps_per_epoch(experiment)
    named = {name: getattr(variant, name) for name in ("name", "model", "label", "base")}
    found = {"selected_epoch": trained.epoch, "num_parameters": trained.num_parameters, **metrics.figures}
    per_query = None if caught is None else caught / (epochs * len(experiment.users))
    per_batch = None if caught is None or steps is None else caught / (epochs * steps)
    false = {"false_negatives_per_query": per_query, "false_negatives_per_batch": per_batch}
    return {**named, "settings": dict(variant.settings), **found, **false}


def _cost(trained: TrainedModel, metrics: VariantMetrics, steps: int | None) -> dict[str, Any]:
    """Seconds of training and epochs; of the epochs the fastest, since other load on the machine only adds time."""
    per_epoch = min((each.wall for each in trained.epoch_costs), default=None)
    return {
        "training_seconds": trained.seconds,
        "seconds_per_epoch": per_epoch,
        "seconds_per_step": per_epoch / steps if per_epoch is not None and steps else None,
        **_median("epoch_cpu_seconds", [each.cpu for each in trained.epoch_costs]),
        **_median("queries_per_cpu_second", metrics.queries_per_cpu_second),
    }


def _median(name: str, values: Sequence[float]) -> dict[str, float]:
    """The median with the ends of its interval; nothing without values."""
    return interval_json(name, middle(values)) if values else {}


def _print_result(group: Group, result: VariantResult, seconds: float) -> None:
    widest = max(len(_title(each)) for each in group.variants)
    metrics = result.entry["metrics"]
    ndcg = next(name for name in metrics if name.startswith("ndcg@"))
    shown = "–" if metrics[ndcg] is None else f"{metrics[ndcg]:.4f}"
    of_folding: Mapping[str, float | None] = result.entry["folding"] or {}
    folding = "".join(f"  {name} {'–' if each is None else f'{each:.3f}'}" for name, each in of_folding.items())
    print(f"  {_title(result.variant):<{widest}}  {ndcg} {shown}{folding}  {seconds:.1f} s", flush=True)


def _title(variant: Variant) -> str:
    base = " (base)" if variant.base and variant.label != "as shipped" else ""
    return f"{variant.model}: {variant.label}{base}"


def with_intervals(results: Sequence[VariantResult], compare: CompareParams, seed: int) -> list[dict[str, Any]]:
    """Entries with the interval of their primary metric and of its difference from the first base, over users.

    Where there are several seeds, the difference has an interval over these as well, by Student's t.
    """
    values = [each.scores for each in results]
    shipped = next(result for result in results if result.variant.base)
    columns = np.stack([*values, *(each - shipped.scores for each in values)], axis=1)
    found = intervals(columns, np.random.default_rng(seed), compare.confidence, compare.resamples)
    ends = pd.DataFrame({"mean": found.mean, "low": found.low, "high": found.high}).to_dict("records")
    return [
        each.entry
        | {"metric": compare.primary_metric, "interval": interval, "difference_to_base": difference}
        | _over_seeds(each.entry, shipped.entry, compare.confidence)
        for each, interval, difference in zip(results, ends[: len(results)], ends[len(results) :], strict=True)
    ]


def _over_seeds(entry: Mapping[str, Any], base: Mapping[str, Any], confidence: float) -> dict[str, Any]:
    """Interval over seeds of the difference from the base; nothing of a single seed."""
    if "seeds" not in entry:
        return {}
    changes = np.subtract(entry["seeds"], base["seeds"])
    reach = half_width(changes, confidence)
    return {"difference_over_seeds": {"low": float(changes.mean()) - reach, "high": float(changes.mean()) + reach}}


def group_json(protocol: VariantProtocol) -> dict[str, Any]:
    """What variants.json says about the group itself."""
    group = protocol.group
    content: dict[str, Any] = {"group": group.name, "sentence": group.sentence}
    if group.left_out:
        content["left_out"] = dict(group.left_out)
    if len(protocol.new_items):
        truth = protocol.warm.truth
        content["new_items"] = {"items": len(protocol.new_items), "events": len(truth.items), "users": len(truth)}
    return content


def variant_user_table(prepared: Prepared, results: Sequence[VariantResult]) -> pa.Table:
    """One row per variant and warm user with truth; folding of the users who were sampled for it."""

    def table(variant: str, metrics: VariantMetrics) -> pa.Table:
        warm, num_test = metrics.warm, num_relevant(metrics.warm.eval_set.truth)
        columns = {"num_test": num_test, **warm.accuracy, **metrics.further}
        return prepared.per_user_table(warm.eval_set.users, columns, variant=variant)

    return pa.concat_tables(table(each.variant.name, each.metrics) for each in results)


def variant_new_user_table(prepared: Prepared, results: Sequence[VariantResult]) -> pa.Table:
    """One row per variant, number of known interactions and new user; no rows where new users are not evaluated."""

    def table(found: Evaluated, variant: str, first: str) -> pa.Table:
        num_test = num_relevant(found.eval_set.truth)
        columns = {"fallback": found.fallback, "num_test": num_test, **found.accuracy}
        return prepared.per_user_table(found.eval_set.users, columns, variant=variant, first_interactions=first)

    asked = [(found, each.variant.name, count) for each in results for count, found in each.metrics.new_users.items()]
    if asked:
        return pa.concat_tables(table(*each) for each in asked)
    return table(results[0].metrics.warm, "", "").slice(0, 0)
