"""Numbered checks: how far the verdict can be trusted, and what clears each limit."""

import math
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import Any

from bakeoff.core.histories import has_order
from bakeoff.evaluation.stats.significance import Verdict
from bakeoff.report import formats
from bakeoff.report.accuracy import BaselineComparison
from bakeoff.report.evidence import Evidence
from bakeoff.report.models import CONTENDERS
from bakeoff.report.params import IDS, ReportParams, flat
from bakeoff.report.slices import LATER, Slice
from bakeoff.report.topics.base.claims import Form
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
DRAWN = ("random", "predefined")
"""Split methods that draw validation events by the seed. With the others it decides which users are new, and the order
of events in the same second."""


class State(StrEnum):
    """Outcome of a check. Only decisive checks fail, and while one does there is no verdict."""

    PASSED = "passed"
    QUALIFIES = "qualifies"
    FAILED = "failed"


SCORES = {State.PASSED: 1, State.QUALIFIES: 0, State.FAILED: -1}
"""State → number in metrics.json."""
Found = tuple[State, Mapping[str, Any]]
"""State and what it rests on: the values of the sentence of its number in checks.txt.j2."""


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


def judge_checks(
    evidence: Evidence,
    params: ReportParams,
    result: Result,
    standings: Sequence[BaselineComparison],
    slices: Sequence[Slice],
    sessions: Sequence[Slice],
    searches: Sequence[SettingSearch],
) -> list[Check]:
    """All checks, in the order of their numbers.

    Args:
        evidence: the models, their records of tuning, the split and the features.
        params: seed, features and the relevant difference.
        result: softmax against MF on the primary metric.
        standings: every model compared with the best baseline.
        slices: the primary metric by time since the last known event; empty if the data has no times.
        sessions: the same by the spans that the headline and the recommendation rest on.
        searches: how settings were searched.
    """
    longest, split = _longest(_seconds(searches)), evidence.split
    commands = {
        "BK005": _tune(CONTENDERS, 2 * longest),
        "BK006": _tune(CONTENDERS, longest),
        "BK007": _tune(CONTENDERS, longest),
    }
    has_times = has_order(evidence.events.timestamp.to_numpy())
    found = {
        "BK003": (State.QUALIFIES, {"seed": params.seed}),
        "BK004": _enough_users(result, params.compare.relevant_difference),
        "BK005": _above_baselines(standings),
        "BK006": _session(result, slices, sessions),
        "BK007": _future(split, has_times=has_times),
        "BK008": _features(evidence, params),
        "BK009": _agreement(result),
    }
    instead = "one_cut" if split.get("one_cut") else "no_times" if not has_times else "" if slices else "no_spans"
    return judge_settings(evidence, params, searches) + _worded(found, commands, params.seed, instead)


def judge_settings(evidence: Evidence, params: ReportParams, searches: Sequence[SettingSearch]) -> list[Check]:
    """BK001 and BK002: whether the settings of both contenders were chosen on this data, and in equal time."""
    tuned, seconds = _tuned(searches), _seconds(searches)
    faults, longest = _tuning_faults(evidence, tuned, params), _longest(seconds)
    shorter = [name for name in CONTENDERS if seconds.get(name, 0.0) * EQUAL_SECONDS < longest]
    found = {"BK001": _tuned_here(evidence, tuned, faults, params.seed), "BK002": _equal_seconds(seconds)}
    commands = {"BK001": _tune(faults or CONTENDERS, longest), "BK002": _tune(shorter or CONTENDERS, longest)}
    return _worded(found, commands, params.seed)


def _worded(found: Mapping[str, Found], commands: Mapping[str, str], seed: int, instead: str = "") -> list[Check]:
    """The checks in words; `instead` is the part of the data that is missing, for which some have a fix of its own."""
    checks = []
    for number, (state, values) in found.items():
        words, figure = WORDS[number], formats.phrase("checks.txt.j2", number, state=state, **values)
        fix = words.get(f"fix_{instead}", words["fix"]).format(tune=commands.get(number), seed=seed + 1)
        checks.append(Check(number, words["title"], state, figure, fix))
    return checks


def _tuned(searches: Sequence[SettingSearch]) -> dict[str, SettingSearch]:
    return {search.model: search for search in searches if search.model in CONTENDERS}


def _seconds(searches: Sequence[SettingSearch]) -> dict[str, float]:
    return {name: search.wall_seconds for name, search in _tuned(searches).items() if search.wall_seconds > 0}


