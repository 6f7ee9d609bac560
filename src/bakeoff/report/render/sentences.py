"""What to see in each chart, in one sentence made from its figures."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.evaluation.stats.significance import Verdict
from bakeoff.report import formats
from bakeoff.report.accuracy import Difference, Estimate
from bakeoff.report.evidence import Evidence
from bakeoff.report.exposure import WATCHED
from bakeoff.report.models import MF, SOFTMAX, baselines, look, model_noun
from bakeoff.report.new_users import NewUserFigure
from bakeoff.report.slices import Slice, share_within_an_hour
from bakeoff.report.summary import Summary
from bakeoff.report.training import SettingSearch, TrainingFigure
from bakeoff.report.vs_baseline import BaselineComparison


def accuracy_caption(estimates: Sequence[Estimate]) -> str:
    """Which model has the highest mean, and on how many metrics."""
    rows = [list(row) for _, row in groupby(estimates, key=lambda e: e.metric)]
    best = [max(row, key=lambda e: e.mean).model for row in rows]
    leader = max(dict.fromkeys(best), key=best.count)
    won = best.count(leader)
    where = "on every metric" if won == len(best) else f"on {won} of {len(best)} metrics"
    return (
        f"{formats.sentence(model_noun(leader))} has the highest mean {where}. Whether a gap is "
        "more than chance is shown by the paired differences below: the intervals here are wider, since they ignore "
        "that all models were asked about the same users."
    )


def differences_caption(rows: Sequence[Difference]) -> str:
    """How many differences favour each contender."""
    found = [row.verdict for row in rows]
    ahead, behind, none = (found.count(v) for v in (Verdict.BETTER, Verdict.WORSE, Verdict.NO_EVIDENCE))
    favour, favour_mf = (_verb(number, "favours", "favour") for number in (ahead, behind))
    return (
        f"Judged together, {ahead or 'none'} of {len(rows)} differences {favour} the softmax DNN, {behind or 'none'} "
        f"{favour_mf} MF, and {none or 'none'} {_verb(none, 'shows', 'show')} no evidence for either."
    )


def user_differences_caption(values: NDArray[np.float64]) -> str:
    """How many users gain, lose and see nothing."""
    ahead, behind = float((values > 0).mean()), float((values < 0).mean())
    return (
        f"The softmax DNN is ahead for {formats.percent(ahead, 0)} of users, MF for "
        f"{formats.percent(behind, 0)}, and for {formats.percent(1 - ahead - behind, 0)} they score the "
        "same: a better mean is not better for everyone."
    )


def standings_caption(rows: Sequence[BaselineComparison], confidence: float) -> str:
    """Which models are better or worse than the best baseline, and which are not shown to be either."""
    names = {
        verdict: [model_noun(row.model) for row in rows if row.verdict(confidence) is verdict] for verdict in Verdict
    }
    clear = ((names[Verdict.BETTER], "better"), (names[Verdict.WORSE], "worse"))
    parts = [f"{formats.listing(found)} {_verb(len(found), 'is', 'are')} {word}" for found, word in clear if found]
    if unclear := names[Verdict.NO_EVIDENCE]:
        parts.append(f"no evidence of a difference for {formats.listing(unclear)}")
    return (
        f"{formats.sentence(model_noun(rows[0].baseline))} is the best of the baselines "
        f"({formats.decimal(rows[0].baseline_mean, 3)}). Compared with it, {'; '.join(parts)}."
    )


def slices_caption(parts: Sequence[Slice], order_blind: frozenset[str], confidence: float) -> str:
    """How many test events are near, who is ahead near and far, and where a baseline beats both contenders."""
    near, far = parts[0], parts[-1]

    def both(part: Slice) -> str:
        means = {e.model: formats.decimal(e.mean, 3) for e in part.estimates}
        return f"{means[SOFTMAX]} (softmax DNN) against {means[MF]} (MF)"

    share = formats.percent(share_within_an_hour(parts), 0)
    return (
        f"{share} of test events come within an hour of the last one that the models knew. "
        f"Nearest ({near.name}): {both(near)}; farthest ({far.name}): {both(far)}. "
        f"{_where_baselines_win(parts, order_blind, confidence)}"
    )


def _where_baselines_win(parts: Sequence[Slice], order_blind: frozenset[str], confidence: float) -> str:
    def described(part: Slice) -> str:
        standing = part.standing
        blind = ", order-blind," if standing.baseline in order_blind else ""
        return (
            f"{part.name} ({model_noun(standing.baseline)}{blind} {formats.decimal(standing.baseline_mean, 3)} against "
            f"{formats.decimal(standing.mean, 3)} for {model_noun(standing.model)})"
        )

    shown = [part for part in parts if part.standing.verdict(confidence) is Verdict.WORSE]
    higher = [part for part in parts if part.standing.difference < 0 and part not in shown]
    found = {
        "A baseline is shown to be better than both contenders for": shown,
        "Without evidence of a difference, a baseline has the highest mean for": higher,
    }
    text = [f"{start} {formats.listing([*map(described, rows)])}." for start, rows in found.items() if rows]
    return " ".join(text) or "No baseline has a higher mean than the better contender in any span."


def popularity_profile_caption(profile: pd.DataFrame) -> str:
    """Share of the most popular tenth."""
    head = profile[profile.group == 1].set_index("source").share
    others = [f"{formats.percent(head[name], 0)} in those of {model_noun(name)}" for name in baselines(head.index)]
    return (
        f"The most popular tenth of the catalogue takes {formats.percent(head[MF], 0)} of the places in "
        f"MF's lists and {formats.percent(head[SOFTMAX], 0)} in those of the softmax DNN ({formats.listing(others)}); "
        f"of {WATCHED} it is {formats.percent(head[WATCHED], 0)}."
    )


def new_users_caption(figures: Sequence[NewUserFigure], metric: str) -> str:
    """Both contenders and the best baseline with the fewest and with all interactions; fallbacks are marked."""
    first, last = figures[0].first, figures[-1].first
    values = {(f.model, f.first): f for f in figures}

    def figure(model: str, step: str) -> str:
        found = values[model, step]
        note = ", by its fallback" if found.fallback_share > 0 else ""
        name = model_noun(model).removeprefix("the ")
        return f"{formats.decimal(found.estimate(metric).mean, 3)} ({name}{note})"

    def row(step: str) -> str:
        names = baselines(model for model, of in values if of == step)
        best = max(names, key=lambda name: values[name, step].estimate(metric).mean)
        return f"{figure(SOFTMAX, step)} and {figure(MF, step)}, best baseline {figure(best, step)}"

    known = "nothing" if first == "0" else f"{first} interactions"
    return f"With {known} known: {row(first)}; with {last} earlier interactions known: {row(last)}."


def learning_curves_caption(figures: Sequence[TrainingFigure], metric: str) -> str:
    """Which epochs were chosen, and whether the limit cut a curve short."""
    chosen = [f for f in figures if f.selected_epoch is not None]
    parts = [
        f"{model_noun(f.model)} is best after epoch {f.selected_epoch} of {f.last_epoch} "
        f"({formats.decimal(f.best_value, 3)})"
        for f in chosen
    ]
    cut = [model_noun(f.model) for f in chosen if f.stopped_at_limit]
    limit = "stopped at the limit of epochs: more might have been better."
    warning = f" {formats.sentence(formats.listing(cut))} {limit}" if cut else ""
    return f"On the validation {formats.metric_label(metric)}, {formats.listing(parts)} (large marks).{warning}"


def searches_caption(found: Sequence[SettingSearch]) -> str:
    """The best value of each search, and the trial that found it."""
    parts = []
    for search in found:
        reached = [place for place, value in enumerate(search.history, start=1) if value == search.best]
        last = f" in trial {reached[0]} of {search.trials}" if reached else f" in {search.trials} trials"
        parts.append(f"{model_noun(search.model)} reaches {formats.decimal(search.best, 3)}{last}")
    return (
        f"{formats.sentence(formats.listing(parts))}. A line that still climbs at its end suggests that the search was "
        "too short."
    )


def what_models_see(summary: Summary, evidence: Evidence) -> str:
    """Which parts of the data each contender and the baselines read."""
    settings = {name: model.training["settings"] for name, model in evidence.models.items()}
    mf_scale = settings[MF].get("recency_scale")
    mf = (
        "MF sees a set of items and nothing else."
        if mf_scale is None
        else f"MF sees the items in their order, its fold-in weighs the item at lag l by exp(−l/{mf_scale:g}), and "
        "has no place for features."
    )
    tables = [table for table in ("user", "item") if settings[SOFTMAX].get(f"use_{table}_features", True)]
    features = f" and the features of {' and '.join(f'{table}s' for table in tables)}" if tables else ""
    blind = look(SOFTMAX).is_order_blind(settings[SOFTMAX])
    order = "a history as a set" if blind else "the order of a history, its timing"
    return f"The softmax DNN reads {order}{features}; {mf}{_what_baselines_see(summary)}"


def _what_baselines_see(summary: Summary) -> str:
    shown = baselines(summary.models)
    blind = [model_noun(name) for name in shown if name in summary.order_blind]
    reading = [model_noun(name) for name in shown if name not in summary.order_blind]
    are, weigh = _verb(len(blind), "is", "are"), _verb(len(reading), "weighs", "weigh")
    found = ((blind, f"{are} blind to order"), (reading, f"{weigh} the latest items most"))
    parts = [f"{formats.listing(names)} {words}" for names, words in found if names]
    return f" Of the baselines {', while '.join(parts)}." if parts else ""


def _verb(number: int, one: str, several: str) -> str:
    """The form of a verb for so many; none counts as one."""
    return one if number < 2 else several
