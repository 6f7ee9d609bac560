"""What features add to the softmax DNN."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Statistics
from bakeoff.report.measured import VariantGroup
from bakeoff.report.models import SOFTMAX, model_label
from bakeoff.report.new_users import step_label
from bakeoff.report.render.figure import Figure
from bakeoff.report.sections.parts import Named, estimate_table, estimates
from bakeoff.report.series import styles

WARM = "warm users"


@dataclass(frozen=True)
class Features:
    """The DNN with and without features.

    Attributes:
        sentence: what was done.
        metric: of which the figures are.
        frame: group (what was told, or warm users), series (the variant's label), mean, low, high.
        labels: of the variants, the shipped one first, and of baselines, which come last.
        num_variants: how many of them are variants.
    """

    sentence: str
    metric: str
    frame: pd.DataFrame
    labels: Sequence[str]
    num_variants: int


def features(group: VariantGroup, metric: str, statistics: Statistics) -> Features | None:
    """None without variants of the softmax DNN."""
    variants = sorted(group.of(SOFTMAX), key=lambda variant: not variant["base"])
    if not variants:
        return None
    num_variants = len(variants)
    named = {str(v["name"]): str(v["label"]) for v in variants}
    variants += (beside := [variant for variant in group.variants if variant["model"] != SOFTMAX])
    named |= {str(v["name"]): model_label(str(v["model"])) for v in beside}
    steps = list(dict.fromkeys(group.new_users.first_interactions))
    columns: list[Named] = [
        (f"told {step_label(first)}", named[v["name"]], group.new_values(v["name"], first, metric).to_numpy(np.float64))
        for first in sorted(steps, key=lambda step: (step == "all", int(step) if step != "all" else 0))
        for v in variants
    ]
    columns += [(WARM, named[v["name"]], group.values(v["name"], metric).to_numpy(np.float64)) for v in variants]
    frame = estimates(columns, statistics)
    return Features(group.sentence, metric, frame, list(named.values()), num_variants)


def figures(found: Features) -> list[Figure]:
    """One chart: a group per what was told."""
    label = formats.metric_label(found.metric)
    return [
        Figure(
            key="features",
            title="What features add to the softmax DNN",
            alt="Dot chart: a group per number of first interactions, a mark with its interval per variant.",
            sentence=sentence(found),
            spec=series_charts.dots(found.frame, styles(found.labels), f"{label}, mean over users"),
            table=estimate_table(f"{label} of the softmax DNN with and without features", "Variant", found.frame),
            section="new-users",
        )
    ]


def sentence(found: Features) -> str:
    """The shipped variant beside the best of the others, where nothing is told and over warm users."""
    means = {(row.group, row.series): row.mean for row in found.frame.itertuples()}
    shipped, *others = found.labels[: found.num_variants]
    parts = []
    for group in (next(iter(found.frame.group)), WARM):
        rivals = [f"{formats.decimal(means[group, label], 3)} ({label})" for label in others if (group, label) in means]
        if rivals and (group, shipped) in means:
            parts.append(f"{group}: {formats.decimal(means[group, shipped], 3)} ({shipped}), {', '.join(rivals)}")
    beside = [
        f"{label} {formats.decimal(means[WARM, label], 3)}"
        for label in found.labels[found.num_variants :]
        if (WARM, label) in means
    ]
    rest = f" Beside them, with {WARM}: {', '.join(beside)}." if beside else ""
    return f"{formats.sentence('; '.join(parts))}. Where marks lie on top of each other, features add nothing.{rest}"
