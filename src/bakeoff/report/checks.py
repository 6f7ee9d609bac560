"""Numbered checks that say how far the verdict can be trusted.

Each check has a number that never changes, a state, the figure it rests on and the command that clears it. While a
decisive check is failed, there is no verdict; the other checks qualify it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bakeoff.core.errors import BakeoffError
from bakeoff.data.params import DataParams
from bakeoff.data.split.methods import method_of
from bakeoff.evaluation.stats.tests import Verdict, verdict
from bakeoff.report import formats
from bakeoff.report.evidence import Evidence
from bakeoff.report.models import CONTENDERS, MF, REFERENCE, SOFTMAX, model_label, model_noun
from bakeoff.report.tuning import SettingSearch
from bakeoff.report.verdict import GAP_WORDS, BaselineComparison, Result, Span

EQUAL_SECONDS = 0.1
"""Largest relative difference of the seconds of two searches that count as equal."""
LATER = "later"
"""Span of test events that belong to no session of the last known event: more than a day after it."""
_OPPOSITE = {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER, Verdict.NO_EVIDENCE: None}


class CheckState(StrEnum):
    """Outcome of a check."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "can't be checked"


@dataclass(frozen=True)
class CheckRule:
    """What a check is about.

    Attributes:
        title: what is true where it is passed.
        decisive: whether there is no verdict while it is failed.
        why: why it matters, and how it is judged.
        fix: the command that clears it, or what else does.
    """

    title: str
    why: str
    fix: str
    decisive: bool = False


RULES: Mapping[str, CheckRule] = {
    "BK001": CheckRule(
        "The contenders' settings were tuned on this data",
        "Settings that suit other data favour one contender by chance: an untuned MF has lost many published "
        "comparisons (Rendle et al., 2019, arXiv:1905.01395). Passed where tuning/ holds a record of a search on this "
        "data set for each contender and params.yaml holds the best settings of that search.",
        "bakeoff tune --minutes 30 --apply",
        decisive=True,
    ),
    "BK002": CheckRule(
        "The contenders were tuned for the same time",
        "The contender that was searched for longer has an advantage. Passed where the seconds of the searches differ "
        f"by at most {EQUAL_SECONDS:.0%}.",
        "bakeoff tune --minutes 30 --apply",
        decisive=True,
    ),
    "BK003": CheckRule(
        "More than one seed was trained",
        "The intervals cover the choice of users, not the randomness of a training run. The pipeline trains one seed, "
        "so this check never passes here: `make bench` trains several.",
        "dvc exp run -S seed=1",
    ),
    "BK004": CheckRule(
        "There are enough users to see a difference that matters",
        "With few users a difference goes undetected, and one that is found is exaggerated. Passed where a difference "
        "of `compare.relevant_difference` (a share of MF's mean) would be detected with 80 % power, or where a "
        "difference at least that large is shown.",
        "evaluate on more users: more data, or a larger split.test_share",
        decisive=True,
    ),
    "BK005": CheckRule(
        "Both contenders are shown to be better than every baseline",
        "A contender that a baseline equals is not worth its training, and was perhaps badly tuned (Ferrari Dacrema et "
        "al., 2019, arXiv:1907.06902).",
        "bakeoff tune --minutes 30 --apply",
    ),
    "BK006": CheckRule(
        "The lead holds for people who come back later",
        "On many data sets most test events follow the last known event within minutes, so that a lead may be the "
        "continuation of a session. Passed where test events more than a day later give the same result, and no "
        "other span of time gives the opposite one.",
        "the report's section on time shows each span; split.method: global-temporal asks for the future of all",
    ),
    "BK007": CheckRule(
        "No model saw other users' future",
        "A split at a moment of each user's own lets models learn from what others did after it (Ji et al., 2023, "
        "arXiv:2010.11060). Passed where one moment separates training from test for all users.",
        "split.method: global-temporal in params.yaml, then make run",
    ),
    "BK008": CheckRule(
        "Users and items have features",
        "The softmax DNN reads features and MF can't: without them the comparison says nothing about what they would "
        "add.",
        "data.user_features and data.item_features in params.yaml",
    ),
    "BK009": CheckRule(
        "Every model could be trained",
        "A model that was left out might have been the best baseline.",
        "its reason says what it needs",
    ),
    "BK010": CheckRule(
        "Interval and test agree",
        "The verdict needs both a bootstrap interval without 0 and a small p of the permutation test. Where they "
        "disagree, the case is borderline.",
        "evaluate on more users, or with other seeds: dvc exp run -S seed=1",
    ),
}
"""Number → what the check is about. A number is never given to another check."""


