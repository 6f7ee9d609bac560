"""The challenger compared with the model in production, on the same users of the current split.

Exported models are ranked on it, whatever vocabulary and features they have.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.core.histories import PAD, Histories, Queries
from bakeoff.data.prepared.tables import HeldOut, Prepared
from bakeoff.evaluation.metrics import table
from bakeoff.evaluation.metrics.formulas import FloatArray
from bakeoff.evaluation.ranking import TopLists
from bakeoff.evaluation.ranking.protocol import EvalSet, Evaluated
from bakeoff.experiments.folding import fit_relatedness
from bakeoff.experiments.latency import CALLS, LoadedExport, calls_by_history, take_turns
from bakeoff.models.base.loading import extras_of, raw_table
from bakeoff.models.base.storage import KnownUsers, read_items, read_known_users
from bakeoff.models.mf.spec import MFParams
from bakeoff.ops.params import PromotionParams
from bakeoff.ops.promotion.decision import Guardrail, PrimaryComparison, guardrails
from bakeoff.report.accuracy import Statistics
from bakeoff.report.params import ReportParams


class ExportedModel:
    """An exported model whose queries and lists are in terms of the current split."""

    def __init__(self, export: LoadedExport, item_ids: Sequence[str], users: KnownUsers, prepared: Prepared) -> None:
        """Take a model and the current split.

        Args:
            export: the model.
            item_ids: its catalogue, in its order.
            users: that it was trained on.
            prepared: the current split, for its users and catalogue.
        """
        from bakeoff.models.base.encoder import EncoderRetriever  # imports TensorFlow

        self.export, self._users, self._prepared = export, users, prepared
        self._retriever = EncoderRetriever(export.module)
        current, own = pd.Index(prepared.item_ids.to_pylist()), pd.Index(item_ids)
        self._own_places = own.get_indexer(current).astype(np.int32)
        self._current_places = np.append(current.get_indexer(own), PAD).astype(np.int32)  # the last is that of PAD, −1

    @classmethod
    def load(cls, folder: Path, prepared: Prepared) -> Self:
        """The model of a directory.

        Raises:
            BakeoffError: there is no such model, or it lacks a file.
        """
        export, extras = LoadedExport.load(folder), extras_of(folder)
        items = read_items(extras, ids_only=True)["item_id"].astype(str)
        return cls(export, items.tolist(), read_known_users(extras), prepared)

    def lists(self, eval_set: EvalSet, length: int, users_per_block: int) -> TopLists:
        """What the model recommends to each, [n, length], ranked by the code that ranks in stage `evaluate`.

        Items that only the model knows keep their place, as PAD: nobody can have them any more. Items that the model
        does not know are left out of the histories and are never recommended.
        """
        found = self._in_own_terms(eval_set).rank(self._retriever, length, users_per_block)
        return TopLists(self._current_places[found.items], found.scores)

    def known(self, users: NDArray[np.integer]) -> Histories:
        """What the model was trained on of each of n users, in current items; empty where it does not know the user."""
        rows, found = self._users.rows, self._users.queries.histories.renumbered(self._current_places)
        with_nobody = replace(found, offsets=np.append(found.offsets, found.offsets[-1]))
        ids = self._prepared.user_ids(users).to_pylist()
        return with_nobody.take(np.array([rows.get(user, len(rows)) for user in ids], np.int64))

    def _in_own_terms(self, eval_set: EvalSet) -> EvalSet:
        """The same queries, with the model's places of items and its encoding of the users' features."""
        people: pd.DataFrame = self._prepared.users.take(pa.array(eval_set.users)).to_pandas()
        encoded = self.export.features.encode(raw_table(self.export.features, people))
        given, *others = (
            histories.renumbered(self._own_places)
            for histories in (eval_set.queries.histories, eval_set.exclude, eval_set.truth, eval_set.earlier)
        )
        queries = Queries(given, encoded.dense, encoded.categorical, eval_set.queries.times)
        return EvalSet(eval_set.users, queries, *others)


class DecisionSettings(ReportParams, Protocol):
    """What a decision reads of `params.yaml`: what the report reads, and the sections of promotion and MF."""

    @property
    def promotion(self) -> PromotionParams:
        """Who challenges, and what it must show."""

    @property
    def mf(self) -> MFParams:
        """Settings of the fit from which relatedness is read."""


def compare_models(
    settings: DecisionSettings,
    prepared: Prepared,
    held_out: HeldOut,
    challenger: ExportedModel,
    champion: ExportedModel,
    *,
    stand_in: bool,
    champion_share: float = math.nan,
) -> tuple[PrimaryComparison, list[Guardrail], tuple[int, int]]:
    """Ask both models about warm and new users with test items, and compare them user by user.

    Args:
        settings: how both are asked, compared and limited.
        prepared: the current split.
        held_out: its test events.
        challenger: the model that would go into production.
        champion: what is there, or what takes its place.
        stand_in: nothing is in production: the margin plays no part, and guardrails have nothing to compare with.
        champion_share: the most of the interleaved lists that the champion may win; NaN where it plays no part.

    Returns:
        the paired difference of warm users on the primary metric; the guardrails that have a limit; and how many warm
        and new users are left out, because the champion was trained on their answers.
    """
    sides = (
        EvalSet.of(prepared, prepared.known(), held_out.test),
        EvalSet.of(prepared, held_out.new_history, held_out.new_test),
    )
    (scores, after), (scores_before, before) = _measure((challenger, champion), sides, prepared, settings)
    leaks = [knows_answers(champion.known(side.users), side.queries.histories, side.truth) for side in sides]
    margin = 0.0 if stand_in else settings.promotion.margin
    primary, of_new = (_paired(*pair, settings, margin) for pair in zip(scores, scores_before, leaks, strict=True))
    after |= {"new_user_loss": of_new.challenger, "champion_online_share": champion_share}
    compared = {} if stand_in else before | {"new_user_loss": of_new.champion}
    limits, metric = settings.promotion.guardrails, settings.compare.primary_metric
    rails = guardrails(limits, metric, after, compared, (of_new.low, of_new.high))
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
    secret = np.setdiff1d(truth.keys(stride), given.keys(stride))
    leaked = np.intersect1d(secret, known.keys(stride)) // stride
    return np.bincount(leaked, minlength=len(truth)) > 0


def _measure(
    models: Sequence[ExportedModel], sides: Sequence[EvalSet], prepared: Prepared, settings: DecisionSettings
) -> list[tuple[list[FloatArray], dict[str, float]]]:
    """Rank for warm and new users with both models, and measure the lists as stage `evaluate` does.

    Returns:
        for each model the primary metric of each warm and of each new user, and what the guardrails limit by their
        names, but for the mean of new users and what is known from the log.
    """
    metric, mf, params, relatedness = settings.compare.primary_metric, settings.mf, settings.evaluate, None
    k = int(metric.partition("@")[2])
    length = max(params.list_length, k)
    if settings.promotion.guardrails.spurious_rise is not None:
        weight = settings.evidence.relatedness_weight
        relatedness = fit_relatedness(prepared.known(), prepared.num_items, mf, weight, settings.seed)
    p95, found = _p95(models, sides[0] if len(sides[0]) else sides[1], prepared, settings), []
    for model, seconds in zip(models, p95, strict=True):
        lists = [model.lists(side, length, params.users_per_block) for side in sides]
        warm, new = (Evaluated(side, of, (k,)) for side, of in zip(sides, lists, strict=True))
        together = table.of_all_lists(warm.lists, warm.popularity(prepared), prepared.num_items, (k,))
        measured: dict[str, float] = {"popularity_lift_rise": together[f"popularity_lift@{k}"]}
        if relatedness is not None:
            shares = relatedness.spurious_at_k(warm.lists.items, warm.eval_set.users, k)
            measured |= table.means({"spurious_rise": shares})
        measured |= {"p95_seconds": seconds, "model_bytes": model.export.num_bytes}
        found.append(([each.accuracy[metric] for each in (warm, new)], measured))
    return found


def _p95(models: Sequence[ExportedModel], side: EvalSet, prepared: Prepared, settings: DecisionSettings) -> list[float]:
    """Seconds of one query about one person, the models in turns; NaN where there is nobody to ask about."""
    if len(side) == 0:
        return [math.nan] * len(models)
    order = np.random.default_rng(settings.seed).permutation(len(side))
    exports = {str(place): model.export for place, model in enumerate(models)}
    calls = calls_by_history(exports, prepared, side.users[order], side.queries.histories.take(order))
    timed = take_turns(calls, CALLS[1], settings.evidence.serving_seconds)
    return [float(np.percentile(times, 95)) for times in timed.values()]


def _paired(
    first: FloatArray, second: FloatArray, left_out: NDArray[np.bool_], settings: DecisionSettings, margin: float
) -> PrimaryComparison:
    """Means and their difference over the users who have both and are not left out; NaN without any."""
    both = ~(np.isnan(first) | np.isnan(second) | left_out)
    metric, level = settings.compare.primary_metric, settings.compare.confidence
    statistics = Statistics(level, settings.compare.resamples, settings.seed)
    [d] = statistics.differences((first - second)[both][:, np.newaxis], [metric])
    mean, mean_before = (float(side[both].mean()) if both.any() else math.nan for side in (first, second))
    return PrimaryComparison(metric, mean, mean_before, d.mean, d.low, d.high, d.p, d.num_users, margin, level)
