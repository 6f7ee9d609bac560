"""Numbered checks: how far the verdict can be trusted, and what clears each limit."""

import math
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files

from bakeoff.evaluation.stats.significance import Verdict
from bakeoff.report import formats
from bakeoff.report.accuracy import AHEAD, BaselineComparison
from bakeoff.report.evidence import Evidence
from bakeoff.report.models import CONTENDERS, MF, SOFTMAX, model_noun
from bakeoff.report.params import ReportParams, flat
from bakeoff.report.slices import LATER, Slice
from bakeoff.report.training import SettingSearch
from bakeoff.report.verdict import Result

WORDS: Mapping[str, Mapping[str, str]] = tomllib.loads(
    files("bakeoff.report").joinpath("checks.toml").read_text(encoding="utf-8")
)
"""Number → title, meaning and fix; a decisive check has a reason, which the headline gives if it fails."""
EQUAL_SECONDS = 1.25
"""Tuning times within this ratio count as equal: the last trial of a search may overrun."""
FIRST_SECONDS = 600
"""Tuning time that is proposed where nothing was tuned."""
GAP_WORDS = {
    "same second": "in the same second as the last known event",
    "< 1 min": "within a minute of the last known event",
    "< 1 h": "between a minute and an hour after the last known event",
    "< 1 day": "between an hour and a day after the last known event",
    "later": "more than a day after the last known event",
}
"""Name of a span of time → its wording within a sentence."""


class State(StrEnum):
    """Outcome of a check. Only decisive checks fail, and while one does there is no verdict."""

    PASSED = "passed"
    QUALIFIES = "qualifies"
    FAILED = "failed"


SCORES = {State.PASSED: 1, State.QUALIFIES: 0, State.FAILED: -1}
"""State → number in metrics.json."""
Found = tuple[State, str]
"""State and the figure that it rests on, as a sentence."""


@dataclass(frozen=True)
class Check:
    """One limit of the verdict.

    Attributes:
        number: such as `BK004`.
        title: its subject.
        state: the outcome.
        figure: what the outcome rests on, a sentence.
        fix: what clears the check, a sentence with commands in backticks.
    """

    number: str
    title: str
    state: State
    figure: str
    fix: str


def failed_reasons(numbers: Iterable[str]) -> list[str]:
    """Why there is no verdict, from the numbers of checks that failed."""
    return [WORDS[number]["reason"] for number in numbers if "reason" in WORDS.get(number, {})]


def judge_checks(
    evidence: Evidence,
    params: ReportParams,
    result: Result,
    standings: Sequence[BaselineComparison],
    slices: Sequence[Slice],
    searches: Sequence[SettingSearch],
) -> list[Check]:
    """All checks, in the order of their numbers.

    Args:
        evidence: the models, their records of tuning, the split and the features.
        params: seed, features and the relevant difference.
        result: softmax against MF on the primary metric.
        standings: every model compared with the best baseline.
        slices: the primary metric by time since the last known event; empty if the data has no times.
        searches: how settings were searched.
    """
    tuned = {search.model: search for search in searches if search.model in CONTENDERS}
    seconds = {name: search.wall_seconds for name, search in tuned.items() if search.wall_seconds > 0}
    longest = math.ceil(max(seconds.values(), default=FIRST_SECONDS))
    faults, split = _tuning_faults(evidence, tuned, params), evidence.split
    shorter = [name for name in CONTENDERS if seconds.get(name, 0.0) * EQUAL_SECONDS < longest]
    commands = {
        "BK001": _tune(faults or CONTENDERS, longest),
        "BK002": _tune(shorter or CONTENDERS, longest),
        "BK005": _tune(CONTENDERS, 2 * longest),
    }
    found = {
        "BK001": _tuned_here(evidence, tuned, faults),
        "BK002": _equal_seconds(seconds),
        "BK003": (State.QUALIFIES, f"One seed: {params.seed}."),
        "BK004": _enough_users(result, params.compare.relevant_difference),
        "BK005": _above_baselines(result, standings),
        "BK006": _session(result, slices),
        "BK007": (State.PASSED if split.get("one_cut") else State.QUALIFIES, f"The split is {split['method']}."),
        "BK008": _features(evidence, params),
        "BK009": _agreement(result),
    }
    return [
        Check(number, WORDS[number]["title"], *found[number], WORDS[number]["fix"].format(tune=commands.get(number)))
        for number in WORDS
    ]


