"""Figures, tables and what else the pages share."""

from collections.abc import Iterable, Sequence

from scaling.fits import Exponent, Runs
from scaling.measuring import Limits

NO_VALUE = "–"
HOUR, GIB = 3600, 2**30


def interval(found: Exponent | None) -> str:
    return NO_VALUE if found is None else f"{found.exponent:.2f} ({found.low:.2f} to {found.high:.2f})"


def seconds(value: float) -> str:
    return f"{value:,.1f}" if value < 10 else f"{value:,.0f}"


def gib(value: float) -> str:
    return f"{value / GIB:.2f}"


def short(number: int) -> str:
    """100000 → 10⁵, 300000 → 3·10⁵."""
    digits = len(str(number)) - 1
    power = "10" + "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(digit)] for digit in str(digits))
    factor = number / 10**digits
    return power if factor == 1 else f"{factor:g}·{power}"


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def opening(command: str, data: str, limits: Limits) -> str:
    """How a page was made, and on what."""
    return (
        f"Made by `{command}`: {data}, every stage of `dvc.yaml` in a process of its own by its own command, with the "
        "settings of [settings/scale.yaml](../settings/scale.yaml) and else `params.yaml`. A stage had "
        f"{limits.threads} cores, {limits.memory / GIB:g} GiB and {limits.seconds / HOUR:g} h, and was ended beyond. "
        "Memory is the largest resident memory of all its processes together. How to read it: "
        "[docs/scale.md](../../docs/scale.md)."
    )


def notes(runs: Runs) -> str:
    """A row for all stages of a size that failed, or found nothing to do, for the same reason."""
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for size, stages in runs.items():
        for stage, run in stages.items():
            if run.note:
                what, why = "failed" if run.failed else "skipped by itself", cell(run.note.removeprefix("skipped: "))
                found.setdefault((f"{size.interactions:,}", f"{size.items:,}", what, why), []).append(f"`{stage}`")
    rows = [[events, items, ", ".join(names), what, why] for (events, items, what, why), names in found.items()]
    return table(["interactions", "items", "stages", "what", "why"], rows) if rows else "None."
