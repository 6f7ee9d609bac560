"""The part of the page on catalogues that grow while interactions and users stay as they are."""

from collections.abc import Mapping

from scaling.data import Size
from scaling.fits import Runs, counts, growth, is_ranking, of_stage, stages_of
from scaling.markdown import NO_VALUE, gib, interval, seconds, short, table
from scaling.measuring import Measured

_EXPLAINED = (
    "{interactions:,} interactions of {users:,} users, and items alone grow. Exponents are of items, and of the part "
    "above start: for stages that score a catalogue for every user (†) they are those of users × items too; one near 0 "
    "says that a catalogue costs nothing beside the interactions."
)


def section(catalogues: Runs, smallest: Mapping[str, Measured]) -> str:
    """Markdown with a row for each stage; nothing where there are not two catalogues to compare.

    Args:
        catalogues: what was measured, all with the same interactions and users.
        smallest: the stages on next to no data.
    """
    if len(catalogues) < 2:
        return ""
    catalogues = dict(sorted(catalogues.items(), key=lambda run: run[0].items))
    any_size = next(iter(catalogues))
    heads = ["stage", *(f"CPU s, {short(size.items)} items" for size in catalogues), "time"]
    heads += [*(f"GiB, {short(size.items)}" for size in catalogues), "memory"]
    rows = [_row(stage, catalogues, smallest) for stage in stages_of(catalogues)]
    told = _EXPLAINED.format(interactions=any_size.interactions, users=any_size.users)
    return "\n\n".join(["## Catalogues", told, table(heads, rows)])


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
