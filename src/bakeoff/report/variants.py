"""What variants differ in: their settings, resolved against the parameters."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from bakeoff.report.measured import Variant, VariantGroup
from bakeoff.report.models import MF, SOFTMAX
from bakeoff.report.params import ReportParams


@dataclass(frozen=True)
class Tower:
    """A variant of the softmax DNN by the hidden layers of its tower."""

    variant: Variant
    hidden: tuple[int, ...]

    @property
    def depth(self) -> int:
        """Number of hidden layers."""
        return len(self.hidden)

    @property
    def width(self) -> int:
        """Units of the widest hidden layer; 0 without one."""
        return max(self.hidden, default=0)


def resolved(variant: Variant, name: str, params: ReportParams) -> Any:
    """The value of a setting such as `softmax.hidden`: the variant's own, else the shipped one."""
    settings = variant["settings"]
    return settings[name] if name in settings else reduce(getattr, name.split("."), params)


def with_and_without_features(group: VariantGroup, kind: str, params: ReportParams) -> tuple[Variant, Variant] | None:
    """The shipped softmax DNN and the variant that differs in the features of `kind` alone, the one with them first.

    None where there is no such variant.
    """
    name = f"softmax.use_{kind}_features"
    shipped = group.base(SOFTMAX)
    other = next((variant for variant in group.of(SOFTMAX) if set(variant["settings"]) == {name}), None)
    if shipped is None or other is None:
        return None
    return (shipped, other) if resolved(shipped, name, params) else (other, shipped)


def towers(group: VariantGroup, params: ReportParams) -> list[Tower]:
    """The softmax variants with their hidden layers."""
    return [
        Tower(variant, tuple(int(units) for units in resolved(variant, "softmax.hidden", params)))
        for variant in group.of(SOFTMAX)
    ]


def weight(variant: Variant, params: ReportParams) -> float:
    """α₀ of an MF variant."""
    return float(resolved(variant, f"{MF}.unobserved_weight", params))


def extremes_by_weight(variants: Sequence[tuple[float, Variant]]) -> tuple[Variant, Variant] | None:
    """The variants with weight 0 and with the shipped one; None where either is missing."""
    zero = next((variant for weight, variant in variants if weight == 0), None)
    base = next((variant for _, variant in variants if variant["base"]), None)
    return (zero, base) if zero is not None and base is not None else None
