"""The section on interactions that grow while the catalogue stays as it is."""

from collections.abc import Mapping

from scaling.fits import BAR, Growth, Runs, counts, stages_of, time_growth
from scaling.markdown import NO_VALUE, interval, seconds, short, table
from scaling.measuring import Measured
from scaling.plan import RUNS, SMALLEST


def section(steady: Runs, smallest: Mapping[str, Measured], rounds: int = 3) -> str:
    """Markdown.

    Args:
        steady: what was measured, all with the same items; at least one.
        smallest: the same stages on next to no interactions with these items.
        rounds: how often each stage ran.
    """
    items = next(iter(steady)).items
    grown = {stage: time_growth(steady, smallest, stage) for stage in stages_of(steady)}
    heads = ["stage", *(f"CPU s, {short(size.interactions)}" for size in steady), "time", "time above start"]
    text = (
        "Above, the catalogue grows with the interactions, which makes each step of a training more expensive. Here it "
        f"has {items:,} items at every size, and start is the stage with these items and {SMALLEST:,} interactions. "
        f"CPU seconds of {RUNS[rounds]}{', as above' if rounds > 1 else ''}; exponents are of interactions."
    )
    rows = [_row(stage, steady, grown[stage]) for stage in grown]
    return "\n\n".join(["## Interactions alone", text, table(heads, rows), _judged(grown)]) + "\n"


def _row(stage: str, steady: Runs, time: Growth) -> list[str]:
    there = [stages.get(stage) for stages in steady.values()]
    costs = [seconds(run.cpu) if run and counts(run) else NO_VALUE for run in there]
    return [f"`{stage}`", *costs, interval(time.whole), interval(time.above)]


def _judged(grown: Mapping[str, Growth]) -> str:
    told = {stage: time.above.exponent for stage, time in grown.items() if time.above}
    if not told:
        return "At too few sizes to tell an exponent above start."
    over = [f"`{stage}` ({exponent:.2f})" for stage, exponent in told.items() if exponent > BAR]
    rest = f"more than {BAR:g}: {', '.join(over)}." if over else f"none above {BAR:g}."
    return f"Above start, of {len(told)} stages that could be told, {rest}"
