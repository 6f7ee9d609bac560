"""Items that were taken out of training, asked about as new ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Statistics
from bakeoff.report.measured import VariantGroup
from bakeoff.report.models import model_label, model_noun
from bakeoff.report.render.figure import Figure
from bakeoff.report.sections.parts import Named, estimate_table, estimates
from bakeoff.report.series import model_styles


@dataclass(frozen=True)
class NewItems:
    """Who finds new items.

    Attributes:
        sentence: what was done.
        num_items: new items.
        num_events: test events on them.
        models: that were asked, in order.
        frame: group (a metric), series (a model's label), mean, low, high; among new items alone without interval.
        others: variants that are not as shipped, in words → mean recall in the longest lists.
    """

    sentence: str
    num_items: int
    num_events: int
    models: Sequence[str]
    frame: pd.DataFrame
    others: Mapping[str, float]


def new_items(group: VariantGroup, cutoffs: Sequence[int], statistics: Statistics) -> NewItems | None:
    """None where no model was trained without the new items, or nobody came to one of them."""
    variants = [variant for variant in group.variants if variant["base"]]
    if not variants:
        return None
    columns: list[Named] = [
        (
            f"{formats.metric_label(f'recall@{k}')}\nwhole catalogue",
            model_label(v["model"]),
            _values(group, v["name"], k),
        )
        for k in cutoffs
        for v in variants
    ]
    columns += [
        (
            f"{formats.metric_label('recall@10')}\nnew items alone",
            model_label(v["model"]),
            group.values(v["name"], "among_new_recall@10").to_numpy(np.float64),
        )
        for v in variants
        if "among_new_recall@10" in group.users
    ]
    frame = estimates(columns, statistics)
    if frame.empty:
        return None
    sizes = group.notes.get("new_items", {})
    return NewItems(
        sentence=group.sentence,
        num_items=int(sizes.get("items", 0)),
        num_events=int(sizes.get("events", 0)),
        models=[variant["model"] for variant in variants],
        frame=frame,
        others={
            f"{model_noun(v['model'])} with {v['label']}": float(np.mean(_values(group, v["name"], cutoffs[-1])))
            for v in group.variants
            if not v["base"]
        },
    )


def _values(group: VariantGroup, name: str, k: int) -> NDArray[np.float64]:
    values: NDArray[np.float64] = group.values(name, f"recall@{k}").to_numpy(np.float64)
    return values


def figures(found: NewItems) -> list[Figure]:
    """One chart: a group per metric."""
    return [
        Figure(
            key="new-items",
            title="Recall of new items",
            alt="Dot chart: a group per length of lists over the catalogue, one where new items alone are ranked.",
            sentence=sentence(found),
            spec=series_charts.dots(found.frame, model_styles(found.models), "mean over users"),
            table=estimate_table("Recall of items without a training event", "Model", found.frame),
            section="new-items",
        )
    ]


def sentence(found: NewItems) -> str:
    """Who finds most of them in the longest lists, and who finds none."""
    longest = [group for group in dict.fromkeys(found.frame.group) if "whole" in group][-1]
    means = found.frame[found.frame.group == longest].set_index("series")["mean"]
    by_model = {name: float(means[model_label(name)]) for name in found.models if model_label(name) in means}
    leader = max(by_model, key=lambda name: by_model[name])
    nothing = [model_noun(name) for name, mean in by_model.items() if mean == 0]
    metric = longest.partition("\n")[0]
    text = (
        f"{formats.count(found.num_items)} items were new to the models, {formats.count(found.num_events)} test events "
        "fall on them. "
        f"{formats.sentence(model_noun(leader))} has the highest {metric} ({formats.decimal(by_model[leader], 3)})"
    )
    text += f"; {formats.listing(nothing)} {'finds' if len(nothing) == 1 else 'find'} none." if nothing else "."
    others = "; ".join(f"{name} has {formats.decimal(mean, 3)}" for name, mean in found.others.items())
    return f"{text} {formats.sentence(others)}." if others else text
