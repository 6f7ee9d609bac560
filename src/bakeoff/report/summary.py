"""All figures of both pages of the report, computed from the evidence; as numbers in nested dicts for `dvc metrics`."""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bakeoff.evaluation.metrics.table import ACCURACY_LABELS
from bakeoff.report import training
from bakeoff.report.accuracy import BaselineComparison, Difference, Statistics, baseline_standings, means
from bakeoff.report.checks import SCORES, WORDS, Check, State, judge_checks, judge_settings
from bakeoff.report.evidence import Evidence, asked
from bakeoff.report.examples import Example, choose_examples
from bakeoff.report.models import MF, SOFTMAX, look
from bakeoff.report.params import Provenance, ReportParams, provenance
from bakeoff.report.render.figure import Figure
from bakeoff.report.slices import LATER, Slice, all_slices, new_user_slices, visit_slices
from bakeoff.report.topics.base.claims import Claim, ClaimOutcome, without_costs
from bakeoff.report.topics.base.topic import Page, judge_claims, section_notes, topic_figures
from bakeoff.report.topics.explore import Explorer, explorer
from bakeoff.report.topics.popularity import exposure_profile, exposures
from bakeoff.report.training import SettingSearch, TrainingFigure
from bakeoff.report.verdict import Result, Segment, choose, recommendation, segments, verdict_headline


@dataclass(frozen=True)
class Summary:
    """The report as numbers.

    Attributes:
        result: softmax against MF on the primary metric.
        estimates: model, metric, mean, low, high: a row per metric and model, metrics in the order of the tables.
        differences: softmax − MF per metric, p adjusted over all of them.
        standings: every model compared with the best baseline on the primary metric, p adjusted over all of them.
        slices: the primary metric by time since the last known event; empty if the data has no time.
        sessions: the same within an hour of the last known event, from an hour to a day, and later.
        repeats: the same on items that the user had before and on others; empty where nothing is repeated.
        visits: the same where each visit of the test is asked when it begins; empty unless `evaluate.visits`.
        keep_repeats: `split.keep_repeats`: lists may hold what the user had before.
        reads_time: whether a model reads when it is asked.
        order_blind: models that ignore the order of a history.
        cutoff: k of the primary metric: the length of the lists that popularity figures are shown for.
        exposures: popularity and coverage per cutoff and model.
        profile: share of list places by tenth of the catalogue.
        new_users: the primary metric on users held out whole, by the number of their interactions that models know.
        segments: known users by feature and activity, as the better contender serves them; the lowest mean first.
        training: per model.
        searches: how settings were searched; empty without records.
        checks: how far the verdict can be trusted.
        examples: a few users.
        show_ids: whether users are shown by their ids.
        links: what was measured elsewhere, text → address.
        figures: charts of the topics of the page, by their keys.
        notes: anchor of a section → sentences above its charts.
        provenance: what the report was made from.
    """

    result: Result
    estimates: pd.DataFrame
    differences: Sequence[Difference]
    standings: Sequence[BaselineComparison]
    slices: Sequence[Slice]
    sessions: Sequence[Slice]
    repeats: Sequence[Slice]
    visits: Sequence[Slice]
    keep_repeats: bool
    reads_time: bool
    order_blind: Set[str]
    cutoff: int
    exposures: pd.DataFrame
    profile: pd.DataFrame
    new_users: Sequence[Slice]
    segments: Sequence[Segment]
    training: Sequence[TrainingFigure]
    searches: Sequence[SettingSearch]
    checks: Sequence[Check]
    examples: Sequence[Example]
    show_ids: bool
    links: Mapping[str, str]
    figures: Mapping[str, Figure]
    notes: Mapping[str, Sequence[str]]
    provenance: Provenance

    @property
    def models(self) -> list[str]:
        """Names of all that are shown, in order."""
        return list(self.estimates.model.unique())

    @property
    def reasons(self) -> list[str]:
        """Why there is no verdict; empty if there is one."""
        return [WORDS[check.number]["reason"] for check in self.checks if check.state is State.FAILED]

    @property
    def headline(self) -> str:
        """The verdict, or why there is none."""
        later = next((part.difference for part in self.sessions if part.name == LATER), None)
        return verdict_headline(self.result, self.reasons, later)

    @property
    def recommendation(self) -> list[str]:
        """Which contender to ship, and for whom."""
        if self.reasons:
            return ["Clear the failed checks before you ship either contender."]
        choices = {part.name: choose(part.difference, part.standing) for part in self.sessions}
        return recommendation(self.result, self.standings, choices, self.new_users)


