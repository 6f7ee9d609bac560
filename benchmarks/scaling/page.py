"""The page on how the pipeline grows."""

from collections.abc import Mapping

from scaling.data import EVENTS_PER_ITEM, EVENTS_PER_USER, MOST_ITEMS, Size, size_of
from scaling.fits import (
    BAR,
    RANKING_BAR,
    Growth,
    Runs,
    counts,
    family,
    growth,
    is_ranking,
    of_stage,
    size_measure,
    stages_of,
    time_growth,
)
from scaling.markdown import GIB, HOUR, NO_VALUE, gib, interval, notes, opening, seconds, short, table
from scaling.measuring import Limits, Measured
from scaling.plan import REPEATED, RUNS

FORETOLD = (10**8, 10**9)
NIGHT_HOURS, DAY_HOURS = 8, 24
ROUNDING = 1e-6
SPREAD = ("validate", "split", "train@mf", "train@softmax", "train@two_tower", "evaluate")
"""Stages whose work is divided into partitions of users or events: Spark's, or workers'."""


def page(
    runs: Runs, smallest: Mapping[str, Measured], limits: Limits, command: str, picture: str, rounds: int = 3
) -> str:
    """The page as Markdown.

    Args:
        runs: what was measured as everything grows.
        smallest: the stages on next to no data.
        limits: that every stage had.
        command: what makes the page.
        picture: file name of the picture.
        rounds: how often the stages ran that are to grow as the interactions do.
    """
    stages = stages_of(runs)
    named = ", ".join(f"`{name}`" for name in REPEATED)
    repeated = (
        f"; of {named}, which are to grow as the interactions do, that of {RUNS[rounds]}, one in each round over all"
    )
    several = f"{repeated} sizes" if rounds > 1 else ""
    grown = {stage: (time_growth(runs, smallest, stage), _memory(runs, smallest, stage)) for stage in stages}
    parts = [
        "# The pipeline at sizes that grow",
        opening(command, _DATA, limits),
        "## Sizes",
        _sizes(runs),
        f"![Seconds and memory of every stage by size, on logarithmic axes]({picture})",
        "## Exponents",
        _EXPONENTS.format(several=several),
        _exponents(runs, grown),
        _judged(grown),
        "## Skipped or failed",
        notes(runs),
        "## At 10⁸ and 10⁹ interactions",
        _FORETOLD,
        _foretold(runs, smallest, grown),
    ]
    return "\n\n".join(parts) + "\n"


_DATA = f"data with {EVENTS_PER_USER} interactions per user and {EVENTS_PER_ITEM} per item in planted groups"

_EXPONENTS = (
    "Cost ∝ size^b, by least squares on logarithms, with the 95 % interval of Student's t. A stage starts Python and "
    "its libraries, which costs the same at every size and would make each exponent look better than it is: *above "
    "start* is fitted to what a run costs beyond the same stage on the smallest data set, over the sizes where that is "
    "at least 25 % more. CPU time is fitted rather than wall time, since it depends less on what else the machine "
    "does{several}. Stages that score a catalogue for every user or item (†) are fitted to users × items, their memory "
    "to interactions like all memory. A dash: fewer than three sizes tell."
)

_FORETOLD = (
    "The part of the largest run's cost that is above start grows by the stage's exponent, or by the slope between its "
    "two largest runs where that is steeper (by 1 where no exponent could be told), up to "
    f"{MOST_ITEMS:,} items; a stage that skips itself at the largest size is left out. One machine: the "
    "stages one after the other on two cores like those measured, and memory that no machine may have, which says "
    "where partitions begin to be needed. Spark and workers: "
    f"the same CPU time, that of {', '.join(f'`{name}`' for name in SPREAD)} spread over cores without loss (the "
    "ideal: shuffles, stragglers and gradient exchange come on top), over as many as finish within "
    f"{NIGHT_HOURS} hours beside the stages that stay on one machine, or {DAY_HOURS} where those take longer. GiB of "
    "a worker: what the hungriest of these "
    "stages takes as one process, since users, items and the model are held by each."
)


def _sizes(runs: Runs) -> str:
    rows, num_stages = [], len(stages_of(runs))
    for size, stages in runs.items():
        peak = max(stages, key=lambda name: stages[name].memory, default="")
        failed = sum(run.failed for run in stages.values())
        rows.append(
            [
                f"{size.interactions:,}",
                f"{size.users:,}",
                f"{size.items:,}",
                f"{len(stages) - failed} of {num_stages}",
                seconds(sum(run.wall for run in stages.values())),
                seconds(sum(run.cpu for run in stages.values())),
                f"{gib(stages[peak].memory)} (`{peak}`)" if peak else NO_VALUE,
            ]
        )
    return table(["interactions", "users", "items", "stages run", "seconds", "CPU seconds", "peak memory, GiB"], rows)


def _exponents(runs: Runs, grown: Mapping[str, tuple[Growth, Growth]]) -> str:
    sizes = list(runs)
    rows = []
    for stage, (time, memory) in grown.items():
        measured = [runs[size].get(stage) for size in sizes]
        rows.append(
            [
                f"`{stage}`{' †' if is_ranking(stage) else ''}",
                *(seconds(run.cpu) if run and counts(run) else NO_VALUE for run in measured),
                interval(time.whole),
                interval(time.above),
                gib(memory.last[1]) if memory.last else NO_VALUE,
                interval(memory.whole),
                interval(memory.above),
            ]
        )
    heads = ["stage", *(f"CPU s, {short(size.interactions)}" for size in sizes)]
    heads += ["time", "time above start", "GiB, last", "memory", "memory above start"]
    return table(heads, rows)