def _tune(models: Collection[str], seconds: int) -> str:
    """The command that searches as long as that for each of one or both contenders."""
    if len(models) == len(CONTENDERS):
        return f"`bakeoff tune --minutes {math.ceil(len(models) * seconds / 60)} --apply`"
    return f"`bakeoff tune {next(iter(models))} --timeout {seconds} --apply`"


def _tuning_faults(evidence: Evidence, tuned: Mapping[str, SettingSearch], params: ReportParams) -> dict[str, str]:
    """Contender → why its settings were not tuned on this data; those that were are left out.

    What validation is on one split can be test on another: settings that were chosen there have seen the answers.
    """
    faults = {}
    split = {**params.split.model_dump(mode="json"), "event_weights": params.data.event_weights, "seed": params.seed}
    for name in CONTENDERS:
        if name not in tuned:
            faults[name] = "was never tuned"
        elif tuned[name].dataset != evidence.dataset["name"]:
            faults[name] = f"was tuned on {tuned[name].dataset}"
        elif not tuned[name].split:
            faults[name] = "was tuned on a split that its record does not name"
        elif others := [key for key, value in split.items() if tuned[name].split.get(key) != value]:
            faults[name] = f"was tuned on a split with another {formats.listing(others)}"
        else:
            trained, chosen = (flat(each) for each in (evidence.models[name].training["settings"], tuned[name].params))
            if changed := [setting for setting, value in chosen.items() if trained.get(setting) != value]:
                faults[name] = f"was trained with another {formats.listing(changed)} than its search chose"
    return faults


def _tuned_here(evidence: Evidence, tuned: Mapping[str, SettingSearch], faults: Mapping[str, str]) -> Found:
    data = evidence.dataset["name"]
    if faults:
        listed = "; ".join(f"{model_noun(name)} {fault}" for name, fault in faults.items())
        return State.FAILED, f"{formats.sentence(listed)}."
    if evidence.data_hash is None or any(search.data != evidence.data_hash for search in tuned.values()):
        return State.QUALIFIES, f"Tuned on {data}, but in another version, or in one that is not recorded."
    return State.PASSED, f"Both contenders were tuned on this version of {data}."


def _equal_seconds(seconds: Mapping[str, float]) -> Found:
    if missing := [model_noun(name) for name in CONTENDERS if name not in seconds]:
        return State.FAILED, f"No tuning time is recorded for {formats.listing(missing)}."
    ratio = max(seconds.values()) / min(seconds.values())
    figure = f"{seconds[MF]:.0f} seconds for MF, {seconds[SOFTMAX]:.0f} for the softmax DNN, a factor of {ratio:.1f}."
    return State.PASSED if ratio <= EQUAL_SECONDS else State.FAILED, figure


def _enough_users(result: Result, relevant: float) -> Found:
    """Passes if a relevant difference is detectable, or if the whole interval of a shown one lies beyond it.

    The detectable difference shrinks with 1/√n, so n · (detectable / relevant)² users are needed.
    """
    matters, users = relevant * result.mf, formats.count(result.num_users)
    share = f" ({formats.percent(result.detectable / result.mf)} of MF's score)" if result.mf > 0 else ""
    shown = f"With {users} users a difference of {formats.decimal(result.detectable)}{share} is detectable"
    figure = f"{shown}; {formats.percent(relevant)} matters"
    if result.detectable <= matters:
        return State.PASSED, f"{figure}."
    if result.verdict is not Verdict.NO_EVIDENCE and min(abs(result.low), abs(result.high)) >= matters:
        return State.PASSED, f"{figure}, and the whole interval lies beyond it."
    needed = result.num_users * (result.detectable / matters) ** 2 if matters > 0 else math.nan
    takes = "" if math.isnan(needed) else f", which takes about {formats.count(needed)} users"
    return State.FAILED, f"{figure}{takes}."


