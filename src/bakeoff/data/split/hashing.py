"""Choices by chance and shares of a count, the same on any engine."""

from fractions import Fraction
from typing import TypeVar

import ibis
import ibis.expr.types as ir

Count = TypeVar("Count", int, ir.IntegerValue)


def chance(seed: int, *parts: str | ir.StringValue) -> ir.StringValue:
    """Lower-case hexadecimal md5 of the UTF-8 text `seed|part|part…`."""
    text: ir.StringValue = ibis.literal(str(seed))
    for part in parts:
        text = text + "|" + part
    return _md5(text)


def share_of(count: Count, share: float) -> Count:
    """⌊count · share⌋ for the decimal that people write.

    In whole numbers, because engines differ in how they multiply by 0.29: in binary, 100 · 0.29 is below 29.
    """
    fraction = Fraction(str(share)).limit_denominator(1_000_000)
    return (count * fraction.numerator) // fraction.denominator


def _md5_signature(text: str) -> str:
    raise NotImplementedError(f"md5({text!r}) is computed by the engine")


# SQL's function by its name: more engines have it than have Ibis' own hexdigest.
_md5 = ibis.udf.scalar.builtin(_md5_signature, name="md5")