def _judged(grown: Mapping[str, tuple[Growth, Growth]]) -> str:
    """What the exponents say: of the whole time, and, where starting was measured, of what is above it."""
    if not any(time.fixed for time, _ in grown.values()):
        told = _told(grown)
        return told[0].upper() + told[1:]
    return f"Of the whole time, start included: {_steepest(grown)}. Above start: {_told(grown)}"


def _steepest(grown: Mapping[str, tuple[Growth, Growth]]) -> str:
    """The largest exponent of the whole time, of each of the two kinds of stages."""
    found = []
    for ranking, bar, what in ((False, BAR, "interactions"), (True, RANKING_BAR, "users × items")):
        whole = {name: time.whole for name, (time, _) in grown.items() if is_ranking(name) == ranking and time.whole}
        if whole:
            name, exponent = max(whole.items(), key=lambda item: item[1].exponent)
            found.append(f"the largest exponent is {exponent.exponent:.2f} in {what} (`{name}`; meant: ≤ {bar:g})")
    return " and ".join(found) or "too few sizes to tell"


def _told(grown: Mapping[str, tuple[Growth, Growth]]) -> str:
    over, near, told = [], [], 0
    for stage, (time, _) in grown.items():
        exponent, bar = time.told, RANKING_BAR if is_ranking(stage) else BAR
        told += exponent is not None
        if exponent is not None and exponent.exponent > bar:
            shown = "" if exponent.low > bar else ", within the uncertainty"
            over.append(f"`{stage}` ({exponent.exponent:.2f}{shown})")
        elif exponent is not None and exponent.high > bar + ROUNDING:
            near.append(f"`{stage}` (to {exponent.high:.2f})")
    untold = {stage: time for stage, (time, _) in grown.items() if time.told is None}
    level = [f"`{stage}`" for stage, time in untold.items() if time.is_level]
    unknown = [f"`{stage}`" for stage, time in untold.items() if not time.is_level]
    rest = f" The interval reaches beyond for {', '.join(near)}." if near else ""
    rest += (
        f" At the largest size no more expensive than at the start, but for a quarter: {', '.join(level)}."
        if level
        else ""
    )
    rest += f" At too few sizes to tell: {', '.join(unknown)}." if unknown else ""
    bars = f"{BAR:g} in interactions and {RANKING_BAR:g} in users × items"
    if not told:
        return "no exponent could be told: it takes three sizes at which a stage costs more than its start."
    if not over:
        return f"no stage's time has an exponent above {bars}, of {told} that could be told.{rest}"
    return f"more than {bars}, of {told} stages that could be told: {', '.join(over)}.{rest}"


def _foretold(runs: Runs, smallest: Mapping[str, Measured], grown: Mapping[str, tuple[Growth, Growth]]) -> str:
    rows = []
    for interactions in FORETOLD:
        size = size_of(interactions)
        wall, spread, alone = 0.0, 0.0, 0.0
        memory: dict[str, float] = {}
        for stage, (time, resident) in grown.items():
            by = size_measure(stage)
            cpu, peak = time.at(size, by), resident.at(size, _interactions)
            if cpu is None or peak is None or time.last is None or not _goes_on(runs, stage):
                continue
            last = runs[time.last[0]][stage]
            took = cpu * last.wall / max(last.cpu, 1e-9)
            wall, memory[stage] = wall + took, peak
            if family(stage) in SPREAD:
                spread += cpu
            else:
                alone += took
        if not memory:
            return "Nothing was measured to start from."
        peak_stage = max(memory, key=lambda name: memory[name])
        shared = max((value for name, value in memory.items() if family(name) in SPREAD), default=0.0)
        rows.append(
            [
                f"{interactions:,}",
                f"{size.users:,} × {size.items:,}",
                f"{wall / HOUR:,.0f}",
                f"{memory[peak_stage] / GIB:,.0f} (`{peak_stage}`)",
                f"{spread / HOUR:,.0f}",
                f"{alone / HOUR:,.1f}",
                _cores(spread, alone),
                f"{shared / GIB:,.0f}",
            ]
        )
    heads = ["interactions", "users × items", "hours on 2 cores", "GiB on one machine", "CPU hours that spread"]
    heads += ["hours that stay", f"cores for {NIGHT_HOURS} hours", "GiB of a worker, at most"]
    return table(heads, rows)


def _cores(spread: float, alone: float) -> str:
    """How many finish so many CPU seconds in a night, or else a day, that has other seconds to spare for the rest."""
    for hours, said in ((NIGHT_HOURS, ""), (DAY_HOURS, f" in {DAY_HOURS} hours")):
        if (left := hours * HOUR - alone) > 0:
            return f"{max(1.0, spread / left):,.0f}{said}"
    return f"{NO_VALUE} (what stays on one machine takes longer)"


def _goes_on(runs: Runs, stage: str) -> bool:
    """Whether the stage still works at the largest size; one that skips itself there does so beyond."""
    largest = [stages[stage] for size, stages in sorted(runs.items(), key=lambda run: run[0].pairs) if stage in stages]
    return bool(largest) and (largest[-1].failed or not largest[-1].note)


def _interactions(size: Size) -> float:
    """What memory is fitted to, of every stage: none holds users × items."""
    return float(size.interactions)


def _memory(runs: Runs, smallest: Mapping[str, Measured], stage: str) -> Growth:
    return growth(of_stage(runs, stage), smallest.get(stage), lambda run: float(run.memory), _interactions)