def _longest(seconds: Mapping[str, float]) -> int:
    return math.ceil(max(seconds.values(), default=FIRST_SECONDS))


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
    split = {**params.split.model_dump(mode="json"), "event_weights": params.data.event_weights}
    if params.split.method in DRAWN:
        split["seed"] = params.seed
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


def _tuned_here(evidence: Evidence, tuned: Mapping[str, SettingSearch], faults: Mapping[str, str], seed: int) -> Found:
    is_same = evidence.data_hash is not None and all(search.data == evidence.data_hash for search in tuned.values())
    same_seed = all(search.split.get("seed") == seed for search in tuned.values())
    state = State.FAILED if faults else State.PASSED if is_same and same_seed else State.QUALIFIES
    return state, {"faults": faults, "data": evidence.dataset["name"], "is_same": is_same, "seed": seed}


def _equal_seconds(seconds: Mapping[str, float]) -> Found:
    missing = [name for name in CONTENDERS if name not in seconds]
    ratio = math.nan if missing else max(seconds.values()) / min(seconds.values())
    state = State.PASSED if ratio <= EQUAL_SECONDS else State.FAILED
    return state, {"missing": missing, "seconds": seconds, "ratio": ratio}


def _enough_users(result: Result, relevant: float) -> Found:
    """Passes if a relevant difference is detectable, or if the whole interval of a shown one lies beyond it.

    Of equal lists the users tell nothing of the others, however small their spread (`Form.unseen`): that shrinks with
    1/n. The detectable difference shrinks with 1/√n, so that n · (detectable / relevant)² users are needed.
    """
    matters, unseen = relevant * result.mf, Form.METRIC.unseen(0, result.num_users)
    detectable = max(result.detectable, unseen)
    is_seen, is_shown = matters > 0 and detectable <= matters, result.verdict is not Verdict.NO_EVIDENCE
    is_beyond = is_shown and min(abs(result.low), abs(result.high)) >= matters
    needed = math.nan
    if matters > 0:
        needed = result.num_users * max((result.detectable / matters) ** 2, unseen / matters)
    values = {"result": result, "detectable": detectable, "relevant": relevant, "is_seen": is_seen, "needed": needed}
    return State.PASSED if is_seen or is_beyond else State.FAILED, values


def _above_baselines(standings: Sequence[BaselineComparison]) -> Found:
    contenders = (standing for standing in standings if standing.model in CONTENDERS)
    weak = [standing for standing in contenders if standing.difference.verdict is not Verdict.BETTER]
    return State.QUALIFIES if weak else State.PASSED, {"weak": weak, "best": standings[0]}


def _session(result: Result, slices: Sequence[Slice], sessions: Sequence[Slice]) -> Found:
    """Passes if no span contradicts the verdict, and no baseline wins a day later, where a lead must be shown too.

    For a day later p is that of `sessions`: adjusted for more spans, it could deny what the headline says.
    """
    later = next((part for part in sessions if part.name == LATER), None)
    spans = [later if later and part.name == LATER else part for part in slices]
    opposite = [part for part in spans if part.difference.verdict not in {Verdict.NO_EVIDENCE, result.verdict}]
    is_behind = later is not None and later.standing.difference.verdict is Verdict.WORSE
    holds = later is not None and result.verdict in {Verdict.NO_EVIDENCE, later.difference.verdict}
    values = {"result": result, "slices": slices, "opposite": opposite, "later": later, "is_behind": is_behind}
    return State.PASSED if holds and not opposite and not is_behind else State.QUALIFIES, values


def _future(split: Mapping[str, Any], *, has_times: bool) -> Found:
    """Qualifies unless the split has one cut; how a predefined one was made is not known."""
    is_known = has_times and split["method"] != "predefined"
    return State.PASSED if split.get("one_cut") else State.QUALIFIES, {"method": split["method"], "is_known": is_known}


def _features(evidence: Evidence, params: ReportParams) -> Found:
    users, items = (
        [
            name
            for name, kind in named.items()
            if name not in IDS
            and (kind == "vector" or (name in table and (table[name].notna() & (table[name] != "")).any()))
        ]
        for table, named in ((evidence.users, params.data.user_features), (evidence.items, params.data.item_features))
    )
    return State.PASSED if users and items else State.QUALIFIES, {"users": users, "items": items}


def _agreement(result: Result) -> Found:
    by_interval, by_test = result.low > 0 or result.high < 0, result.p < 1 - result.confidence
    return State.PASSED if by_interval == by_test else State.QUALIFIES, {"result": result}
