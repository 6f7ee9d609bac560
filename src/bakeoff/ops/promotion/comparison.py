"""The challenger compared with the model in production, on the same users of the current split."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories
from bakeoff.data.prepared.tables import HeldOut, Prepared
from bakeoff.evaluation.metrics import table
from bakeoff.evaluation.params import EvaluateParams
from bakeoff.evaluation.protocol import EvalSet
from bakeoff.experiments.folding import fit_relatedness
from bakeoff.experiments.latency import CALLS, LIST_LENGTH, WARM_UP_CALLS, take_turns
from bakeoff.experiments.params import EvidenceParams
from bakeoff.models.mf.spec import MFParams
from bakeoff.ops.params import PromotionParams
from bakeoff.ops.promotion.decision import PrimaryComparison
from bakeoff.ops.promotion.guardrails import Guardrail, GuardrailMetrics, guardrails
from bakeoff.ops.promotion.served_answers import ExportedModel
from bakeoff.report.accuracy import Statistics
from bakeoff.report.params import CompareParams

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class DecisionSettings:
    """Sections of params.yaml that a decision depends on."""

    seed: int
    promotion: PromotionParams
    compare: CompareParams
    evaluate: EvaluateParams
    evidence: EvidenceParams
    mf: MFParams


def compare_models(
    settings: DecisionSettings,
    prepared: Prepared,
    held_out: HeldOut,
    challenger: ExportedModel,
    champion: ExportedModel,
    *,
    stand_in: bool,
) -> tuple[PrimaryComparison, list[Guardrail], tuple[int, int]]:
    """Ask both models about warm and new users with test items, and compare them user by user.

    Args:
        settings: how both are asked, compared and limited.
        prepared: the current split.
        held_out: its test events.
        challenger: the model that would go into production.
        champion: what is there, or what takes its place.
        stand_in: nothing is in production: the margin plays no part, and guardrails have nothing to compare with.

    Returns:
        the paired difference of warm users on the primary metric; the guardrails that have a limit; and how many warm
        and new users are left out, because the champion was trained on their answers.
    """
    sides = (
        EvalSet.of(prepared, prepared.known(), held_out.test),
        EvalSet.of(prepared, held_out.new_history, held_out.new_test),
    )
    (scores, after), (scores_before, before) = _measure((challenger, champion), sides, prepared, settings)
    leaks = [knows_answers(champion.known(side), side.queries.histories, side.truth) for side in sides]
    margin = 0.0 if stand_in else settings.promotion.margin
    primary, of_new = (_paired(*pair, settings, margin) for pair in zip(scores, scores_before, leaks, strict=True))
    rails = guardrails(
        settings.promotion.guardrails,
        settings.compare.primary_metric,
        replace(after, new_users=of_new.challenger),
        None if stand_in else replace(before, new_users=of_new.champion),
        (math.nan, math.nan) if stand_in else (of_new.low, of_new.high),
    )
    return primary, rails, (int(leaks[0].sum()), int(leaks[1].sum()))


def knows_answers(known: Histories, given: Histories, truth: Histories) -> NDArray[np.bool_]:
    """Bool [n], whether a model was trained on an item of the truth that is not in the history that it is given.

    Its answers about such a user say nothing. With a split by each user's time, on data to which events are only
    appended, there is none: what is test now came after what was known then.

    Args:
        known: n rows, what the model was trained on.
        given: n rows, the history that it is given now; an item of both parts is no secret.
        truth: n rows, the test items.
    """
    stride = 1 + max(part.items.max(initial=0) for part in (known, given, truth))

    def pairs(part: Histories) -> NDArray[np.int64]:
        return part.rows * np.int64(stride) + part.items

    secret = np.setdiff1d(pairs(truth), pairs(given))
    leaked = np.intersect1d(secret, pairs(known)) // stride
    return np.bincount(leaked, minlength=len(truth)) > 0


def _measure(
    models: tuple[ExportedModel, ...], sides: tuple[EvalSet, EvalSet], prepared: Prepared, settings: DecisionSettings
) -> list[tuple[list[FloatArray], GuardrailMetrics]]:
    """Ask each model about warm and new users, and measure its lists as stage `evaluate` does.

    Returns:
        for each model the primary metric of each warm and of each new user, and what the guardrails limit; the mean of
        new users is not known yet.
    """
    metric, mf, relatedness = settings.compare.primary_metric, settings.mf, None
    k = int(metric.partition("@")[2])
    if settings.promotion.guardrails.spurious_rise is not None:
        weight = settings.evidence.relatedness_weight
        relatedness = fit_relatedness(prepared.known(), prepared.num_items, mf, weight, settings.seed)
    given, found = sides[0].queries.histories, []
    for model, seconds in zip(models, _p95(models, sides[0] if len(sides[0]) else sides[1], settings), strict=True):
        lists = [model.lists(side, max(settings.evaluate.list_length, k)) for side in sides]
        scores = [table.accuracy_per_user(of, side.truth, (k,))[metric] for of, side in zip(lists, sides, strict=True)]
        popularity = table.popularity_per_user(lists[0], given, prepared.train_counts, prepared.num_warm_users, (k,))
        lift = table.of_all_lists(lists[0], popularity, prepared.num_items, (k,))[f"popularity_lift@{k}"]
        spurious = math.nan
        if relatedness is not None:
            shares = relatedness.spurious_at_k(lists[0].items, sides[0].users, k)
            spurious = table.means({"spurious": shares})["spurious"]
        found.append((scores, GuardrailMetrics(math.nan, lift, spurious, seconds, model.num_bytes)))
    return found


def _p95(models: tuple[ExportedModel, ...], people: EvalSet, settings: DecisionSettings) -> list[float]:
    """Seconds of one query about one person, the models in turns; NaN where there is nobody to ask about."""
    if len(people) == 0:
        return [math.nan] * len(models)
    rows = np.resize(np.random.default_rng(settings.seed).permutation(len(people)), WARM_UP_CALLS + CALLS[1])
    calls = {str(place): model.single_calls(people, rows, LIST_LENGTH) for place, model in enumerate(models)}
    timed = take_turns(calls, CALLS[1], settings.evidence.serving_seconds)
    return [float(np.percentile(times, 95)) for times in timed.values()]


def _paired(
    first: FloatArray, second: FloatArray, left_out: NDArray[np.bool_], settings: DecisionSettings, margin: float
) -> PrimaryComparison:
    """Means and their difference over the users who have both and are not left out; NaN without any."""
    both = ~(np.isnan(first) | np.isnan(second) | left_out)
    metric, level = settings.compare.primary_metric, settings.compare.confidence
    if not both.any():
        nan = math.nan
        return PrimaryComparison(metric, nan, nan, nan, nan, nan, nan, 0, margin, level)
    statistics = Statistics(level, settings.compare.resamples, settings.seed)
    [found] = statistics.differences([first[both]], [second[both]], [metric])
    means = float(first[both].mean()), float(second[both].mean())
    return PrimaryComparison(
        metric, *means, found.mean, found.low, found.high, found.p, found.num_users, margin=margin, confidence=level
    )
