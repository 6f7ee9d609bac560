"""What to see in each chart, in one sentence made from its figures."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.evaluation.significance import Verdict
from bakeoff.report import formats
from bakeoff.report.accuracy import Difference, Estimate
from bakeoff.report.exposure import WATCHED
from bakeoff.report.new_users import NewUserFigure
from bakeoff.report.slices import Slice, share_within_an_hour
from bakeoff.report.training import TrainingFigure


def accuracy(estimates: Sequence[Estimate]) -> str:
    """Who has the highest mean, and how often."""
    rows = [list(row) for _, row in groupby(estimates, key=lambda e: e.metric)]
    best = [max(row, key=lambda e: e.mean).model for row in rows]
    leader = max(dict.fromkeys(best), key=best.count)
    won = best.count(leader)
    where = "every row" if won == len(best) else f"{won} of {len(best)} rows"
    return (
        f"{formats.sentence(formats.model_noun(leader))} has the highest mean in {where}. Whether a gap is "
        "more than chance is seen in the paired differences below: the intervals here overlap more easily, "
        "as they ignore that the users are the same."
    )


def differences(rows: Sequence[Difference]) -> str:
    """How many intervals lie on either side of 0."""
    found = [row.verdict for row in rows]
    ahead, behind, none = (found.count(v) for v in (Verdict.BETTER, Verdict.WORSE, Verdict.NO_EVIDENCE))
    return (
        f"Judged together, {_count(ahead)} of {len(rows)} differences {_favour(ahead)} the softmax DNN, "
        f"{_count(behind)} {_favour(behind)} MF, and {_count(none)} {'is' if none < 2 else 'are'} no "
        "evidence of either."
    )


def user_differences(values: NDArray[np.float64]) -> str:
    """How many users gain, lose and see nothing."""
    ahead, behind = float((values > 0).mean()), float((values < 0).mean())
    return (
        f"The softmax DNN is ahead for {formats.percent(ahead, 0)} of users, MF for "
        f"{formats.percent(behind, 0)}, and for {formats.percent(1 - ahead - behind, 0)} they score the "
        "same: a better mean is not better for everyone."
    )


def slices(parts: Sequence[Slice]) -> str:
    """How much of the test lies near, and who is ahead near and far."""
    near, far = parts[0], parts[-1]

    def both(part: Slice) -> str:
        means = {e.model: formats.decimal(e.mean, 3) for e in part.estimates}
        return f"{means['softmax']} (softmax DNN) against {means['mf']} (MF)"

    share = formats.percent(share_within_an_hour(parts), 0)
    return (
        f"{share} of test events come within an hour of the last one that the models knew. "
        f"Nearest ({near.name}): {both(near)}; farthest ({far.name}): {both(far)}."
    )


def popularity_profile(profile: pd.DataFrame) -> str:
    """What the most popular tenth takes."""
    head = profile[profile.group == 1].set_index("source").share
    return (
        f"The most popular tenth of the catalogue takes {formats.percent(head['mf'], 0)} of the places in "
        f"MF's lists and {formats.percent(head['softmax'], 0)} in those of the softmax DNN; of {WATCHED} it "
        f"was {formats.percent(head[WATCHED], 0)}."
    )


def new_users(figures: Sequence[NewUserFigure], metric: str) -> str:
    """From nothing known to all known, for both contenders; a fallback said as such."""
    first, last = figures[0].first, figures[-1].first
    values = {(f.model, f.first): f for f in figures}

    def figure(model: str, step: str) -> str:
        found = values[model, step]
        note = ", by its fallback" if found.fallback_share > 0 else ""
        name = formats.model_noun(model).removeprefix("the ")
        return f"{formats.decimal(found.estimate(metric).mean, 3)} ({name}{note})"

    known = "nothing" if first == "0" else f"{first} interactions"
    return (
        f"Told {known}: {figure('softmax', first)} and {figure('mf', first)}; told {last} earlier "
        f"interactions: {figure('softmax', last)} and {figure('mf', last)}."
    )


def learning_curves(figures: Sequence[TrainingFigure], metric: str) -> str:
    """Where the chosen epochs lie, and whether the limit cut a curve short."""
    chosen = [f for f in figures if f.selected_epoch is not None]
    parts = [
        f"{formats.model_noun(f.model)} is best after epoch {f.selected_epoch} of {f.last_epoch} "
        f"({formats.decimal(f.best_value, 3)})"
        for f in chosen
    ]
    cut = [formats.model_noun(f.model) for f in chosen if f.stopped_at_limit]
    warning = (
        f" {formats.sentence(' and '.join(cut))} stopped at the limit of epochs: more might have been better."
        if cut
        else ""
    )
    return f"On the validation {formats.metric_label(metric)}, {' and '.join(parts)}; the large mark.{warning}"


def training_seconds(cost: str | None) -> str:
    """The cost sentence, or that nothing was measured."""
    return cost or "Training cost was not measured for both contenders."


def _count(number: int) -> str:
    return str(number or "none")


def _favour(number: int) -> str:
    return "favours" if number < 2 else "favour"