def _above_baselines(result: Result, standings: Sequence[BaselineComparison]) -> Found:
    weak = []
    for standing in standings:
        found = standing.verdict(result.confidence)
        if standing.model in CONTENDERS and found is not Verdict.BETTER:
            is_behind = "worse" if found is Verdict.WORSE else "not shown to be better"
            means = f"{formats.decimal(standing.mean)} against {formats.decimal(standing.baseline_mean)}"
            weak.append(f"{model_noun(standing.model)} is {is_behind} than {model_noun(standing.baseline)} ({means})")
    if weak:
        return State.QUALIFIES, f"{formats.sentence('; '.join(weak))}."
    best = standings[0]
    return State.PASSED, f"Both are better than {model_noun(best.baseline)} ({formats.decimal(best.baseline_mean)})."


def _session(result: Result, slices: Sequence[Slice]) -> Found:
    if not slices:
        return State.QUALIFIES, "The data has no times."
    opposite = [part for part in slices if part.difference.verdict not in {Verdict.NO_EVIDENCE, result.verdict}]
    if opposite:
        parts = [
            f"{GAP_WORDS.get(part.name, part.name)} "
            f"{model_noun(AHEAD[part.difference.verdict])} is better ({_means(part)})"
            for part in opposite
        ]
        return State.QUALIFIES, f"On test events {formats.listing(parts)}."
    later = next((part for part in slices if part.name == LATER), None)
    if later is None:
        return State.QUALIFIES, "No test event comes more than a day after the last known one."
    return _a_day_later(result, later)


def _a_day_later(result: Result, later: Slice) -> Found:
    """The endpoint that no session reaches."""
    when, standing = GAP_WORDS[LATER], later.standing
    if standing.verdict(result.confidence) is Verdict.WORSE:
        baseline = f"{model_noun(standing.baseline)} is better than both"
        figures = f"{formats.decimal(standing.baseline_mean)}; {_means(later)}"
        return State.QUALIFIES, f"{formats.sentence(when)} {baseline} ({figures})."
    if result.verdict is Verdict.NO_EVIDENCE:
        return State.PASSED, "No span of time has a verdict of its own."
    if later.difference.verdict is result.verdict:
        return State.PASSED, f"It holds {when} ({_means(later)})."
    return State.QUALIFIES, f"{formats.sentence(when)} no lead is shown ({_means(later)})."


def _means(part: Slice) -> str:
    means = {estimate.model: formats.decimal(estimate.mean) for estimate in part.estimates}
    return f"softmax DNN {means[SOFTMAX]}, MF {means[MF]}, {formats.count(part.num_users)} users"


def _features(evidence: Evidence, params: ReportParams) -> Found:
    users, items = (
        [
            name
            for name, kind in named.items()
            if kind == "vector" or (name in table and (table[name].notna() & (table[name] != "")).any())
        ]
        for table, named in ((evidence.users, params.data.user_features), (evidence.items, params.data.item_features))
    )
    figure = f"Features of users: {', '.join(users) or 'none'}; items: {', '.join(items) or 'none'}."
    return State.PASSED if users and items else State.QUALIFIES, figure


def _agreement(result: Result) -> Found:
    by_interval, by_test = result.low > 0 or result.high < 0, result.p < 1 - result.confidence
    interval = f"{formats.signed(result.low)} to {formats.signed(result.high)}"
    state = State.PASSED if by_interval == by_test else State.QUALIFIES
    return state, f"Interval {interval}, {formats.p_value(result.p)}."