@dataclass(frozen=True)
class Check:
    """A check of one comparison.

    Attributes:
        number: key of `RULES`, such as BK001.
        state: its outcome.
        finding: the figures that it rests on, as a sentence.
    """

    number: str
    state: CheckState
    finding: str

    @property
    def rule(self) -> CheckRule:
        """What it is about."""
        return RULES[self.number]

    @property
    def blocks(self) -> bool:
        """Whether there is no verdict because of it."""
        return self.rule.decisive and self.state is not CheckState.PASSED


def rule_of(number: str) -> CheckRule:
    """What the check with that number is about.

    Raises:
        BakeoffError: there is no such check; the message lists those that there are.
    """
    if number not in RULES:
        raise BakeoffError(f"{number!r} is not a check: it must be one of {', '.join(RULES)}.")
    return RULES[number]


def blocking(checks: Sequence[Check]) -> list[Check]:
    """The checks because of which there is no verdict."""
    return [check for check in checks if check.blocks]


def run_checks(
    result: Result,
    standings: Sequence[BaselineComparison],
    spans: Sequence[Span],
    searches: Sequence[SettingSearch],
    evidence: Evidence,
    data: DataParams,
    relevant: float,
) -> list[Check]:
    """All checks, in the order of their numbers.

    Args:
        result: the contenders on the primary metric.
        standings: every model compared with the best baseline.
        spans: the contenders by time since the last known event; empty where events have no time.
        searches: records of tuning.
        evidence: what the comparison rests on.
        data: names the features.
        relevant: smallest difference that matters, as a share of MF's mean.
    """
    return [
        _tuned_here(searches, evidence),
        _tuned_equally(searches),
        Check("BK003", CheckState.FAILED, "Every model was trained with one seed."),
        _enough_users(result, relevant),
        _above_baselines(result, standings),
        _lead_later(result, spans),
        _no_future(evidence),
        _features(data),
        _all_trained(evidence),
        _tests_agree(result),
    ]


def _tuned_here(searches: Sequence[SettingSearch], evidence: Evidence) -> Check:
    name, records = evidence.dataset["name"], {search.model: search for search in searches}
    missing = [model_noun(model) for model in CONTENDERS if model not in records]
    if missing:
        return Check(
            "BK001", CheckState.FAILED, f"No search for the settings of {formats.listing(missing)} is recorded."
        )
    elsewhere = sorted({records[model].dataset for model in CONTENDERS} - {name})
    if elsewhere:
        return Check(
            "BK001", CheckState.FAILED, f"The settings were tuned on {formats.listing(elsewhere)}, not on {name}."
        )
    changed = [
        f"{model}.{key}"
        for model in CONTENDERS
        for key, best in evidence.tuning[model]["best"]["params"].items()
        if _setting(evidence.models[model].training["settings"], key) != best
    ]
    if changed:
        return Check("BK001", CheckState.FAILED, f"Changed since the search: {formats.listing(changed)}.")
    trials = formats.listing([f"{formats.count(records[m].trials)} trials for {model_noun(m)}" for m in CONTENDERS])
    return Check("BK001", CheckState.PASSED, f"Tuned on {name}: {trials}.")


def _setting(settings: Mapping[str, Any], key: str) -> object:
    """The value at a dotted key; None where there is none."""
    found: Any = settings
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _tuned_equally(searches: Sequence[SettingSearch]) -> Check:
    seconds = {search.model: search.seconds for search in searches if search.model in CONTENDERS}
    if len(seconds) < len(CONTENDERS):
        return Check("BK002", CheckState.FAILED, "Not every contender was tuned.")
    most, least = max(seconds.values()), min(seconds.values())
    state = CheckState.PASSED if most - least <= EQUAL_SECONDS * most else CheckState.FAILED
    listed = formats.listing([f"{formats.seconds(n)} for {model_noun(name)}" for name, n in seconds.items()])
    return Check("BK002", state, f"Trials took {listed}.")


