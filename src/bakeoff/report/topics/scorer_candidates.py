"""The softmax DNN as a scorer on planted groups: foreign items by the number of candidates that MF retrieved."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import altair as alt
import pandas as pd

from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Statistics
from bakeoff.report.evidence import PlantedGroups
from bakeoff.report.models import PALETTE, SOFTMAX
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Figure, table_of
from bakeoff.report.topics.base.topic import Page, Topic


@dataclass(frozen=True)
class ForeignByCandidates:
    """How the harm that folding does to a scorer depends on the retriever's list.

    Attributes:
        judged: number of candidates by which the claim is judged.
        frame: series (the DNN's negatives), x (number of candidates), y (share of foreign items among the first 10).
        alone: series → the same share where the DNN ranks the whole catalogue.
    """

    judged: int
    frame: pd.DataFrame
    alone: dict[str, float]


def _measure(planted: PlantedGroups, _: ReportParams, __: Statistics) -> ForeignByCandidates | None:
    """None where the DNN ordered nobody's candidates."""
    chosen = [planted.own_group_only(), planted.base(SOFTMAX)]
    variants = [each for each in chosen if each is not None and each.get("off_group_by_candidates")]
    rows = [
        (str(variant["label"]), int(size), float(share))
        for variant in variants
        for size, share in variant["off_group_by_candidates"].items()
        if share is not None
    ]
    if not rows:
        return None
    alone = {str(variant["label"]): float(variant["off_group@10"]) for variant in variants}
    return ForeignByCandidates(planted.candidates, pd.DataFrame(rows, columns=["series", "x", "y"]), alone)


def _draw(found: ForeignByCandidates) -> Iterator[Figure]:
    sizes: Sequence[int] = sorted(found.frame.x.unique())
    shares = found.frame.pivot_table(index="series", columns="x", values="y", sort=False)
    yield Figure(
        key="scorer-candidates",
        title="Foreign items by the number of candidates, on planted groups",
        alt="Line chart: share of foreign items by number of candidates, a line per kind of negatives of the DNN.",
        sentence=_sentence(found),
        spec=series_charts.series_lines(
            found.frame,
            dict(zip(found.alone, PALETTE, strict=False)),
            alt.X("x:O", title="candidates that MF retrieved", axis=alt.Axis(labelAngle=0)),
            alt.Y("y:Q", title="foreign among the first 10", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
            ".1%",
        ),
        table=table_of(
            "Share of foreign items among the first 10, by number of candidates",
            ["Negatives of the DNN", *map(formats.count, sizes), "Whole catalogue"],
            [
                [name, *(formats.percent(shares.loc[name, size]) for size in sizes), formats.percent(alone)]
                for name, alone in found.alone.items()
            ],
        ),
    )


def _sentence(found: ForeignByCandidates) -> str:
    """What the DNN that folds most shows at the judged number and at the largest."""
    worst = max(found.alone, key=lambda name: found.alone[name])
    rows = found.frame[found.frame.series == worst].set_index("x").y
    last = int(rows.index.max())
    return (
        f"A DNN with {worst} shows {formats.percent(rows[found.judged], 0)} foreign items when it orders MF's first "
        f"{formats.count(found.judged)}, {formats.percent(rows[last], 0)} with {formats.count(last)} and "
        f"{formats.percent(found.alone[worst], 0)} alone. The claim is judged by {formats.count(found.judged)}: among "
        f"more than {formats.count(2 * found.judged)} candidates some are foreign whatever MF does."
    )


TOPIC = Topic("scorer_candidates", 141, Page.EVIDENCE, "scorer", _measure, _draw, source="planted")