@dataclass(frozen=True)
class JudgedClaims:
    """The page of the claims as numbers.

    Attributes:
        claims: the textbook's claims, judged.
        failed: checks that failed on how the settings of both contenders were chosen.
        figures: charts of the topics of the page, by their keys.
        notes: anchor of a section → sentences above its charts.
        explorer: the map of items; None where no model has item embeddings.
        confidence: of the intervals.
        provenance: what the page was made from.
    """

    claims: Sequence[Claim]
    failed: Sequence[Check]
    figures: Mapping[str, Figure]
    notes: Mapping[str, Sequence[str]]
    explorer: Explorer | None
    confidence: float
    provenance: Provenance


def judge_evidence(evidence: Evidence, params: ReportParams) -> JudgedClaims:
    """Judge the textbook's claims, and compute the figures behind them."""
    statistics = Statistics(params.compare.confidence, params.compare.resamples, params.seed)
    return JudgedClaims(
        claims=judge_claims(evidence, params, statistics),
        failed=[
            check
            for check in judge_settings(evidence, params, training.searches(evidence))
            if check.state is State.FAILED
        ],
        figures=topic_figures(evidence, params, statistics, Page.EVIDENCE),
        notes=section_notes(evidence, Page.EVIDENCE),
        explorer=explorer(evidence, params),
        confidence=params.compare.confidence,
        provenance=provenance(params, evidence.data_hash),
    )


def summarize(evidence: Evidence, params: ReportParams) -> Summary:
    """Compute every figure of the report.

    Raises:
        BakeoffError: a record of tuning can't be read.
    """
    accuracy = [f"{name}@{k}" for name in ACCURACY_LABELS for k in params.evaluate.cutoffs]
    primary = params.compare.primary_metric
    statistics = Statistics(params.compare.confidence, params.compare.resamples, params.seed)
    users = evidence.per_user
    columns = [(name, metric) for metric in accuracy for name in evidence.models]
    estimates = statistics.estimates(users(columns), columns)
    differences = statistics.paired(users, [((SOFTMAX, metric), (MF, metric)) for metric in accuracy])
    cutoff = int(primary.partition("@")[2])
    on_primary = means(estimates[estimates.metric == primary])
    d = next(each for each in differences if each.metric == primary)
    ends = d.mean, d.low, d.high, d.p, params.compare.confidence
    result = Result(primary, on_primary[SOFTMAX], on_primary[MF], *ends, d.num_users, d.detectable)
    standings = baseline_standings(users, on_primary, primary, statistics)
    slices, sessions, repeats = all_slices(evidence, primary, statistics)
    new_users = new_user_slices(evidence, primary, statistics)
    searches = training.searches(evidence)
    settings = {name: model.training.get("settings", {}) for name, model in evidence.models.items()}
    ahead = evidence.models[result.ahead].users
    return Summary(
        result=result,
        estimates=estimates,
        differences=differences,
        standings=standings,
        slices=slices,
        sessions=sessions,
        repeats=repeats,
        visits=visit_slices(evidence, primary, statistics),
        keep_repeats=params.split.keep_repeats,
        reads_time=any(chosen.get("use_query_time") for chosen in settings.values()),
        order_blind={name for name, chosen in settings.items() if look(name).is_order_blind(chosen)},
        cutoff=cutoff,
        exposures=exposures(evidence, params.evaluate.cutoffs),
        profile=exposure_profile(evidence, cutoff),
        new_users=new_users,
        segments=segments(ahead, evidence.users, params.data.user_features, primary, params.compare.confidence),
        training=training.training_figures(evidence),
        searches=searches,
        checks=judge_checks(evidence, params, result, standings, slices, sessions, searches),
        examples=choose_examples(evidence, primary, params.compare.example_users, params.report.show_ids),
        show_ids=params.report.show_ids,
        links=params.report.links,
        figures=topic_figures(evidence, params, statistics, Page.REPORT),
        notes=section_notes(evidence, Page.REPORT),
        provenance=provenance(params, evidence.data_hash),
    )


