"""The picture of how the pipeline grows."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import vl_convert

from scaling.fits import Runs, counts, family
from scaling.markdown import GIB


def picture(runs: Runs, grown: Literal["interactions", "items"] = "interactions") -> str:
    """SVG: seconds and GiB of every stage by what has grown, a column of panels for each family of stages."""
    rows = [
        {
            "size": getattr(size, grown),
            "cost": cost,
            "what": what,
            "stage": stage.partition("@")[2] or stage,
            "family": _panel(stage),
        }
        for size, stages in runs.items()
        for stage, run in stages.items()
        if counts(run)
        for what, cost in (("CPU seconds", run.cpu), ("peak memory, GiB", run.memory / GIB))
    ]
    svg: str = vl_convert.vegalite_to_svg(json.dumps(_spec(rows, grown)))
    return svg


def _panel(stage: str) -> str:
    named = family(stage)
    panels = {"validate": "tables", "split": "tables", "evaluate": "evaluate", "variants": "variants", "items": "items"}
    return panels.get(named, "train" if named.startswith("train@") else "others")


def _spec(rows: Sequence[Mapping[str, Any]], grown: str) -> dict[str, Any]:
    """A column for each family of stages: seconds above, memory below, a legend for both."""
    families = dict.fromkeys(str(row["family"]) for row in rows)
    whats = dict.fromkeys(str(row["what"]) for row in rows)
    return {
        "hconcat": [
            {
                "title": each,
                "vconcat": [
                    _chart([row for row in rows if (row["family"], row["what"]) == (each, what)], what, grown)
                    for what in whats
                ],
            }
            for each in families
        ],
        "resolve": {"scale": {"color": "independent", "shape": "independent"}},
        "background": "white",
        "config": {"font": "sans-serif"},
    }


def _chart(rows: Sequence[Mapping[str, Any]], what: str, grown: str) -> dict[str, Any]:
    """Lines from size to size, both axes logarithmic."""
    axis = {"type": "quantitative", "scale": {"type": "log", "nice": True}}
    stages = list(dict.fromkeys(row["stage"] for row in rows))
    named = {
        "field": "stage",
        "type": "nominal",
        "sort": stages,
        "legend": {"title": None, "orient": "bottom", "columns": 1},
    }
    return {
        "data": {"values": list(rows)},
        "width": 150,
        "height": 150,
        "mark": {"type": "line", "point": {"size": 40}},
        "encoding": {
            "x": {"field": "size", "title": grown, **axis, "axis": {"format": "~e", "tickCount": 3}},
            "y": {"field": "cost", "title": what, **axis, "axis": {"tickCount": 4}},
            "color": {**named, "scale": {"scheme": "tableau10"}},
            "shape": {**named, "legend": None},
        },
    }
