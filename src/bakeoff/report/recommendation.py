"""Which contender to ship, and for whom: sentences that follow from the figures by rules."""

from collections.abc import Mapping, Sequence

from bakeoff.evaluation.stats.tests import Verdict
from bakeoff.report.accuracy import Difference
from bakeoff.report.models import MF, REFERENCE, SOFTMAX, model_noun
from bakeoff.report.new_users import told
from bakeoff.report.verdict import Result, Standing


def recommendation(
    result: Result, standings: Sequence[Standing], new_differences: Mapping[str, Difference]
) -> list[str]:
    """A sentence for users that the models know, and one for new users where some were held out."""
    return [known_users(result, standings), *([new_users(new_differences)] if new_differences else [])]


def known_users(result: Result, standings: Sequence[Standing]) -> str:
    """The better contender, if there is one and the best baseline is shown to be worse than it.

    Whoever does not beat a baseline is not worth its training, whatever it is beside the other contender.
    """
    if result.verdict is Verdict.NO_EVIDENCE:
        return (
            "For users whom the models know, neither is shown to be the one to ship: take the one that costs less to "
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
    beside = next((s for s in standings if s.model == winner and s.baseline != REFERENCE), None)
    if beside is not None and beside.verdict(result.confidence) is not Verdict.BETTER:
        return (
            f"For users whom the models know, ship neither yet: {name} is the better of the two and not shown to be "
            f"better than {model_noun(beside.baseline)}."
        )
    return f"For users whom the models know, ship {name}."


def new_users(differences: Mapping[str, Difference]) -> str:
    """Who serves new users better, by what is told of them.

    Args:
        differences: number of first interactions → softmax − MF on users held out whole, p adjusted for their number.
    """
    steps = {
        name: [told(first) for first, found in differences.items() if found.verdict is verdict]
        for name, verdict in ((SOFTMAX, Verdict.BETTER), (MF, Verdict.WORSE))
    }
    shown = [f"{model_noun(name)} with {_either(found)} known" for name, found in steps.items() if found]
    open_ = [told(first) for first, found in differences.items() if found.verdict is Verdict.NO_EVIDENCE]
    if not shown:
        return "For new users there is no evidence for either."
    rest = f"; with {_either(open_)} there is no evidence for either" if open_ else ""
    return f"For new users, ship {' and '.join(shown)}{rest}."


def _either(phrases: Sequence[str]) -> str:
    *first, last = phrases
    return f"{', '.join(first)} or {last}" if first else last