DIGITS = 6
"""Significant digits that are written; further digits differ from machine to machine."""


def metrics(summary: Summary, evidence: Evidence) -> dict[str, Any]:
    """A block per model, differences, standings, new users, the verdict and its checks; only finite numbers."""
    tree: dict[str, Any] = {name: dict(model.metrics["test"]) for name, model in evidence.models.items()}
    for estimate in summary.estimates.itertuples():
        tree[estimate.model][estimate.metric] = estimate.mean
    for part in summary.slices:
        for estimate in part.estimates.itertuples():
            tree[estimate.model].setdefault("time_since_last_event", {})[part.name] = {estimate.metric: estimate.mean}
    names = ("mean", "low", "high", "p", "p_holm")
    differences = {d.metric: {name: getattr(d, name) for name in names} for d in summary.differences}
    tree["difference"] = {"softmax_vs_mf": differences}
    compared = {each.model: _standing_metrics(each) for each in summary.standings}
    tree["best_baseline"] = {summary.standings[0].baseline: compared}
    known = [part.name for part in summary.new_users]
    tree["new_users"] = {
        name: {first: asked(model.new_users, first)[list(differences)].mean().to_dict() for first in known}
        for name, model in evidence.models.items()
    }
    subjects = {"time_since_last_event": summary.slices, "repeats": summary.repeats, "visits": summary.visits}
    for subject, parts in subjects.items():
        if parts:
            tree[subject] = {part.name: _slice_metrics(part) for part in parts}
    for name, model in evidence.models.items():
        tree[name]["sampled"] = dict(model.metrics["sampled"])
    tree["verdict"] = summary.result.to_metrics()
    tree["checks"] = {check.number: SCORES[check.state] for check in summary.checks}
    return _numbers(tree)


def _standing_metrics(standing: BaselineComparison) -> dict[str, float]:
    """Both means, their difference and its interval."""
    means = {"mean": standing.mean, "baseline_mean": standing.baseline_mean, "difference": standing.difference.mean}
    return means | _interval_metrics(standing.difference)


def _slice_metrics(part: Slice) -> dict[str, float]:
    """Users of a slice, the means of both contenders and the interval of their difference."""
    found = means(part.estimates)
    figures = {"num_users": part.num_users, SOFTMAX: found[SOFTMAX], MF: found[MF]}
    return figures | _interval_metrics(part.difference)


def _interval_metrics(difference: Difference) -> dict[str, float]:
    return {"low": difference.low, "high": difference.high, "p": difference.p_holm}


OUTCOMES = {ClaimOutcome.HELD: 1, ClaimOutcome.SMALL: 0, ClaimOutcome.CONTRADICTED: -1}
"""Outcome of a part → number; a part without enough data has none."""


def claim_metrics(claims: Sequence[Claim]) -> dict[str, Any]:
    """`claims` → claim → part → its figures and its outcome; without measured costs, which differ from run to run."""
    found = {
        claim.key: {
            part.words.key: {
                **{name: getattr(part, name) for name in ("first", "second", "difference", "low", "high")},
                "p_holm": part.p,
                "outcome": OUTCOMES.get(part.outcome, math.nan),
            }
            for part in claim.parts
        }
        for claim in map(without_costs, claims)
        if claim.parts
    }
    return _numbers({"claims": found})


def _numbers(tree: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            kept[key] = _numbers(value)
        elif isinstance(value, int):
            kept[key] = value
        elif isinstance(value, float) and math.isfinite(value):
            kept[key] = float(f"{value:.{DIGITS}g}")
    return kept
