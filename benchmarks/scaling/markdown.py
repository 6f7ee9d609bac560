"""Figures and tables of the page."""

from collections.abc import Iterable, Sequence

from bakeoff.growth.exponents import Exponent

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
