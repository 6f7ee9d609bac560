"""Which contender to ship, and for whom: sentences that follow from the figures by fixed rules."""

from collections.abc import Mapping, Sequence

from bakeoff.evaluation.stats.significance import Verdict
from bakeoff.report.accuracy import Difference
from bakeoff.report.models import MF, REFERENCE, SOFTMAX, model_noun
from bakeoff.report.new_users import known_interactions
from bakeoff.report.verdict import BaselineComparison, Result


def recommendation(
    result: Result, standings: Sequence[BaselineComparison], new_differences: Mapping[str, Difference]
) -> list[str]:
    """A sentence for known users, and one for new users if some were held out."""
    return [
        recommend_for_known_users(result, standings),
        *([recommend_for_new_users(new_differences)] if new_differences else []),
    ]


def recommend_for_known_users(result: Result, standings: Sequence[BaselineComparison]) -> str:
    """The better contender, if there is one and it is shown to beat the best baseline.

    A contender that does not beat a baseline is not worth its training, even if it beats the other contender.
    """
    if result.verdict is Verdict.NO_EVIDENCE:
        return (
            "For users whom the models know, neither contender is shown to be better: ship the one that costs less to "
            "run."
        )
    winner, above = (
        (SOFTMAX, result.softmax_above_popularity)
        if result.verdict is Verdict.BETTER
        else (MF, result.mf_above_popularity)
    )
    name = model_noun(winner)
    if not above:
        return f"For users whom the models know, ship neither yet: {name} is not shown to be better than popularity."
    baseline = next((s for s in standings if s.model == winner and s.baseline != REFERENCE), None)
    if baseline is not None and baseline.verdict(result.confidence) is not Verdict.BETTER:
        return (
            f"For users whom the models know, ship neither yet: {name} is the better of the two, but not shown to be "
            f"better than {model_noun(baseline.baseline)}."
        )
    return f"For users whom the models know, ship {name}."


def recommend_for_new_users(differences: Mapping[str, Difference]) -> str:
    """Which contender serves new users better, by what is known about them.

    Args:
        differences: number of first interactions → softmax − MF on users held out whole, p adjusted for their number.
    """
    steps = {
        name: [known_interactions(first) for first, found in differences.items() if found.verdict is verdict]
        for name, verdict in ((SOFTMAX, Verdict.BETTER), (MF, Verdict.WORSE))
    }
    shown = [f"{model_noun(name)} with {_either(found)} known" for name, found in steps.items() if found]
    open_ = [known_interactions(first) for first, found in differences.items() if found.verdict is Verdict.NO_EVIDENCE]
    if not shown:
        return "For new users there is no evidence for either."
    rest = f"; with {_either(open_)} there is no evidence for either" if open_ else ""
    return f"For new users, ship {' and '.join(shown)}{rest}."


def _either(phrases: Sequence[str]) -> str:
    *first, last = phrases
    return f"{', '.join(first)} or {last}" if first else last