def _enough_users(result: Result, relevant: float) -> Check:
    smallest = relevant * result.mf
    shown = result.verdict is not Verdict.NO_EVIDENCE and abs(result.difference) >= smallest
    finding = (
        f"With {formats.count(result.num_users)} users a difference of {formats.decimal(result.detectable)} would be "
        f"detected; one of {formats.decimal(smallest)} ({formats.percent(relevant, 0)} of MF's mean) matters"
    )
    if result.detectable <= smallest:
        return Check("BK004", CheckState.PASSED, f"{finding}.")
    if shown:
        return Check("BK004", CheckState.PASSED, f"{finding}, and {formats.decimal(abs(result.difference))} is shown.")
    return Check("BK004", CheckState.FAILED, f"{finding}.")


def _above_baselines(result: Result, standings: Sequence[BaselineComparison]) -> Check:
    above = {SOFTMAX: result.softmax_above_popularity, MF: result.mf_above_popularity}
    weak = {name: model_noun(REFERENCE) for name, shown in above.items() if not shown}
    weak |= {
        each.model: f"{model_noun(each.baseline)} ({formats.decimal(each.mean)} against "
        f"{formats.decimal(each.baseline_mean)})"
        for each in standings
        if each.model in CONTENDERS and each.verdict(result.confidence) is not Verdict.BETTER
    }
    if not weak:
        return Check(
            "BK005", CheckState.PASSED, f"Both are shown to be better than {model_noun(standings[0].baseline)}."
        )
    listed = [f"{model_noun(name)} is not shown to be better than {baseline}" for name, baseline in weak.items()]
    return Check("BK005", CheckState.FAILED, f"{formats.sentence('; '.join(listed))}.")


def _lead_later(result: Result, spans: Sequence[Span]) -> Check:
    later = next((span for span in spans if span.name == LATER), None)
    if later is None:
        return Check(
            "BK006", CheckState.UNKNOWN, "No test event is known to be more than a day after the last known one."
        )
    others = [span for span in spans if span is not later and _verdict_on(span, result) is _OPPOSITE[result.verdict]]
    agrees = _verdict_on(later, result) is result.verdict
    state = CheckState.PASSED if agrees and not others else CheckState.FAILED
    return Check("BK006", state, " ".join(_on_span(span, result) for span in (later, *others)))


def _verdict_on(span: Span, result: Result) -> Verdict:
    return verdict(span.low, span.high, span.p, result.confidence)


def _on_span(span: Span, result: Result) -> str:
    says = {
        Verdict.BETTER: "the softmax DNN is better",
        Verdict.WORSE: "MF is better",
        Verdict.NO_EVIDENCE: "no difference is shown",
    }[_verdict_on(span, result)]
    return (
        f"On test events {GAP_WORDS.get(span.name, span.name)} ({formats.count(span.num_users)} users) {says}: "
        f"{formats.decimal(span.softmax)} for the softmax DNN, {formats.decimal(span.mf)} for MF."
    )


def _no_future(evidence: Evidence) -> Check:
    method = method_of(str(evidence.split["method"]))
    state = CheckState.PASSED if method.one_cut else CheckState.FAILED
    return Check("BK007", state, f"Split method {method.name}: {method.weakness}")


def _features(data: DataParams) -> Check:
    missing = [name for name, given in (("users", data.user_features), ("items", data.item_features)) if not given]
    if missing:
        return Check("BK008", CheckState.FAILED, f"No features are given for {formats.listing(missing)}.")
    given = [*data.user_features, *data.item_features]
    return Check("BK008", CheckState.PASSED, f"Given: {formats.listing(given)}.")


def _all_trained(evidence: Evidence) -> Check:
    if not evidence.skipped:
        return Check("BK009", CheckState.PASSED, f"{len(evidence.models)} models were trained.")
    reasons = " ".join(f"{model_label(name)} was left out. {reason}" for name, reason in evidence.skipped.items())
    return Check("BK009", CheckState.FAILED, reasons)


def _tests_agree(result: Result) -> Check:
    without_zero = result.low > 0 or result.high < 0
    small_p = result.p < 1 - result.confidence
    state = CheckState.PASSED if without_zero == small_p else CheckState.FAILED
    interval = f"{formats.signed(result.low)} to {formats.signed(result.high)}"
    return Check("BK010", state, f"Interval {interval}, {formats.p_value(result.p)}.")
