"""The page on catalogues that grow while interactions and users stay as they are."""

from collections.abc import Mapping

from scaling.data import Size
from scaling.fits import Runs, counts, growth, is_ranking, of_stage, stages_of
from scaling.markdown import NO_VALUE, gib, interval, notes, opening, seconds, short, table
from scaling.measuring import Limits, Measured

_EXPLAINED = (
    "Exponents are of items, by least squares on logarithms with the 95 % interval of Student's t, and of the part "
    "above start, which is what a run costs beyond the same stage on the smallest data set, where that is at least "
    "25 % more. For stages that score a catalogue for every user (†) they are those of users × items too; one near 0 "
    "says that a catalogue costs nothing beside the interactions. A dash: fewer than three catalogues tell."
)


def page(
    catalogues: Runs,
    smallest: Mapping[str, Measured],
    limits: Limits,
    command: str,
    drawn: str = "scale_catalogues.svg",
) -> str:
    """The page as Markdown.

    Args:
        catalogues: what was measured, all with the same interactions and users; at least one.
        smallest: the stages on next to no data.
        limits: that every stage had.
        command: what makes the page.
        drawn: file of the picture.
    """
    catalogues = dict(sorted(catalogues.items(), key=lambda run: run[0].items))
    any_size = next(iter(catalogues))
    data = f"{any_size.interactions:,} interactions of {any_size.users:,} users in planted groups, and items alone grow"
    heads = ["stage", *(f"CPU s, {short(size.items)} items" for size in catalogues), "time"]
    heads += [*(f"GiB, {short(size.items)}" for size in catalogues), "memory"]
    parts = [
        "# The pipeline as the catalogue grows",
        opening(command, data, limits),
        f"![Seconds and memory of every stage by items, on logarithmic axes]({drawn})",
        _EXPLAINED,
        table(heads, [_row(stage, catalogues, smallest) for stage in stages_of(catalogues)]),
        "## Skipped or failed",
        notes(catalogues),
    ]
    return "\n\n".join(parts) + "\n"


def _row(stage: str, catalogues: Runs, smallest: Mapping[str, Measured]) -> list[str]:
    runs = of_stage(catalogues, stage)
    fits = [
        growth(runs, smallest.get(stage), cost, _items).above
        for cost in (lambda run: run.cpu, lambda run: float(run.memory))
    ]
    there = [run if (run := runs.get(size)) and counts(run) else None for size in catalogues]
    times = [seconds(run.cpu) if run else NO_VALUE for run in there]
    memory = [gib(run.memory) if run else NO_VALUE for run in there]
    return [f"`{stage}`{' †' if is_ranking(stage) else ''}", *times, interval(fits[0]), *memory, interval(fits[1])]


def _items(size: Size) -> float:
    return float(size.items)
