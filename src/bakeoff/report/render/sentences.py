"""What to see in each chart, in one sentence made from its figures."""

from collections.abc import Sequence
from itertools import groupby

import pandas as pd

from bakeoff.evaluation.stats.significance import Verdict
from bakeoff.report import formats
from bakeoff.report.accuracy import Difference, Estimate
from bakeoff.report.exposure import WATCHED
from bakeoff.report.models import MF, SOFTMAX, model_noun
from bakeoff.report.new_users import NewUserFigure, known_interactions
from bakeoff.report.situations import Segment, weakest
from bakeoff.report.slices import Slice, share_within_an_hour
from bakeoff.report.training import SettingSearch, TrainingFigure
from bakeoff.report.verdict import Result
from bakeoff.report.vs_baseline import BaselineComparison


def accuracy_caption(estimates: Sequence[Estimate]) -> str:
    """Which model has the highest mean, and on how many metrics."""
    rows = [list(row) for _, row in groupby(estimates, key=lambda e: e.metric)]
    best = [max(row, key=lambda e: e.mean).model for row in rows]
    leader = max(dict.fromkeys(best), key=best.count)
    won = best.count(leader)
    where = "on every metric" if won == len(best) else f"on {won} of {len(best)} metrics"
    return (
        f"{formats.sentence(model_noun(leader))} has the highest mean {where}. The paired differences below show "
        "whether a gap is more than chance."
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


def slices_caption(parts: Sequence[Slice]) -> str:
    """How many test events are near."""
    share = formats.percent(share_within_an_hour(parts), 0)
    return f"{share} of test events come within an hour of the last one that the models knew."


def popularity_profile_caption(profile: pd.DataFrame) -> str:
    """Share of the most popular tenth."""
    head = profile[profile.group == 1].set_index("source").share
    return (
        f"The most popular tenth of the catalogue takes {formats.percent(head[MF], 0)} of the places in "
        f"MF's lists and {formats.percent(head[SOFTMAX], 0)} in those of the softmax DNN; of {WATCHED} it is "
        f"{formats.percent(head[WATCHED], 0)}."
    )


def new_users_caption(figures: Sequence[NewUserFigure], metric: str) -> str:
    """Which model has the highest mean for each number of known interactions."""
    leaders: dict[str, list[str]] = {}
    for first, step in groupby(figures, key=lambda f: f.first):
        best = max(step, key=lambda f: f.estimate(metric).mean).model
        leaders.setdefault(model_noun(best), []).append(known_interactions(first))
    parts = [f"{name} with {formats.listing(known)}" for name, known in leaders.items()]
    return f"The highest mean is that of {'; '.join(parts)} known."


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
    return f"On the validation {formats.metric_label(metric)}, {formats.listing(parts)}.{warning}"


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


def weakest_segment(found: Sequence[Segment], result: Result) -> str:
    """Which known users the better contender serves worst, or that none are shown to be served worse."""
    noun, metric = model_noun(result.ahead), formats.metric_label(result.metric)
    if not found:
        return ""
    worst = weakest(found, result.confidence)
    if worst is None:
        return (
            f"None of {len(found)} segments of known users is shown to be served worse by {noun} than all others; "
            f"the lowest {metric} is that of {found[0].name} ({formats.decimal(found[0].mean)})."
        )
    return (
        f"{formats.sentence(noun)} serves one segment of known users worst: {worst.name} "
        f"({formats.count(worst.num_users)} users) has {metric} {formats.decimal(worst.mean)}, all others "
        f"{formats.decimal(worst.others)} ({formats.p_value(worst.p)})."
    )


def _verb(number: int, one: str, several: str) -> str:
    """The form of a verb for so many; none counts as one."""
    return one if number < 2 else several
